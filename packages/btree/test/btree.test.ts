import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { BTree, NodeCache } from "../src/index.ts";
import { BlockStore, shapeOf } from "./block-store.ts";

const PAYLOAD_BYTES_MAX = 164;

function bytesOf(number: number): Uint8Array {
  return new Uint8Array([number >>> 16, number >>> 8, number]);
}

async function fill(tree: BTree, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) await tree.put(bytesOf(number), bytesOf(number * 2));
}

async function keysOf(tree: BTree, range: Parameters<BTree["scan"]>[0] = {}): Promise<number[]> {
  const keys: number[] = [];
  for await (const { key } of tree.scan(range)) {
    keys.push(((key[0] ?? 0) << 16) | ((key[1] ?? 0) << 8) | (key[2] ?? 0));
  }
  return keys;
}

test("a new tree is empty and its root is no block", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);

  expect(await tree.get(bytesOf(1))).toBeUndefined();
  expect(await tree.delete(bytesOf(1))).toBe(false);
  expect(await keysOf(tree)).toEqual([]);
  expect(await tree.flush(store, 1n)).toEqual(NO_BLOCK);
  expect(store.writeCount).toBe(0);
});

test("a flushed tree reopens from its root with everything in order", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 500);

  const root = await tree.flush(store, 1n);
  const reopened = new BTree(root, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });

  expect(await keysOf(reopened)).toEqual(Array.from({ length: 500 }, (_, number) => number));
  expect(await reopened.get(bytesOf(123))).toEqual(bytesOf(246));
  expect((await shapeOf(store, root, PAYLOAD_BYTES_MAX)).levelCount).toBeGreaterThan(3);
});

test("a flush takes exactly as many blocks as there are dirty nodes", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 300);
  const needed = tree.dirtyNodeCount;

  await tree.flush(store, 1n);

  expect(store.writeCount).toBe(needed);
  expect(tree.dirtyNodeCount).toBe(0);
});

test("a flush after one change writes one node per level and frees the ones they replace", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 300);
  const { levelCount } = await shapeOf(store, await tree.flush(store, 1n), PAYLOAD_BYTES_MAX);
  const before = store.writeCount;

  await tree.put(bytesOf(150), bytesOf(9));
  expect(tree.dirtyNodeCount).toBe(levelCount);
  await tree.flush(store, 2n);

  expect(store.writeCount - before).toBe(levelCount);
  expect(store.freed).toHaveLength(levelCount);
});

test("putting the value that is there, or deleting what is not, makes nothing dirty", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 100);
  await tree.flush(store, 1n);

  await tree.put(bytesOf(50), bytesOf(100));
  await tree.delete(bytesOf(5000));

  expect(tree.isChanged).toBe(false);
});

test("deleting everything gives every block back and leaves no root", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 400);
  await tree.flush(store, 1n);

  for (let number = 0; number < 400; number += 1) expect(await tree.delete(bytesOf(number))).toBe(true);

  expect(tree.dirtyNodeCount).toBe(0);
  expect(tree.isChanged).toBe(true);
  expect(await tree.flush(store, 2n)).toEqual(NO_BLOCK);
  store.reclaim();
  expect(store.blocks.size).toBe(0);
});

test("a scan covers both ends of its range, in either direction", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 200);
  const range = { from: bytesOf(97), to: bytesOf(103) };

  expect(await keysOf(tree, range)).toEqual([97, 98, 99, 100, 101, 102, 103]);
  expect(await keysOf(tree, { ...range, isReverse: true })).toEqual([103, 102, 101, 100, 99, 98, 97]);
  expect(await keysOf(tree, { from: bytesOf(103), to: bytesOf(97) })).toEqual([]);
});

test("floor and ceiling find the nearest entry on their side of a gap", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore(), { payloadBytesMax: PAYLOAD_BYTES_MAX });
  for (let number = 10; number <= 1000; number += 10) await tree.put(bytesOf(number), bytesOf(0));

  expect((await tree.ceiling(bytesOf(101)))?.key).toEqual(bytesOf(110));
  expect((await tree.ceiling(bytesOf(110)))?.key).toEqual(bytesOf(110));
  expect((await tree.floor(bytesOf(109)))?.key).toEqual(bytesOf(100));
  expect(await tree.floor(bytesOf(9))).toBeUndefined();
  expect(await tree.ceiling(bytesOf(1001))).toBeUndefined();
});

test("a scan shows the tree as it was when the scan began, whatever is written meanwhile", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 200);
  const scan = tree.scan();
  await scan.next();

  for (let number = 0; number < 200; number += 1) await tree.delete(bytesOf(number));
  await tree.put(bytesOf(7000), bytesOf(1));
  await tree.flush(store, 1n);

  let count = 1;
  for await (const _ of scan) count += 1;
  expect(count).toBe(200);
  expect(await keysOf(tree)).toEqual([7000]);
});

test("a restored tree flushes what it was at the snapshot", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 100);
  await tree.flush(store, 1n);
  await tree.put(bytesOf(1), bytesOf(77));
  const snapshot = tree.snapshot();
  const dirtyNodeCount = tree.dirtyNodeCount;
  for (let number = 10; number < 90; number += 1) await tree.delete(bytesOf(number));

  tree.restore(snapshot);

  expect(tree.dirtyNodeCount).toBe(dirtyNodeCount);
  const reopened = new BTree(await tree.flush(store, 2n), store);
  expect(await keysOf(reopened)).toHaveLength(100);
  expect(await reopened.get(bytesOf(1))).toEqual(bytesOf(77));
});

test("a tree restored to before a flush is dirty again and flushes to other blocks", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);
  await tree.put(bytesOf(1), bytesOf(1));
  const snapshot = tree.snapshot();
  const first = await tree.flush(store, 1n);

  tree.restore(snapshot);

  expect(tree.root).toEqual(NO_BLOCK);
  expect(tree.dirtyNodeCount).toBe(1);
  const second = await tree.flush(store, 2n);
  expect(second.address).not.toBe(first.address);
  expect(await keysOf(new BTree(second, store))).toEqual([1]);
});

test("a flush that fails leaves the tree dirty and whole, and nothing in flight", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 200);
  const needed = tree.dirtyNodeCount;
  store.failingWrite = 5;

  await expect(tree.flush(store, 1n)).rejects.toThrow("the device refused");

  expect(tree.dirtyNodeCount).toBe(needed);
  expect(tree.root).toEqual(NO_BLOCK);
  const reopened = new BTree(await tree.flush(store, 2n), store);
  expect(await keysOf(reopened)).toHaveLength(200);
});

test("keys and values are copied when they are put", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());
  const [key, value] = [bytesOf(1), bytesOf(2)];
  await tree.put(key, value);

  key.fill(9);
  value.fill(9);

  expect(await tree.get(bytesOf(1))).toEqual(bytesOf(2));
});

test("a second writer at the same time is a broken invariant", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());

  const first = tree.put(bytesOf(1), bytesOf(1));

  expect(() => tree.restore(tree.snapshot())).toThrow("while it is being changed");
  await expect(tree.put(bytesOf(2), bytesOf(2))).rejects.toThrow("one writer at a time");
  await first;
  expect(await keysOf(tree)).toEqual([1]);
});

test("a snapshot restores only the tree it was taken from", () => {
  const [tree, other] = [new BTree(NO_BLOCK, new BlockStore()), new BTree(NO_BLOCK, new BlockStore())];

  expect(() => tree.restore(other.snapshot())).toThrow("a snapshot belongs to one tree");
});

test("keys of 64 bytes and values of 1024 fit, one byte more is refused", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);
  for (let number = 0; number < 40; number += 1) {
    await tree.put(new Uint8Array(64).fill(number), new Uint8Array(1024).fill(number));
  }

  await expect(tree.put(new Uint8Array(65), new Uint8Array(0))).rejects.toThrow(RangeError);
  await expect(tree.put(new Uint8Array(0), new Uint8Array(1025))).rejects.toThrow(RangeError);
  const reopened = new BTree(await tree.flush(store, 1n), store);
  expect(await reopened.get(new Uint8Array(64).fill(39))).toEqual(new Uint8Array(1024).fill(39));
});

test("the empty key is the least key and has a value like any other", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 100);
  await tree.put(new Uint8Array(0), bytesOf(5));

  const reopened = new BTree(await tree.flush(store, 1n), store, { payloadBytesMax: PAYLOAD_BYTES_MAX });

  expect(await reopened.get(new Uint8Array(0))).toEqual(bytesOf(5));
  expect((await reopened.ceiling(new Uint8Array(0)))?.value).toEqual(bytesOf(5));
});

test("a node's size option outside 164 … 4032 is refused", () => {
  expect(() => new BTree(NO_BLOCK, new BlockStore(), { payloadBytesMax: 163 })).toThrow(RangeError);
  expect(() => new BTree(NO_BLOCK, new BlockStore(), { payloadBytesMax: 4033 })).toThrow(RangeError);
});

test("nodes in the cache are not read again, and the cache never exceeds its limit", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  await fill(tree, 500);
  const root = await tree.flush(store, 1n);
  const cache = new NodeCache(10);
  const [first, second] = [new BTree(root, store, { cache }), new BTree(root, store, { cache })];

  await first.get(bytesOf(250));
  const readCount = store.readCount;
  await second.get(bytesOf(250));
  expect(store.readCount).toBe(readCount);

  await keysOf(first);
  expect(cache.nodeCount).toBe(10);
  expect(() => new NodeCache(0)).toThrow(RangeError);
});

test("a node of another version of the same block is not taken from the cache", async () => {
  const store = new BlockStore();
  const cache = new NodeCache(10);
  const tree = new BTree(NO_BLOCK, store, { cache });
  await tree.put(bytesOf(1), bytesOf(1));
  const root = await tree.flush(store, 1n);

  for (const foreign of [
    { ...root, seq: 2n },
    { ...root, hash: new Uint8Array(16) },
  ]) {
    await expect(new BTree(foreign, store, { cache }).get(bytesOf(1))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_BLOCK_STALE",
    });
  }
});
