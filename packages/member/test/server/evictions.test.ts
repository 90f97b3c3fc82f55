import { MIB } from "@holdfast/environment";
import { Journal, userKey } from "@holdfast/item-store";
import { SegmentReader } from "@holdfast/segment";
import { expect, test } from "vitest";
import type { JoinReply } from "../../src/protocol.ts";
import { Evictions } from "../../src/server/evictions.ts";
import { ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const OWN = 1n;
const DEAD = 11n;
const encoder = new TextEncoder();

interface Rig {
  readonly server: ServerRig;
  readonly evictions: Evictions;
  readonly done: bigint[];
  readonly fatal: unknown[];
}

/** A server with its own member; evictions may begin when that is counted in. */
async function rig(server: ServerRig, rid = OWN, ownMember = Promise.resolve()): Promise<Rig> {
  const { device, fsid, clock } = server.world;
  const done: bigint[] = [];
  const fatal: unknown[] = [];
  await server.join(rid);
  const evictions = new Evictions({
    device,
    fsid,
    rid,
    term: server.server.leadership.term,
    clock,
    committer: server.server.committer,
    ownMember,
    onDone: (member) => done.push(member),
    onFatal: (error) => fatal.push(error),
    log: server.log,
  });
  return { server, evictions, done, fatal };
}

async function start(sizeBytes = 32 * MIB): Promise<Rig> {
  return await rig(await ServerRig.start(await ServerWorld.format(sizeBytes), OWN));
}

/** A member that acknowledged writes and died. */
async function dies({ server }: Rig, keys: readonly string[], value = "acknowledged"): Promise<JoinReply> {
  const joined = await server.join(DEAD);
  const [first, second] = joined.journal;
  if (first === undefined || second === undefined) throw new Error("a journal has two halves");
  const { device, fsid } = server.world;
  const journal = new Journal({ device, fsid, rid: DEAD, region: { first, second } });
  for (const key of keys) {
    const bytes = encoder.encode(value);
    journal.entry.begin(48 + bytes.length);
    journal.entry.add(userKey(1n, encoder.encode(key)), 5n, bytes);
    await journal.append();
  }
  return joined;
}

async function valueOf({ server }: Rig, key: string): Promise<string | undefined> {
  const { device, fsid } = server.world;
  const wanted = userKey(1n, encoder.encode(key));
  const view = await server.server.trees.manifest.view();
  for (const ref of view.sourcesFor(wanted)) {
    const found = await (await SegmentReader.open(device, fsid, ref)).get(wanted);
    if (found !== undefined) return Buffer.from(found.value ?? []).toString();
  }
  return undefined;
}

test("a member is marked once, and each mark raises the generation that members look at", async () => {
  const server = await start();
  await dies(server, []);

  expect(await server.evictions.mark(DEAD)).toBe(true);
  expect(await server.evictions.mark(DEAD)).toBe(false);
  expect(await server.evictions.mark(99n)).toBe(false);

  expect(server.server.server.committer.committed.evictGeneration).toBe(1n);
  expect((await server.server.server.trees.members.get(DEAD))?.isEvicted).toBe(true);
});

test("what a dead member acknowledged becomes segments; what it could write to is quarantined; nothing else is left of it", async () => {
  const server = await start();
  const { journal } = await dies(server, ["a", "b", "c"]);
  const held = [await server.server.take(DEAD, 100), await server.server.take(DEAD, 7)];
  await server.evictions.mark(DEAD);
  const { quarantine } = server.server.server.committer.committed;

  await server.evictions.finish(DEAD);

  expect(server.done).toEqual([DEAD]);
  expect(await valueOf(server, "b")).toBe("acknowledged");
  const { trees, committer } = server.server.server;
  expect(await trees.members.get(DEAD)).toBeUndefined();
  expect(await trees.members.grants(DEAD)).toEqual([]);
  expect(await trees.members.grants(OWN)).toEqual([]);
  const lost = [...journal, ...held].reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  expect(committer.committed.quarantine.blocks - quarantine.blocks).toBe(lost);
  expect(await server.server.missingBlocks()).toBe(1);
});

test("a member that had written nothing leaves no segment", async () => {
  const server = await start();
  await dies(server, []);
  await server.evictions.mark(DEAD);

  await server.evictions.finish(DEAD);

  expect(await server.server.server.trees.manifest.list()).toEqual([]);
  expect(server.server.server.committer.committed.manifestVersion).toBe(1n);
  expect(server.done).toEqual([DEAD]);
});

test("who was evicted before it heard that it had joined joins anew: another number, a journal of its own, nothing of before", async () => {
  const server = await start();
  const before = await server.server.join(DEAD);
  await server.evictions.mark(DEAD);
  await server.evictions.finish(DEAD);

  const again = await server.server.join(DEAD);

  expect(again.number).toBeGreaterThan(before.number);
  expect(again.evictGeneration).toBe(1n);
  const old = new Set(before.journal.map(({ start: block }) => block));
  expect(again.journal.filter(({ start: block }) => old.has(block))).toEqual([]);
  const { trees, committer } = server.server.server;
  expect(await trees.members.get(DEAD)).toMatchObject({ number: again.number, isEvicted: false });
  expect(await trees.members.grants(DEAD)).toEqual([]);
  const lost = before.journal.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  expect(committer.committed.quarantine.blocks).toBeGreaterThanOrEqual(lost);
  expect(await server.server.missingBlocks()).toBe(1);
});

test("one who is gone already is done at once", async () => {
  const server = await start();

  await server.evictions.finish(DEAD);

  expect(server.done).toEqual([DEAD]);
  expect(server.server.events).not.toContain("member.evicted");
});

test("an eviction that is asked for twice at once runs once", async () => {
  const server = await start();
  await dies(server, ["a"]);
  await server.evictions.mark(DEAD);

  await Promise.all([server.evictions.finish(DEAD), server.evictions.finish(DEAD)]);

  expect(await server.server.server.trees.manifest.list()).toHaveLength(1);
  expect(server.server.events.filter((event) => event === "member.evicted")).toHaveLength(1);
  expect(await server.server.missingBlocks()).toBe(1);
});

test("an eviction that one server began is finished by the next: each item once, no block lost", async () => {
  const server = await start();
  await dies(server, ["a", "b"]);
  await server.server.take(DEAD, 50);
  await server.evictions.mark(DEAD);
  const { device, layout } = server.server.world;
  let hasDied = false;
  device.onWrite = ({ bytes }) => {
    // The record of the last commit of the eviction never gets to the device.
    if (bytes.length === 4096 && hasDied) throw new Error("died");
    hasDied ||= bytes.length > 4096 && bytes.length < 64 * 1024 && layout.termsMax > 0;
  };
  await expect(server.evictions.finish(DEAD)).rejects.toBeDefined();
  expect(server.done).toEqual([]);
  device.onWrite = () => {};

  const next = await rig(await ServerRig.start(server.server.world, 2n), 2n);
  await next.evictions.finish(DEAD);

  expect(await valueOf(next, "a")).toBe("acknowledged");
  expect(await next.server.server.trees.manifest.list()).toHaveLength(1);
  expect(await next.server.missingBlocks()).toBe(1);
  expect(next.done).toEqual([DEAD]);
});

test("without space for its items a dead member's locks wait, nothing leaks, and it is tried again", async () => {
  const server = await start(16 * MIB);
  await dies(server, ["a"]);
  await server.evictions.mark(DEAD);
  const all = await takeAll(server);
  // Too little for a segment, which shows only when it was taken.
  const [some] = all;
  if (some !== undefined) await server.server.give(OWN, [{ ...some, lengthBlocks: 1 }]);
  const { freeBlocks } = server.server.server.trees.free;

  await server.evictions.finish(DEAD);
  await server.server.world.clock.advance(2500);

  expect(server.done).toEqual([]);
  expect(server.server.events.filter((event) => event === "member.eviction-waits")).toHaveLength(3);
  expect(server.server.server.trees.free.freeBlocks).toBe(freeBlocks);
  const [first, ...others] = all;
  if (first !== undefined)
    await giveAll(server, [{ start: first.start + 1n, lengthBlocks: first.lengthBlocks - 1 }, ...others]);
  await server.server.world.clock.advance(1000);
  expect(server.done).toEqual([DEAD]);
  expect(await valueOf(server, "a")).toBe("acknowledged");
  expect(await server.server.missingBlocks()).toBe(1);
  expect(server.server.world.clock.timersCount).toBe(0);
});

test("a journal that lacks what was acknowledged is never replayed in part", async () => {
  const server = await start();
  const { journal } = await dies(server, ["a", "b", "c"]);
  await server.evictions.mark(DEAD);
  server.server.world.device.damage((journal[0]?.start ?? 0n) + 1n);

  await expect(server.evictions.finish(DEAD)).rejects.toMatchObject({ code: "ERR_HOLDFAST_JOURNAL_DAMAGED" });

  expect(server.done).toEqual([]);
  expect(await server.server.server.trees.members.get(DEAD)).toBeDefined();
});

test("nothing is replayed before the server's own member is there to hold the blocks", async () => {
  const world = await ServerWorld.format();
  let come = (): void => {};
  const ownMember = new Promise<void>((resolve) => {
    come = resolve;
  });
  const server = await rig(await ServerRig.start(world, OWN), OWN, ownMember);
  await dies(server, ["a"]);
  await server.evictions.mark(DEAD);
  const finished = server.evictions.finish(DEAD);
  await world.clock.advance(100);
  expect(server.done).toEqual([]);

  come();
  await finished;

  expect(server.done).toEqual([DEAD]);
});

test("a server that closes waits for the eviction that runs, and begins no other", async () => {
  const server = await start();
  await dies(server, ["a"]);
  await server.evictions.mark(DEAD);
  const order: string[] = [];
  const running = server.evictions.finish(DEAD).then(() => order.push("evicted"));
  await Promise.resolve();

  await server.evictions.close().then(() => order.push("closed"));
  await running;
  await server.evictions.finish(99n);

  expect(order).toEqual(["evicted", "closed"]);
  expect(server.done).toEqual([DEAD]);
});

async function takeAll({ server }: Rig): Promise<readonly { start: bigint; lengthBlocks: number }[]> {
  return await server.server.committer.mutate(async (trees) => {
    const taken = [];
    while (trees.free.freeBlocks - trees.free.unsettledBlocks > 0) {
      const extent = await trees.take(1_000_000, "a test");
      await trees.members.grant(OWN, extent);
      taken.push(extent);
    }
    return taken;
  });
}

async function giveAll(
  { server }: Rig,
  extents: readonly { start: bigint; lengthBlocks: number }[],
): Promise<void> {
  for (const extent of extents) await server.give(OWN, [extent]);
}
