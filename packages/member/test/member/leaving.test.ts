import { sleep, type WriteOptions } from "@holdfast/environment";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

const { quorum, closeMs, farewellMs } = DEFAULT_MEMBER_TIMING;

async function put({ member }: TestMember, world: MemberWorld, key: string, value: string): Promise<void> {
  const data = await member.dataset();
  await world.finish(data.put(key, value));
}

async function read({ member }: TestMember, world: MemberWorld, key: string): Promise<string | undefined> {
  const data = await member.dataset();
  return textOf(await world.finish(data.get(key)));
}

async function members(world: MemberWorld, { member }: TestMember): Promise<readonly bigint[]> {
  const status = await world.finish(member.status());
  return status.members.map(({ rid }) => rid);
}

/** Leaves every write of one process unanswered until it is told otherwise. */
function stall({ host }: Pick<TestMember, "host">): () => void {
  const { device } = host;
  const [read, write] = [device.read.bind(device), device.write.bind(device)];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  Object.assign(device, {
    read: (offsetBytes: bigint, into: Uint8Array) => released.then(() => read(offsetBytes, into)),
    write: (offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions) =>
      released.then(() => write(offsetBytes, bytes, options)),
  });
  return release;
}

test("a server that closes is succeeded within two heartbeats, and others' writes only take that long", async () => {
  const world = await MemberWorld.format();
  const [server, second, third] = [await world.open(), await world.open(), await world.open()];
  await put(second, world, "k", "1");
  await world.finish(server.member.close());
  const since = world.clock.now();

  await put(third, world, "k", "2");

  expect(world.clock.now() - since).toBeLessThanOrEqual(2 * quorum.heartbeatMs);
  expect([second, third].filter(({ member }) => member.report().isServing)).toHaveLength(1);
  expect([second, third].flatMap(({ losses }) => losses)).toEqual([]);
  expect(await members(world, second)).not.toContain(server.member.rid);
});

test("after a hand-over nobody's deadline is waited for, unless he is silent", async () => {
  const world = await MemberWorld.format();
  const [server, second, silent] = [await world.open(), await world.open(), await world.open()];
  await put(silent, world, "k", "1");
  silent.host.kill();
  const closing = server.member.close();

  await world.finish(closing);

  expect(await read(second, world, "k")).toBe("1");
  expect(await members(world, second)).toEqual([second.member.rid]);
});

test("all voters that a volume needs leave at once, and nobody waits for the others", async () => {
  const world = await MemberWorld.format({ votes: 2 });
  const opened = [world.begin(), world.begin(), world.begin()];
  const joined = await Promise.all(opened.map(({ opening }) => world.finish(opening)));
  const since = world.clock.now();

  await world.finish(Promise.all(joined.map((member) => member.close())));

  expect(world.clock.now() - since).toBeLessThan(farewellMs);
  const forced = opened.filter(({ host }) => host.events.includes("farewell.forced"));
  expect(forced).toEqual([]);
});

test("F10: a voter that others need waits as long as it may, says for whom, and leaves all the same", async () => {
  const world = await MemberWorld.format({ votes: 2 });
  const opened = [world.begin(), world.begin()];
  const [first, second] = await Promise.all(opened.map(({ opening }) => world.finish(opening)));
  const [server, leaving] = first?.report().isServing === true ? [first, second] : [second, first];
  const since = world.clock.now();

  await world.finish(leaving?.close() ?? Promise.reject(new Error("there are two")));

  expect(world.clock.now() - since).toBeGreaterThanOrEqual(farewellMs);
  const events = opened.flatMap(({ host }) => host.events);
  expect(events).toContain("farewell.held");
  expect(events).toContain("farewell.forced");
  expect(events).toContain("member.leave-waits");
  const status = await world.finish(server?.status() ?? Promise.reject(new Error("there are two")));
  expect(status.members.map(({ rid }) => rid)).toEqual([server?.rid]);
});

test("F6, F12: a member whose answer died with the last server sees on the volume that it may go", async () => {
  const world = await MemberWorld.format();
  const [server, leaving] = [await world.open(), await world.open({ listenAddress: undefined })];
  await put(leaving, world, "k", "1");
  server.host.onLog = ({ facts }) => {
    if (facts.event === "member.left") server.host.kill();
  };

  await world.finish(leaving.member.close());

  expect([server.host.isDead, leaving.losses]).toEqual([true, []]);
  const next = await world.open();
  expect(await read(next, world, "k")).toBe("1");
  expect(await members(world, next)).toEqual([next.member.rid]);
  expect(next.host.lines.filter(({ facts }) => facts.event === "member.evicted")).toHaveLength(1);
});

test("F9: a member that died before it heard that it had joined is evicted in its time", async () => {
  const world = await MemberWorld.format();
  const server = await world.open();
  server.host.onLog = ({ facts }) => {
    if (facts.event === "member.joined") joining.host.kill();
  };
  const joining = world.begin();

  await world.until(() => server.host.events.includes("member.evicted"));

  expect(await members(world, server)).toEqual([server.member.rid]);
});

test("F11: a member that is held answers for the locks it had: others go on with them", async () => {
  const world = await MemberWorld.format({ votes: 2 });
  const opened = [world.begin(), world.begin()];
  const joined = await Promise.all(opened.map(({ opening }) => world.finish(opening)));
  const [server, leaving] = joined[0]?.report().isServing === true ? joined : joined.toReversed();
  if (server === undefined || leaving === undefined) throw new Error("there are two");
  await world.finish((await leaving.dataset()).put("k", "1"));
  const closing = leaving.close();
  await world.until(() => opened.some(({ host }) => host.events.includes("farewell.held")));
  const since = world.clock.now();

  await world.finish((await server.dataset()).put("k", "2"));

  expect(world.clock.now() - since).toBeLessThan(100);
  await world.finish(closing);
});

test("closing gives up when no server comes, and what was acknowledged stays", async () => {
  const world = await MemberWorld.format();
  const [server, lonely] = [await world.open(), await world.open({ listenAddress: undefined })];
  await put(lonely, world, "k", "1");
  server.host.kill();
  const since = world.clock.now();

  await expect(world.finish(lonely.member.close())).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CLOSE_TIMEOUT",
    facts: { step: "write-back" },
  });

  expect(world.clock.now() - since).toBeLessThan(closeMs + 100);
  const next = await world.open();
  expect(await read(next, world, "k")).toBe("1");
});

test("closing gives up when its signal says so", async () => {
  const world = await MemberWorld.format();
  const [server, lonely] = [await world.open(), await world.open({ listenAddress: undefined })];
  await put(lonely, world, "k", "1");
  server.host.kill();
  const ending = new AbortController();
  const closing = lonely.member.close({ signal: ending.signal });
  await world.clock.advance(100);

  ending.abort(new Error("no time"));

  await expect(world.finish(closing)).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
});

test("a server whose device stalls makes room, and serves again when it is needed and the device answers", async () => {
  const world = await MemberWorld.format();
  const [server, second, third] = [await world.open(), await world.open(), await world.open()];
  await put(second, world, "k", "1");
  const release = stall(server);
  const since = world.clock.now();

  await put(third, world, "k", "2");

  expect(world.clock.now() - since).toBeLessThan(2 * quorum.deviceStallMs);
  expect(server.member.report().isServing).toBe(false);
  release();
  await world.close(second, third);
  await world.until(() => server.member.report().isServing || server.losses.length > 0);
  const next = await world.open();
  expect(await read(next, world, "k")).toBe("2");
});

test("a server whose device reads but does not write any more makes room too", async () => {
  const world = await MemberWorld.format();
  const [server, second] = [await world.open(), await world.open()];
  const { device } = server.host;
  Object.assign(device, { write: () => new Promise<void>(() => {}) });
  const joining = world.begin();

  await world.finish(joining.opening);

  expect(server.member.report().isServing).toBe(false);
  expect(server.host.lines.find(({ facts }) => facts.event === "server.ended")?.facts).toMatchObject({
    err: { code: "ERR_HOLDFAST_DEVICE_STALLED" },
  });
  expect(second.member.report().isConnected).toBe(true);
});

test("a server whose reign ended in the middle of a replay says farewell when nothing of that is written any more", async () => {
  const world = await MemberWorld.format();
  const [server, second, dying] = [await world.open(), await world.open(), await world.open()];
  for (const key of ["a", "b", "c", "d"]) await put(dying, world, key, key.repeat(16_000));
  const { device } = server.host;
  const write = device.write.bind(device);
  const held: (() => void)[] = [];
  Object.assign(device, {
    write: async (offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions) => {
      // A segment; nodes and records are shorter.
      if (bytes.length > 32_768) await new Promise<void>((resolve) => held.push(resolve));
      await write(offsetBytes, bytes, options);
    },
  });
  dying.host.kill();
  await world.until(() => second.member.report().isServing);
  expect(held).toHaveLength(1);

  const closing = world.finish(server.member.close());
  await world.finish(sleep(world.clock, 3000));
  expect(await members(world, second)).toContain(server.member.rid);
  for (const release of held) release();
  await closing;

  expect(await members(world, second)).toEqual([second.member.rid]);
  expect(await read(second, world, "d")).toBe("d".repeat(16_000));
});

test("a member whose device never answers can be closed: it leaves without a word", async () => {
  const world = await MemberWorld.format();
  const only = await world.open();
  await put(only, world, "k", "1");
  stall(only);
  const since = world.clock.now();

  await expect(world.finish(only.member.close())).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CLOSE_TIMEOUT",
  });

  expect(world.clock.now() - since).toBeLessThan(closeMs + 4 * quorum.deviceStallMs);
});

test("a server that crashes while it leaves, at the farewell or at its last record, is succeeded as if it had died", async () => {
  for (const event of ["member.left", "farewell", "commit.recorded"]) {
    const world = await MemberWorld.format();
    const [server, second] = [await world.open(), await world.open()];
    await put(server, world, "k", event);
    const closing = server.member.close();
    server.host.onLog = ({ facts }) => {
      if (facts.event === event) server.host.kill();
    };
    await Promise.race([world.finish(sleep(world.clock, 5000)), closing]);
    server.host.kill();

    expect(await read(second, world, "k")).toBe(event);
    expect(await members(world, second)).toEqual([second.member.rid]);
  }
});
