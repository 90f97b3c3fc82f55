import { readFileSync } from "node:fs";
import { BlockRef, NO_BLOCK, toHex } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { BTree, TREE_NODE_FORMAT, TreeEntryHeader, TreeNodeHeader } from "../src/index.ts";
import { BlockStore } from "./block-store.ts";

const document = readFileSync(new URL("../../../docs/formats/btree.md", import.meta.url), "utf8");

test("the documented tables are the declared ones", () => {
  expect(document).toContain(TreeNodeHeader.table);
  expect(document).toContain(TreeEntryHeader.table);
});

test("a leaf's bytes are header, then lengths, key and value of each entry", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);
  await tree.put(new Uint8Array([2]), new Uint8Array([0xaa, 0xbb]));
  await tree.put(new Uint8Array([1, 1]), new Uint8Array(0));

  const payload = await store.read(await tree.flush(store, 1n));

  expect(toHex(payload)).toBe("00000200020000010101020002aabb");
});

test("a branch's bytes name each child by its least key and its reference", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);
  for (let number = 0; number < 4; number += 1)
    await tree.put(new Uint8Array([number]), new Uint8Array(1024));
  const children: string[] = [];
  const writer = {
    allocate: () => store.allocate(),
    free: (ref: BlockRef) => store.free(ref),
    async write(address: bigint, seq: bigint, payload: Uint8Array): Promise<BlockRef> {
      const ref = await store.write(address, seq, payload);
      children.push(toHex(BlockRef.encode(ref)));
      return ref;
    },
  };

  const payload = await store.read(await tree.flush(writer, 1n));

  expect(toHex(payload)).toBe(`01000200002000${children[0]}01200002${children[1]}`);
});

test("the format's signature changes with any of its layouts", () => {
  expect(TREE_NODE_FORMAT.signature).toBe(
    "TreeNode{TreeNodeHeader{level:u8,reserved:u8,count:u16},TreeEntryHeader{keyLength:u8,valueLength:u16}," +
      "BlockRef{address:u64,seq:u64,hash:bytes(16)}}",
  );
});
