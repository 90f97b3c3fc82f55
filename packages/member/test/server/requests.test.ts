import { MIB } from "@holdfast/environment";
import { CompactionRefusedError } from "@holdfast/compaction";
import { DeposedError } from "@holdfast/quorum";
import { SegmentRef } from "@holdfast/segment";
import { MessageError } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { NoSpaceError, NotGrantedError } from "../../src/index.ts";
import {
  Command,
  ExtentMessage,
  ManifestReply,
  RecordSegmentsRequest,
  Membership,
  MEMBERS_MAX,
  Refusal,
  TakeExtentRequest,
} from "../../src/protocol.ts";
import { RefusedError, refusalFor } from "../../src/server/refusals.ts";
import { DRAINED, ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const A = 11n;
const B = 12n;

async function rig(sizeBytes?: number): Promise<ServerRig> {
  return await ServerRig.start(await ServerWorld.format(sizeBytes), 1n);
}

test("a member that joins gets a number of its own and two halves of a journal", async () => {
  const server = await rig();
  const [a, b] = [await server.join(A), await server.join(B)];

  expect([a.number, b.number]).toEqual([1, 2]);
  const starts = [...a.journal, ...b.journal].map(({ start }) => start);
  expect(new Set(starts).size).toBe(4);
  expect(a.journal.map(({ lengthBlocks }) => lengthBlocks)).toEqual([256, 256]);
  expect(await server.missingBlocks()).toBe(1);
});

test("a join that is repeated, here or at the next server, gets the answer it had", async () => {
  const server = await rig();
  const first = await server.join(A);

  expect(await server.join(A)).toEqual(first);
  const next = await ServerRig.start(server.world, 2n);
  expect(await next.join(A)).toEqual(first);

  expect((await next.server.trees.members.list()).size).toBe(1);
  expect(await next.missingBlocks()).toBe(1);
});

test("a member that is being evicted joins no more", async () => {
  const server = await rig();
  await server.join(A);
  await markEvicted(server, A);

  await expect(server.join(A)).rejects.toMatchObject({ facts: { refusal: Refusal.evicted } });
});

test("a join without space for a journal changes nothing", async () => {
  const server = await rig(16 * MIB);
  let rid = A;
  let refusal: unknown;
  while (refusal === undefined) {
    rid += 1n;
    refusal = await server.join(rid).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  expect(refusal).toBeInstanceOf(NoSpaceError);
  expect(rid).toBeGreaterThan(A + 1n);
  expect((await server.server.trees.members.list()).size).toBe(Number(rid - A) - 1);
  expect(server.server.trees.state.nextMember).toBe(Number(rid - A));
  expect(await server.missingBlocks()).toBe(1);
});

test("a volume has no more members than one status can name", async () => {
  const server = await rig();
  await server.join(A);
  const record = await server.server.trees.members.get(A);
  if (record === undefined) throw new Error("it never joined");
  const rids = Array.from({ length: MEMBERS_MAX - 1 }, (_, index) => 1000n + BigInt(index));
  for (let from = 0; from < rids.length; from += 64)
    await server.server.committer.mutate(async (trees) => {
      for (const rid of rids.slice(from, from + 64)) await trees.members.put(rid, record);
    });

  await expect(server.join(B)).rejects.toMatchObject({ facts: { refusal: Refusal.tooManyMembers } });
  await expect(server.join(A)).resolves.toMatchObject({ number: 1 });
});

test("numbers of members end before they meet those of compactions", async () => {
  const server = await rig();
  await server.server.committer.mutate(async (trees) => trees.amend({ nextMember: 2 ** 23 }));

  await expect(server.join(A)).rejects.toMatchObject({ facts: { refusal: Refusal.tooManyMembers } });
});

test("blocks are taken and given back to the last one", async () => {
  const server = await rig();
  await server.join(A);
  const before = server.server.trees.free.freeBlocks;
  const extent = await server.take(A, 300);
  expect(extent.lengthBlocks).toBe(300);
  expect(before - server.server.trees.free.freeBlocks).toBe(300);

  await server.give(A, [
    { start: extent.start + 100n, lengthBlocks: 100 },
    { start: extent.start, lengthBlocks: 100 },
  ]);
  await server.give(A, [{ start: extent.start + 200n, lengthBlocks: 100 }]);

  expect(await server.server.trees.members.grants(A)).toEqual([]);
  expect(server.server.trees.free.freeBlocks).toBe(before);
});

test("what may still be written goes into quarantine and not back to the free blocks", async () => {
  const server = await rig();
  await server.join(A);
  const extent = await server.take(A, 50);
  const { freeBlocks } = server.server.trees.free;
  const { quarantine } = server.server.committer.committed;

  await server.give(A, [extent], true);

  expect(server.server.trees.free.freeBlocks).toBe(freeBlocks);
  expect(server.server.committer.committed.quarantine.blocks).toBe(quarantine.blocks + 50);
  expect(await server.server.trees.members.grants(A)).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test("nobody gives what is not his, in part or whole, and then nothing is given", async () => {
  const server = await rig();
  await server.join(A);
  await server.join(B);
  const [mine, others] = [await server.take(A, 10), await server.take(B, 10)];

  await expect(server.give(A, [mine, others])).rejects.toBeInstanceOf(NotGrantedError);
  await expect(server.give(A, [{ ...mine, lengthBlocks: 11 }])).rejects.toBeInstanceOf(NotGrantedError);

  expect(await server.server.trees.members.grants(A)).toEqual([mine]);
  expect(await server.missingBlocks()).toBe(1);
});

test("without space a member is told so, and can ask again under the same number", async () => {
  const server = await rig(16 * MIB);
  await server.join(A);
  const all = await server.take(A, 1_000_000);
  const rest = await server.take(A, 1_000_000).catch((error: unknown) => error);
  const body = TakeExtentRequest.encode({ operation: 100n, seen: 0n, blocks: 10 });
  await expect(server.requests.takeExtent(A, body)).rejects.toBeInstanceOf(NoSpaceError);

  await server.give(A, [all]);

  const given = ExtentMessage.decode(await server.requests.takeExtent(A, body));
  expect(given.lengthBlocks).toBe(10);
  expect(rest).toBeInstanceOf(NoSpaceError);
});

test("an operation that one server applied and the next one is asked for again happens once", async () => {
  const server = await rig();
  await server.join(A);
  const take = TakeExtentRequest.encode({ operation: 7n, seen: 0n, blocks: 40 });
  const first = await server.requests.takeExtent(A, take);
  expect(await server.requests.takeExtent(A, take)).toEqual(first);

  const next = await ServerRig.start(server.world, 2n);

  expect(await next.requests.takeExtent(A, take)).toEqual(first);
  expect((await next.server.trees.members.grants(A)).map(({ lengthBlocks }) => lengthBlocks)).toEqual([40]);
  expect(await next.missingBlocks()).toBe(1);
});

test("segments that were recorded at one server are not recorded again at the next", async () => {
  const server = await rig();
  await server.join(A);
  const segment = await server.write(A, ["a", "b"]);
  const replay = recordBody(segment);
  await server.requests.recordSegments(A, replay);
  const next = await ServerRig.start(server.world, 2n);

  await next.requests.recordSegments(A, replay);

  expect((await next.server.trees.manifest.list()).map(({ id }) => id)).toEqual([segment.id]);
  expect(next.server.committer.committed.manifestVersion).toBe(2n);
  expect((await next.server.trees.members.get(A))?.journalEpoch).toBe(3n);
  expect(await next.missingBlocks()).toBe(1);
});

test("results are kept until the member says that it has them", async () => {
  const server = await rig();
  await server.join(A);
  const take = (operation: bigint, seen: bigint): Promise<Uint8Array> =>
    server.requests.takeExtent(A, TakeExtentRequest.encode({ operation, seen, blocks: 1 }));
  for (const operation of [1n, 2n, 3n]) await take(operation, 0n);

  await take(4n, 2n);

  const { members } = server.server.trees;
  const kept = await Promise.all([1n, 2n, 3n, 4n].map((operation) => members.result(A, operation)));
  expect(kept.map((result) => result !== undefined)).toEqual([false, false, true, true]);
});

test.each([
  ["of a deeper level", { level: 1 }],
  ["with an age of its own", { order: 5n }],
  ["under another member's number", { id: (2n << 40n) + 1n }],
  ["that ends before it begins", { last: new Uint8Array(32) }],
  ["whose footer stands elsewhere", { footer: { address: 1n, seq: 1n, hash: new Uint8Array(16) } }],
])("a segment %s does not get into the manifest", async (_, change) => {
  const server = await rig();
  await server.join(A);
  const segment = await server.write(A, ["a", "b"]);

  await expect(server.record(A, [{ ...segment, ...change }])).rejects.toBeInstanceOf(RangeError);

  expect(await server.server.trees.manifest.list()).toEqual([]);
  await expect(server.record(A, [segment])).resolves.toBeDefined();
});

test("a segment in blocks of somebody else, or an epoch that falls, is refused and changes nothing", async () => {
  const server = await rig();
  await server.join(A);
  await server.join(B);
  const [mine, others] = [await server.write(A, ["a"]), await server.write(B, ["b"])];
  await server.record(A, [], 5n);

  await expect(server.record(A, [mine, { ...others, id: mine.id + 1n }], 5n)).rejects.toBeInstanceOf(
    NotGrantedError,
  );
  await expect(server.record(A, [mine], 4n)).rejects.toBeInstanceOf(RangeError);

  expect(await server.server.trees.manifest.list()).toEqual([]);
  expect((await server.server.trees.members.get(A))?.journalEpoch).toBe(5n);
});

test("whoever is no member, or is being evicted, has nothing done for it", async () => {
  const server = await rig();
  await server.join(A);
  const extent = await server.take(A, 10);
  await markEvicted(server, A);
  const evicted = { facts: { refusal: Refusal.evicted } };

  await expect(server.take(A, 1)).rejects.toMatchObject(evicted);
  await expect(server.give(A, [extent])).rejects.toMatchObject(evicted);
  await expect(server.requests.confirm(A)).rejects.toMatchObject(evicted);
  await expect(server.requests.farewell(A, DRAINED)).rejects.toMatchObject(evicted);
  await expect(server.requests.confirm(B)).rejects.toMatchObject(evicted);

  expect(await server.server.trees.members.grants(A)).toEqual([extent]);
});

test("a member is confirmed with the number of evictions so far", async () => {
  const server = await rig();
  await server.join(A);
  await server.join(B);
  await markEvicted(server, B);

  expect(Membership.decode(await server.requests.confirm(A))).toEqual({ evictGeneration: 1n, votes: 1 });
});

test("a member with more extents than one commit should touch leaves, and is evicted, in several", async () => {
  const server = await rig(64 * MIB);
  await server.join(A);
  await server.join(B);
  const { freeBlocks } = server.server.trees.free;
  const kept = [];
  for (let index = 0; index < 150; index += 1) {
    await server.take(A, 1);
    kept.push(await server.take(B, 1));
  }
  await server.requests.farewell(A, DRAINED);
  expect(freeBlocks + 512 - server.server.trees.free.freeBlocks).toBe(150);

  await server.give(B, kept.slice(0, 32));

  expect((await server.server.trees.members.grants(B)).length).toBe(118);
  expect(server.server.fatal).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test("a farewell frees everything of a member, and is one however often it is said, wherever", async () => {
  const server = await rig();
  const { freeBlocks } = server.server.trees.free;
  await server.join(A);
  await server.take(A, 100);
  await server.requests.farewell(A, DRAINED);
  expect(server.server.trees.free.freeBlocks).toBe(freeBlocks);
  expect((await server.server.trees.members.list()).size).toBe(0);

  await server.requests.farewell(A, DRAINED);
  const next = await ServerRig.start(server.world, 2n);
  await next.requests.farewell(A, DRAINED);

  expect(server.events.filter((event) => event === "member.left")).toHaveLength(1);
  expect(next.events).not.toContain("member.left");
  expect(await next.missingBlocks()).toBe(1);
});

test("the manifest that is told is the committed one, by a server that is not superseded", async () => {
  const server = await rig();
  await server.join(A);
  await server.record(A, [await server.write(A, ["a"])]);
  const { version } = ManifestReply.decode(await server.requests.manifest());
  expect(version).toBe(2n);

  await server.world.elect(2n);

  await expect(server.requests.manifest()).rejects.toBeInstanceOf(DeposedError);
  await expect(server.requests.renew()).rejects.toBeInstanceOf(DeposedError);
  await expect(server.requests.confirm(A)).rejects.toBeInstanceOf(DeposedError);
});

test("a command that does not exist is refused as that", async () => {
  const server = await rig();
  const error = await server.requests.handle(A, 999, new Uint8Array(0)).catch((reason: unknown) => reason);

  expect(refusalFor(error)).toBe(Refusal.unknownCommand);
});

test.each([Command.takeExtent, Command.giveExtents, Command.recordSegments, Command.compacted])(
  "garbage under command %d is refused as malformed",
  async (command) => {
    const server = await rig();
    await server.join(A);
    for (const garbage of [new Uint8Array(0), new Uint8Array([0xc1]), new TextEncoder().encode("hello")]) {
      const error = await server.requests.handle(A, command, garbage).catch((reason: unknown) => reason);
      expect(refusalFor(error)).toBe(Refusal.malformed);
    }
    await expect(server.requests.join(B, new Uint8Array([0x90]))).rejects.toBeInstanceOf(MessageError);
  },
);

test("each error travels as its own number, and a surprise as an internal one", () => {
  const numbers = [
    new RefusedError(Refusal.busy, "later"),
    new NoSpaceError(1, "a test"),
    new NotGrantedError(1n, { start: 1n, lengthBlocks: 1 }),
    new CompactionRefusedError(1n, "no"),
    new MessageError("ERR_HOLDFAST_MESSAGE_SHAPE", "no", "X"),
    new RangeError("no"),
    new TypeError("a bug"),
    undefined,
  ].map((error) => refusalFor(error));

  expect(numbers).toEqual([
    Refusal.busy,
    Refusal.noSpace,
    Refusal.notYours,
    Refusal.resultRefused,
    Refusal.malformed,
    Refusal.malformed,
    Refusal.internal,
    Refusal.internal,
  ]);
});

function markEvicted({ server }: ServerRig, rid: bigint): Promise<void> {
  return server.committer.mutate(async (trees) => {
    const record = await trees.members.get(rid);
    if (record === undefined) throw new Error("it never joined");
    await trees.members.put(rid, { ...record, isEvicted: true });
    trees.amend({ evictGeneration: trees.state.evictGeneration + 1n });
  });
}

function recordBody(segment: SegmentRef): Uint8Array {
  return RecordSegmentsRequest.encode({
    operation: 500n,
    seen: 0n,
    segments: [SegmentRef.encode(segment)],
    journalEpoch: 3n,
  });
}
