import { BLOCK_BYTES, DeviceError, sleep, type WriteOptions } from "@holdfast/environment";
import { JOURNAL_MAGIC } from "@holdfast/item-store";
import { expect, test } from "vitest";
import { EvictedError, formatVolume } from "../../src/index.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

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

test("a member dies with acknowledged writes in its journal: others read them", async () => {
  const world = await MemberWorld.format();
  const [server, dead] = [await world.open(), await world.open()];
  await put(dead, world, "k", "acknowledged");

  dead.host.kill();

  expect(await read(server, world, "k")).toBe("acknowledged");
  expect(await members(world, server)).toEqual([server.member.rid]);
  expect(server.host.lines.find(({ facts }) => facts.event === "member.evicted")?.facts).toMatchObject({
    rid: dead.member.rid,
    items: 1,
    segments: 1,
  });
});

test("the server dies with acknowledged writes in its journal: the next one replays them", async () => {
  const world = await MemberWorld.format();
  const [server, second, third] = [await world.open(), await world.open(), await world.open()];
  await put(server, world, "k", "acknowledged");

  server.host.kill();

  expect(await read(second, world, "k")).toBe("acknowledged");
  await put(third, world, "k", "next");
  expect(await read(second, world, "k")).toBe("next");
  expect(await members(world, second)).not.toContain(server.member.rid);
  expect([second, third].flatMap(({ losses }) => losses)).toEqual([]);
});

test("calls in flight when the server dies only take longer", async () => {
  const world = await MemberWorld.format();
  const [server, second, third] = [await world.open(), await world.open(), await world.open()];
  const [b, c] = [await second.member.dataset(), await third.member.dataset()];
  const calls = [];
  for (let index = 0; index < 20; index += 1)
    calls.push(b.put(`b${index}`, "1"), c.put(`c${index}`, "1"), b.get(`c${index}`));
  await world.clock.advance(3);
  server.host.kill();

  const outcomes = await world.finish(Promise.allSettled(calls));

  expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
  for (let index = 0; index < 20; index += 1) expect(await read(third, world, `b${index}`)).toBe("1");
});

test("everybody dies: what was acknowledged is there for who comes later", async () => {
  const world = await MemberWorld.format();
  const before = [await world.open(), await world.open()];
  for (const [index, member] of before.entries()) await put(member, world, `key-${index}`, "kept");
  for (const { host } of before) host.kill();

  const after = await world.open();

  expect(await read(after, world, "key-0")).toBe("kept");
  expect(await read(after, world, "key-1")).toBe("kept");
  expect(await members(world, after)).toEqual([after.member.rid]);
});

test("a server that dies between the mark and the replay of an eviction: the locks wait for the next one's replay", async () => {
  const world = await MemberWorld.format();
  const [server, dead, third] = [await world.open(), await world.open(), await world.open()];
  await put(dead, world, "k", "acknowledged");
  const journal = journalOf(world, dead);
  world.device.onRead = (block) => {
    if (block !== journal) return undefined;
    // The first to look at that journal is the server that evicts its writer. The next one takes its time.
    if (server.host.isDead) return sleep(world.clock, 5000);
    server.host.kill();
    return undefined;
  };
  dead.host.kill();

  expect(await read(third, world, "k")).toBe("acknowledged");

  expect(server.host.isDead).toBe(true);
  expect(await members(world, third)).toEqual([third.member.rid]);
  await put(third, world, "k", "goes on");
});

test("a join whose answer died with the server is answered by the next one, and locks go on", async () => {
  const world = await MemberWorld.format();
  const [server, second] = [await world.open(), await world.open()];
  server.host.onLog = ({ facts }) => {
    if (facts.event === "member.joined") server.host.kill();
  };

  const third = await world.open();

  expect(server.host.isDead).toBe(true);
  await put(third, world, "k", "1");
  expect(await read(second, world, "k")).toBe("1");
  expect(new Set(await members(world, second))).toEqual(new Set([second.member.rid, third.member.rid]));
});

test("a farewell whose answer died with the server is a farewell: nobody is evicted", async () => {
  const world = await MemberWorld.format();
  const [server, leaving, third] = [await world.open(), await world.open(), await world.open()];
  await put(leaving, world, "k", "1");
  server.host.onLog = ({ facts }) => {
    if (facts.event === "member.left") server.host.kill();
  };

  await world.close(leaving);

  expect(server.host.isDead).toBe(true);
  expect(leaving.losses).toEqual([]);
  expect(await read(third, world, "k")).toBe("1");
  expect(await members(world, third)).toEqual([third.member.rid]);
});

test("a farewell that died with the server before it was heard is heard by the next one", async () => {
  const world = await MemberWorld.format();
  const [server, leaving, third] = [await world.open(), await world.open(), await world.open()];
  await put(leaving, world, "k", "1");
  const closing = leaving.member.close();
  server.host.kill();

  await world.finish(closing);

  expect(leaving.losses).toEqual([]);
  expect(await read(third, world, "k")).toBe("1");
});

test("a member that was cut off for too long is evicted, told so once, and its calls say so", async () => {
  const world = await MemberWorld.format();
  const [server, lonely] = [await world.open(), await world.open({ listenAddress: undefined })];
  await put(lonely, world, "k", "1");
  const data = await lonely.member.dataset();
  const { transport } = lonely.host;
  const dial = transport.dial.bind(transport);
  let isCut = true;
  Object.assign(transport, {
    dial: (address: string) => (isCut ? Promise.reject(new Error("cut off")) : dial(address)),
  });
  world.network.cut();
  await world.until(() => server.host.events.includes("member.evicted"));
  const late = data.put("k", "2").catch((error: unknown) => error);
  const waiting = data.put("not cached", "2").catch((error: unknown) => error);
  isCut = false;

  expect(await world.finish(late)).toBeInstanceOf(EvictedError);
  expect(await world.finish(waiting)).toBeInstanceOf(EvictedError);
  expect(lonely.losses).toHaveLength(1);
  expect(lonely.losses[0]).toBeInstanceOf(EvictedError);
  await expect(data.get("k")).rejects.toBeInstanceOf(EvictedError);
  expect(await read(server, world, "k")).toBe("1");
  await expect(world.finish(lonely.member.close())).rejects.toBeInstanceOf(EvictedError);
});

test("a server that is no member any more does not serve either", async () => {
  const world = await MemberWorld.format();
  const [server, second] = [await world.open(), await world.open()];
  await put(server, world, "k", "1");
  failWrites(server, isJournal);
  const other = (await server.member.dataset()).put("other", "2").catch((error: unknown) => error);
  expect(await world.finish(other)).toMatchObject({ code: "ERR_HOLDFAST_JOURNAL_WRITE" });

  expect(await read(second, world, "k")).toBe("1");

  expect(server.member.report().isServing).toBe(false);
  expect(second.member.report().isServing).toBe(true);
  expect(server.losses).toMatchObject([{ code: "ERR_HOLDFAST_FLUSH_FAILED" }]);
  await expect(world.finish(server.member.close())).rejects.toMatchObject({ category: "io" });
});

test("a member leaves while the server, that it is, replays a dead member's journal: it leaves behind that", async () => {
  const world = await MemberWorld.format();
  const [server, dead, third] = [await world.open(), await world.open(), await world.open()];
  await put(dead, world, "k", "acknowledged");
  const journal = journalOf(world, dead);
  let closing: Promise<void> | undefined;
  world.device.onRead = (block) => {
    if (block !== journal) return undefined;
    closing ??= server.member.close();
    return sleep(world.clock, 1000);
  };
  dead.host.kill();
  await world.until(() => closing !== undefined);

  await world.finish(closing ?? Promise.reject(new Error("it never left")));

  expect(await read(third, world, "k")).toBe("acknowledged");
  expect(server.host.events.filter((event) => event === "member.evicted")).toHaveLength(1);
  expect(await members(world, third)).toEqual([third.member.rid]);
});

test("a server whose records are refused stops, runs no more, and another one takes over", async () => {
  const world = await MemberWorld.format();
  const [server, second] = [await world.open(), await world.open()];
  failWrites(server, () => true);
  const joining = world.begin();

  const member = await world.finish(joining.opening);

  expect(server.member.report().isServing).toBe(false);
  expect(server.host.lines.find(({ facts }) => facts.event === "server.ended")?.level).toBe("error");
  expect([second.member, member].filter((other) => other.report().isServing)).toHaveLength(1);
  await world.clock.advance(5000);
  expect(server.host.events.filter((event) => event === "server.elected")).toHaveLength(1);
  expect(member.report().isConnected).toBe(true);
});

/** Refuses writes of one process: those to its journal, or all. */
function failWrites({ host }: TestMember, isRefused: (bytes: Uint8Array) => boolean): void {
  const write = host.device.write.bind(host.device);
  Object.assign(host.device, {
    write: (offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions) => {
      if (!isRefused(bytes)) return write(offsetBytes, bytes, options);
      const facts = { device: host.device.url, offsetBytes, lengthBytes: bytes.length };
      return Promise.reject(new DeviceError("ERR_HOLDFAST_DEVICE_WRITE", "bad path", facts));
    },
  });
}

function isJournal(bytes: Uint8Array): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) === JOURNAL_MAGIC;
}

/** First block of a member's journal: where its first entry stands. */
function journalOf({ device }: MemberWorld, { member }: TestMember): bigint {
  for (let block = 0n; block < device.sizeBytes / BigInt(BLOCK_BYTES); block += 1n) {
    const bytes = device.block(block);
    const rid = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true);
    if (isJournal(bytes) && rid === member.rid) return block;
  }
  throw new Error("the member has written nothing to its journal");
}

test("a volume that was formatted under its voters ends their membership, and serves whoever opens the new one", async () => {
  const world = await MemberWorld.format();
  const old = [await world.open(), await world.open()];

  await world.finish(formatVolume(world.device, { label: "new", votes: 1, termsMax: 16 }, world.random));
  await world.until(() => old.every(({ losses }) => losses.length > 0));
  for (const { member } of old) await world.finish(member.close().catch(() => {}));

  for (const { losses } of old) expect(losses).toMatchObject([{ code: "ERR_HOLDFAST_TERMS_FOREIGN" }]);
  const member = await world.open();
  await put(member, world, "k", "1");
  expect(await world.finish(member.member.status())).toMatchObject({ term: 2n });
});

test("a volume that was formatted under a member that does not vote ends its membership: it looked for a server for ever", async () => {
  const world = await MemberWorld.format();
  const [server, guest] = [await world.open(), await world.open({ listenAddress: undefined })];

  await world.finish(formatVolume(world.device, { label: "new", votes: 1, termsMax: 16 }, world.random));
  server.host.kill();
  await world.until(() => guest.losses.length > 0);

  expect(guest.losses).toMatchObject([{ code: "ERR_HOLDFAST_TERMS_FOREIGN" }]);
  await expect(world.finish(put(guest, world, "k", "1"))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_TERMS_FOREIGN",
  });
});
