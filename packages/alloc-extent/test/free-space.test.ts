import { BTree } from "@holdfast/btree";
import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { type Extent, FreeSpace, FreeSpaceCounters, NO_FREE_SPACE } from "../src/index.ts";
import { BlockStore, entriesOf } from "./block-store.ts";

const BOUNDS: Extent = { start: 100n, lengthBlocks: 1000 };

function extent(start: number, lengthBlocks: number): Extent {
  return { start: BigInt(start), lengthBlocks };
}

function commit(space: FreeSpace): void {
  space.commitStarted();
  space.commitDone();
}

async function spaceWith(...extents: readonly Extent[]): Promise<FreeSpace> {
  const space = new FreeSpace(new BTree(NO_BLOCK, new BlockStore()), BOUNDS, NO_FREE_SPACE);
  for (const free of extents) await space.add(free);
  commit(space);
  return space;
}

async function listed(space: FreeSpace): Promise<string[]> {
  const all: string[] = [];
  for await (const { start, lengthBlocks } of space.extents()) all.push(`${start}+${lengthBlocks}`);
  return all;
}

test("the smallest extent that is long enough is cut", async () => {
  const space = await spaceWith(extent(200, 50), extent(300, 20), extent(400, 30));

  expect(await space.allocate(18)).toEqual(extent(300, 18));
  expect(await listed(space)).toEqual(["200+50", "318+2", "400+30"]);
});

test("a request longer than every extent gets the longest, whole", async () => {
  const space = await spaceWith(extent(200, 50), extent(300, 20));

  expect(await space.allocate(500)).toEqual(extent(200, 50));
  expect(await space.allocate(500)).toEqual(extent(300, 20));
  expect(await space.allocate(500)).toBeUndefined();
  expect(space.freeBlocks).toBe(0);
});

test("extents of equal length are used in the order of the device, from the cursor on", async () => {
  const space = await spaceWith(extent(200, 10), extent(300, 10), extent(400, 10));

  expect(await space.allocate(10)).toEqual(extent(200, 10));
  await space.add(extent(200, 10));
  commit(space);

  expect(await space.allocate(10)).toEqual(extent(300, 10));
  expect(await space.allocate(10)).toEqual(extent(400, 10));
  expect(await space.allocate(10)).toEqual(extent(200, 10));
});

test("blocks that are freed and wanted again and again are taken from the whole device in turn", async () => {
  const space = await spaceWith(BOUNDS);
  const starts: bigint[] = [];

  for (let round = 0; round < 11; round += 1) {
    const taken = await space.allocate(100);
    starts.push(taken?.start ?? 0n);
    await space.add(taken ?? extent(0, 0));
    commit(space);
  }

  expect(starts).toEqual([100n, 200n, 300n, 400n, 500n, 600n, 700n, 800n, 900n, 1000n, 100n]);
});

test("what is freed is not handed out before the commit that frees it is recorded", async () => {
  const space = await spaceWith(extent(200, 10));
  const taken = await space.allocate(10);
  await space.add(taken ?? extent(0, 0));

  expect(await space.allocate(1)).toBeUndefined();
  expect(space.freeBlocks).toBe(10);
  expect(space.unsettledBlocks).toBe(10);
  space.commitStarted();
  expect(await space.allocate(1)).toBeUndefined();
  space.commitDone();

  expect(await space.allocate(10)).toEqual(extent(200, 10));
});

test("what is freed while a record is being written waits for the next one", async () => {
  const space = await spaceWith(extent(200, 10), extent(300, 10));
  await space.allocate(10);
  await space.allocate(10);
  await space.add(extent(200, 10));
  space.commitStarted();
  await space.add(extent(300, 10));
  space.commitDone();

  expect(await space.allocate(20)).toEqual(extent(200, 10));
  expect(await space.allocate(20)).toBeUndefined();
  commit(space);

  expect(await space.allocate(20)).toEqual(extent(300, 10));
});

test("the settled part of an extent is handed out, the unsettled part beside it is not", async () => {
  const space = await spaceWith(extent(200, 30));
  await space.remove(extent(210, 10));
  await space.add(extent(210, 10));

  expect(await listed(space)).toEqual(["200+30"]);
  expect(await space.allocate(30)).toEqual(extent(200, 10));
  expect(await space.allocate(30)).toEqual(extent(220, 10));
  expect(await space.allocate(30)).toBeUndefined();
});

test.each([
  ["whole", extent(200, 10)],
  ["its first block", extent(191, 10)],
  ["its last block", extent(209, 10)],
  ["a part of it", extent(203, 2)],
  ["more than it", extent(190, 40)],
])("freeing what is free already is refused: %s", async (_, again) => {
  const space = await spaceWith(extent(200, 10));

  await expect(space.add(again)).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_OVERLAP" });

  expect(space.counters.freeBlocks).toBe(10);
  await space.verify();
});

test("extents outside the volume's own blocks are refused", async () => {
  const space = await spaceWith();

  for (const foreign of [extent(99, 2), extent(1099, 2), extent(0, 1), extent(200, 0)]) {
    await expect(space.add(foreign)).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_INVALID" });
    await expect(space.remove(foreign)).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_INVALID" });
  }
});

test("exactly the blocks named are removed, if they are free and settled", async () => {
  const space = await spaceWith(extent(200, 10));
  await space.add(extent(220, 10));

  await space.remove(extent(204, 2));
  await expect(space.remove(extent(204, 1))).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_ABSENT" });
  await expect(space.remove(extent(220, 1))).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_ABSENT" });
  await expect(space.remove(extent(209, 2))).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_ABSENT" });

  expect(await listed(space)).toEqual(["200+4", "206+4", "220+10"]);
});

test("a restored free space has its tree, its counters and its unsettled blocks back", async () => {
  const space = await spaceWith(extent(200, 10), extent(300, 10));
  await space.remove(extent(300, 10));
  await space.add(extent(300, 5));
  const [snapshot, counters] = [space.snapshot(), space.counters];
  await space.allocate(7);
  await space.add(extent(305, 5));

  space.restore(snapshot);

  expect(space.counters).toEqual(counters);
  expect(space.unsettledBlocks).toBe(5);
  expect(await listed(space)).toEqual(["200+10", "300+5"]);
  await space.verify();
});

test("a transaction that outlives the start of a commit cannot be undone", async () => {
  const space = await spaceWith(extent(200, 10));
  const snapshot = space.snapshot();
  space.commitStarted();

  expect(() => space.restore(snapshot)).toThrow("no commit starts in the middle of a transaction");
  expect(() => space.commitStarted()).toThrow("one commit is in flight at a time");
});

test("two operations at the same time are a broken invariant", async () => {
  const space = await spaceWith(extent(200, 10));

  const first = space.allocate(1);

  await expect(space.allocate(1)).rejects.toThrow("one operation at a time");
  expect(await first).toEqual(extent(200, 1));
});

test("a request for no blocks, or for a part of one, is refused", async () => {
  const space = await spaceWith(extent(200, 10));

  expect(() => space.allocate(0)).toThrow(RangeError);
  expect(() => space.allocate(0.5)).toThrow(RangeError);
});

test("counters that do not fit the tree are found by a check and never become negative", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());
  await new FreeSpace(tree, BOUNDS, NO_FREE_SPACE).add(extent(200, 10));
  const wrong = new FreeSpace(tree, BOUNDS, { ...NO_FREE_SPACE, freeBlocks: 5, extentCount: 1 });

  await expect(wrong.verify()).rejects.toMatchObject({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" });
  await expect(wrong.allocate(10)).rejects.toMatchObject({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" });
  expect(wrong.freeBlocks).toBe(5);
});

test.each<
  readonly [string, (tree: BTree, entry: { key: Uint8Array; value: Uint8Array }) => Promise<unknown>]
>([
  ["is missing", (tree, { key }) => tree.delete(key)],
  ["has a malformed key", (tree, { key, value }) => tree.put(key.subarray(0, 8), value)],
  ["has a malformed value", (tree, { key, value }) => tree.put(key, new Uint8Array(value.length + 1))],
  [
    "has no blocks",
    (tree, { key }) =>
      tree.put(
        key.map((value, index) => (index > 0 && index < 9 ? 0 : value)),
        new Uint8Array(8),
      ),
  ],
])("a tree in which an entry of either order %s is found out", async (_, damage) => {
  for (const index of [0, 1]) {
    const tree = new BTree(NO_BLOCK, new BlockStore());
    const space = new FreeSpace(tree, BOUNDS, NO_FREE_SPACE);
    await space.add(extent(200, 10));
    commit(space);
    const entries = await entriesOf(tree);
    await damage(tree, entries[index] ?? { key: new Uint8Array(0), value: new Uint8Array(0) });

    await expect(space.verify()).rejects.toMatchObject({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" });
  }
});

test("entries that overlap, touch, lie out of bounds or belong to no order are found out", async () => {
  const entries = (space: Extent): [Uint8Array, Uint8Array][] => [
    [
      new Uint8Array([1, ...bigEndian(space.start)]),
      new Uint8Array(bigEndian(BigInt(space.lengthBlocks)).reverse()),
    ],
    [
      new Uint8Array([2, ...bigEndian(BigInt(space.lengthBlocks)), ...bigEndian(space.start)]),
      new Uint8Array(0),
    ],
  ];
  const foreign: [Uint8Array, Uint8Array][] = [[new Uint8Array([3]), new Uint8Array(0)]];

  for (const damage of [
    entries(extent(205, 9)),
    entries(extent(210, 1)),
    entries(extent(1099, 2)),
    foreign,
  ]) {
    const tree = new BTree(NO_BLOCK, new BlockStore());
    await new FreeSpace(tree, BOUNDS, NO_FREE_SPACE).add(extent(200, 10));
    for (const [key, value] of damage) await tree.put(key, value);
    const space = new FreeSpace(tree, BOUNDS, { freeBlocks: 19, extentCount: 2, cursor: 100n });

    await expect(space.verify()).rejects.toMatchObject({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" });
  }
});

function bigEndian(value: bigint): number[] {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return [...bytes];
}

test("an operation that fails half way changes nothing", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());
  const space = new FreeSpace(tree, BOUNDS, NO_FREE_SPACE);
  await space.add(extent(200, 10));
  await space.add(extent(220, 10));
  const entryByLength = (await entriesOf(tree)).at(-1)?.key ?? new Uint8Array(0);
  await tree.delete(entryByLength);
  const counters = space.counters;

  // The left neighbour is taken out before the right one turns out to be damaged.
  await expect(space.add(extent(210, 10))).rejects.toMatchObject({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" });

  expect(space.counters).toEqual(counters);
  expect(space.unsettledBlocks).toBe(20);
  await tree.put(entryByLength, new Uint8Array(0));
  await space.verify();
  await space.add(extent(210, 10));
  expect(await listed(space)).toEqual(["200+30"]);
});

test("counters read back from their bytes", () => {
  const counters = { freeBlocks: 12, extentCount: 3, cursor: 77n };

  expect(FreeSpaceCounters.decode(FreeSpaceCounters.encode(counters))).toEqual(counters);
});
