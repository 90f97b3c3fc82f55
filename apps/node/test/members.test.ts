/*
 * Members as processes: how they start, end, die, and what the commands beside them notice.
 */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, connect } from "node:net";
import { expect, test } from "vitest";
import { connectToMember } from "../src/index.ts";
import { errorOf, MemberProcess, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

function pathOf(socket: string): string {
  return socket.slice("unix:".length);
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends a member in order: exit code 0, its socket gone",
  async (signal) => {
    const url = await place.volume(`${signal}.hf`);
    const member = await place.member(url, ["--name", "only"]);
    const { rid, socket } = await member.started;
    expect(existsSync(pathOf(socket))).toBe(true);

    const result = await member.end(signal);

    expect(result).toMatchObject({ code: 0, signal: null });
    expect(JSON.parse(result.stdout)).toMatchObject({ rid, label: `${signal}.hf`, pid: member.child.pid });
    expect(result.stderr).toContain('"event":"run.stopping"');
    expect(existsSync(pathOf(socket))).toBe(false);
  },
);

test("a member that was killed leaves its socket; the next command removes it and finds what was acknowledged", async () => {
  const url = await place.volume("killed.hf");
  const member = await place.member(url);
  const { socket } = await member.started;
  await place.succeed(["put", url, "key", "value"]);

  expect(await member.end("SIGKILL")).toMatchObject({ code: null, signal: "SIGKILL" });
  expect(existsSync(pathOf(socket))).toBe(true);

  expect(await place.succeed(["get", url, "key"])).toBe("value");
  expect(existsSync(pathOf(socket))).toBe(false);
});

test("a frozen member is passed over by the next command, evicted, and ends with exit code 5 when it wakes up", async () => {
  const url = await place.volume("frozen.hf");
  const frozen = await place.member(url);
  await place.succeed(["put", url, "key", "value"]);
  frozen.child.kill("SIGSTOP");

  const successor = await place.member(url, ["--name", "successor"]);
  await successor.logged("member.evicted");
  expect(await place.succeed(["get", url, "key"])).toBe("value");
  frozen.child.kill("SIGCONT");

  const result = await frozen.result;
  expect(result).toMatchObject({ code: 5, signal: null });
  expect(result.stderr).toContain('"event":"run.lost"');
  expect(result.stderr).toContain('{"error":{"code":"ERR_HOLDFAST_EVICTED","message":"member ');
});

test("whoever asked a member that dies is told so", async () => {
  const url = await place.volume("gone.hf");
  const member = await place.member(url);
  const { socket } = await member.started;
  const access = await connectToMember(url, socket);
  await access.status();

  await member.end("SIGKILL");

  await expect(access.status()).rejects.toMatchObject({
    code: "ERR_HOLDFAST_MEMBER_GONE",
    category: "retry",
  });
  await expect(connectToMember(url, socket)).rejects.toMatchObject({ code: "ERR_HOLDFAST_MEMBER_GONE" });
  await access.close();
});

test("an address that is taken, malformed or of another host ends a member before it is one", async () => {
  const url = await place.volume("listen.hf");
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const bound = taken.address();
  const port = typeof bound === "object" ? bound?.port : 0;
  const start = (listen: string) => place.run(["run", url, "--log-level", "error", "--listen", listen]);

  const results = [
    await start(`tcp://127.0.0.1:${port}`),
    await start("localhost:80"),
    await start("tls://192.0.2.1:0"),
  ];
  taken.close();

  expect(results.map(({ code, stdout }) => ({ code, stdout }))).toEqual([
    { code: 1, stdout: "" },
    { code: 2, stdout: "" },
    { code: 1, stdout: "" },
  ]);
  expect(results.map(({ stderr }) => stderr)).toEqual([
    `holdfast: cannot listen at tcp://127.0.0.1:${port}: somebody listens there already (ERR_HOLDFAST_ADDRESS_IN_USE)\n`,
    'holdfast: cannot listen at localhost:80: "localhost:80" is none of tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH (ERR_HOLDFAST_ADDRESS_INVALID)\n',
    expect.stringContaining("cannot listen at tls://192.0.2.1:0: "),
  ]);
});

test("without enough voters a command gives up after --wait, with exit code 4, and a member can be stopped", async () => {
  await place.succeed(["mkfs", "votes.hf", "--size", "16M", "--votes", "2"]);

  const result = await place.run(["get", "votes.hf", "key", "--wait", "1", "--json"]);
  const member = new MemberProcess(place.spawn(["run", "votes.hf"]));
  member.started.catch(() => {});
  await member.logged("run.started");
  const stopped = await member.end("SIGTERM");

  expect(result).toMatchObject({ code: 4, stdout: "" });
  expect(errorOf(result)).toEqual({
    code: "ERR_HOLDFAST_UNAVAILABLE",
    message: expect.stringContaining("no server answered within 1 s"),
  });
  expect(stopped).toMatchObject({ code: 0, stdout: "" });
});

test("garbage to the server's port is cut off, and members go on", async () => {
  const url = await place.volume("garbage.hf");
  const member = await place.member(url);
  const opened: { readonly address: string } = JSON.parse(await member.logged("server.opened"));
  const { port } = new URL(opened.address);
  const messages = [Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(100_000, 0xff), Buffer.alloc(4096)];

  for (const message of messages) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    socket.write(message);
    await new Promise((resolve) => socket.once("close", resolve));
  }

  await place.succeed(["put", url, "key", "value"]);
  expect(await place.succeed(["get", url, "key"])).toBe("value");
  expect(await member.end("SIGTERM")).toMatchObject({ code: 0 });
});

test("two processes with one configuration are two members, and both work", async () => {
  const url = await place.volume("cloned.hf");
  const original = await place.member(url, ["--name", "clone"]);
  const { rid } = await original.started;
  const copy = await place.member(url, ["--name", "clone"]);
  expect((await copy.started).rid).not.toBe(rid);

  await place.succeed(["put", url, "key", "value"]);
  const { members } = JSON.parse(await place.succeed(["status", url, "--json"]));
  expect(await original.end("SIGTERM")).toMatchObject({ code: 0 });

  expect(members.filter(({ name }: { readonly name: string }) => name === "clone")).toHaveLength(2);
  expect(await place.succeed(["get", url, "key"])).toBe("value");
  expect(await copy.end("SIGTERM")).toMatchObject({ code: 0 });
});
