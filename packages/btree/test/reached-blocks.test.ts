import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { BTree } from "../src/index.ts";
import { BlockStore, shapeOf } from "./block-store.ts";

const PAYLOAD_BYTES_MAX = 164;

function bytesOf(number: number): Uint8Array {
  return new Uint8Array([number >>> 16, number >>> 8, number]);
}

async function reached(tree: BTree): Promise<bigint[]> {
  const blocks: bigint[] = [];
  for await (const block of tree.reachedBlocks()) blocks.push(block);
  return blocks.toSorted((a, b) => (a < b ? -1 : 1));
}

async function flushed(store: BlockStore, count: number): Promise<BTree> {
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  for (let number = 0; number < count; number += 1) await tree.put(bytesOf(number), bytesOf(number));
  await tree.flush(store, 1n);
  return tree;
}

test("a tree names every block it reaches, and reads no leaf for it", async () => {
  const store = new BlockStore();
  const { root } = await flushed(store, 300);
  const { addresses } = await shapeOf(store, root, PAYLOAD_BYTES_MAX);
  const reopened = new BTree(root, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  store.readCount = 0;

  const blocks = await reached(reopened);

  expect(blocks).toEqual(addresses.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(store.readCount).toBeLessThan(addresses.length / 2);
});

test("nodes that have changed since the last flush are reached no more, and their new selves have no block yet", async () => {
  const store = new BlockStore();
  const tree = await flushed(store, 300);
  const before = await reached(tree);

  await tree.put(bytesOf(150), bytesOf(7));

  const after = await reached(tree);
  expect(before.length - after.length).toBe(tree.dirtyNodeCount);
  expect(before).toEqual(expect.arrayContaining(after));
});

test("a tree of one leaf reaches one block, an empty one none", async () => {
  const store = new BlockStore();
  const tree = await flushed(store, 1);

  expect(await reached(tree)).toEqual([tree.root.address]);
  expect(await reached(new BTree(NO_BLOCK, store))).toEqual([]);
});
