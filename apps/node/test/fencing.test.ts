/*
 * Members that die: what the quarantine holds of them, and how it comes back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { digestOf, errorOf, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

const APP = fileURLToPath(new URL("..", import.meta.url));

/** A member that says of itself that it runs on another host. Prints its rid, and never ends. */
const REMOTE_MEMBER = `
import { openBlockDevice } from "@holdfast/block-device";
import { SILENT_LOGGER } from "@holdfast/environment";
import { openMember, readSuper, VOLUME_FORMAT_HASH } from "@holdfast/member";
import { createNodeTransport, nodeClock, nodeCryptography, nodeProcesses, nodeRandom } from "@holdfast/platform-node";
const device = await openBlockDevice(process.argv[1]);
const { superBlock } = await readSuper(device, VOLUME_FORMAT_HASH);
const own = { ...nodeProcesses.own, hostName: "elsewhere", bootId: "another-boot" };
const member = await openMember({
  device, clock: nodeClock, random: nodeRandom, cryptography: nodeCryptography, log: SILENT_LOGGER, name: "remote",
  transport: createNodeTransport({ key: superBlock.key, log: SILENT_LOGGER }),
  processes: { own, isGone: () => Promise.resolve(false) },
});
console.log(member.rid.toString(16).padStart(16, "0"));
setInterval(() => {}, 1000);
`;

async function startRemote(url: string): Promise<{ readonly child: ChildProcess; readonly rid: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", REMOTE_MEMBER, url], {
    cwd: APP,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line]: unknown[] = await once(child.stdout, "data");
  return { child, rid: String(line).trim() };
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

interface Status {
  readonly quarantinedBlocks: number;
  readonly isQuarantineAlarming: boolean;
  readonly quarantine: readonly {
    readonly rid: string;
    readonly evidence: string;
    readonly problem: string;
  }[];
}

async function statusOf(url: string): Promise<Status> {
  const status: Status = JSON.parse(await place.succeed(["status", url, "--json"]));
  return status;
}

test("a killed member of this host leaves nothing in quarantine, and its locks go on at once", async () => {
  const url = await place.volume("local.hf");
  const [server, dead] = [await place.member(url), await place.member(url)];
  await place.succeed(["put", url, "key", "value"]);

  await dead.end("SIGKILL");
  await server.logged("member.evicted");
  await server.logged("quarantine.released");

  expect(await statusOf(url)).toMatchObject({ quarantinedBlocks: 0, quarantine: [] });
  expect(await place.succeed(["fence", url])).toBe("quarantine  empty\n");
  expect(await place.succeed(["get", url, "key"])).toBe("value");
});

test("a killed server of this host is replaced and leaves nothing in quarantine", async () => {
  const url = await place.volume("server.hf");
  const [server, next] = [await place.member(url), await place.member(url)];
  await place.succeed(["put", url, "key", "value"]);

  await server.end("SIGKILL");
  await next.logged("quarantine.released");

  expect(await place.succeed(["get", url, "key"])).toBe("value");
  expect(await statusOf(url)).toMatchObject({ quarantinedBlocks: 0, quarantine: [] });
});

test("what a dead member of another host held waits for an operator, who must promise", async () => {
  const url = await place.volume("operator.hf");
  const server = await place.member(url);
  const { child, rid } = await startRemote(url);
  const early = await place.run(["fence", url, rid, "--yes", "--json"]);
  await kill(child);
  await server.logged("member.evicted");
  const before = await statusOf(url);
  const listed = await place.succeed(["fence", url, "--list"]);

  const unpromised = await place.run(["fence", url, rid, "--json"]);
  const fenced = await place.succeed(["fence", url, rid, "--yes"]);
  const again = await place.run(["fence", url, rid, "--yes", "--json"]);

  expect([early.code, errorOf(early).code]).toEqual([1, "ERR_HOLDFAST_FENCE_LIVING"]);
  expect(before.quarantine).toMatchObject([{ rid, evidence: "none", problem: "" }]);
  expect(listed).toContain(rid);
  expect(listed).toContain("not confirmed dead");
  expect([unpromised.code, errorOf(unpromised).code]).toEqual([2, "ERR_HOLDFAST_USAGE"]);
  expect(errorOf(unpromised).message).toContain("you promise that it can never write to this volume again");
  expect(fenced).toMatch(/^fenced [0-9a-f]{16}: .* came back\n$/);
  expect([again.code, errorOf(again).code]).toEqual([3, "ERR_HOLDFAST_FENCE_UNKNOWN"]);
  expect((await statusOf(url)).quarantinedBlocks).toBe(0);
});

test("where nobody serves, the command that fences serves", async () => {
  const url = await place.volume("alone.hf");
  const server = await place.member(url);
  const { child, rid } = await startRemote(url);
  await Promise.all([kill(child), server.end("SIGKILL")]);

  const fenced: unknown = JSON.parse(await place.succeed(["fence", url, rid, "--yes", "--json"]));

  expect(fenced).toMatchObject({ rid, wasMember: true, via: "own membership" });
  expect(await statusOf(url)).toMatchObject({ quarantinedBlocks: 0, quarantine: [] });
});

test("a fence agent is run for a dead member of another host until it confirms", async () => {
  const url = await place.volume("agent.hf");
  const [agent, calls] = [place.path("agent"), place.path("agent.log")];
  await writeFile(
    agent,
    `#!/bin/sh
echo "$HOLDFAST_FENCE_RID $HOLDFAST_FENCE_HOST $HOLDFAST_FENCE_PID" >> ${calls}
test $(wc -l < ${calls}) -ge 2 || { echo "not yet"; exit 1; }
`,
  );
  await chmod(agent, 0o755);
  const server = await place.member(url, ["--fence-agent", agent]);
  const { child, rid } = await startRemote(url);

  await kill(child);
  const refused = await server.logged("fence.not-confirmed");
  await server.logged("quarantine.released");

  expect(refused).toContain("it ended with code 1: not yet");
  const line = `${rid} elsewhere ${child.pid}`;
  expect(await readFile(calls, "utf8")).toBe(`${line}\n${line}\n`);
  expect((await statusOf(url)).quarantinedBlocks).toBe(0);
});

test.each([
  ["is not there", "absent"],
  ["is a folder", "."],
])("a fence agent that %s is told of at the start", async (_, name) => {
  const url = await place.volume(`no-agent-${name}.hf`);
  const before = await digestOf(url);
  const agent = place.path(name);

  for (const command of ["run", "renew"]) {
    const result = await place.run([command, url, "--json", "--fence-agent", agent]);

    expect([result.code, result.stderr.includes("ERR_HOLDFAST_FENCE_AGENT")]).toEqual([2, true]);
  }
  expect(await digestOf(url)).toBe(before);
});

test.each([
  ["no member's name", ["fence", "x.hf", "everybody", "--yes"]],
  ["a member and --list", ["fence", "x.hf", "00", "--list"]],
])("fencing with %s is a mistake", async (_, args) => {
  const result = await place.run(args);

  expect([result.code, result.stderr.includes("ERR_HOLDFAST_USAGE")]).toEqual([2, true]);
});
