import { readFileSync } from "node:fs";
import { BTree } from "@holdfast/btree";
import { NO_BLOCK, toHex } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  Extent,
  FREE_SPACE_FORMAT,
  FreeSpace,
  FreeSpaceCounters,
  NO_FREE_SPACE,
  QuarantineTotals,
  QuarantineValue,
  quarantineKey,
  quarantineValue,
} from "../src/index.ts";
import { BlockStore, entriesOf } from "./block-store.ts";

const document = readFileSync(new URL("../../../docs/formats/extents.md", import.meta.url), "utf8");

test.each([Extent, FreeSpaceCounters, QuarantineValue, QuarantineTotals])(
  "the documented table of $name is the declared one",
  ({ table }) => {
    expect(document).toContain(table);
  },
);

test("a free extent stands in its tree by start and by length", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());
  await new FreeSpace(tree, { start: 1n, lengthBlocks: 9999 }, NO_FREE_SPACE).add({
    start: 0x0102n,
    lengthBlocks: 0x0304,
  });

  const entries = (await entriesOf(tree)).map(({ key, value }) => [toHex(key), toHex(value)]);

  expect(entries).toEqual([
    ["010000000000000102", "0403000000000000"],
    ["0200000000000003040000000000000102", ""],
  ]);
});

test("an extent in quarantine stands in its tree by owner and start", () => {
  const entry = { extent: { start: 0x0102n, lengthBlocks: 3 }, owner: 0xabn, term: 4n };

  expect(toHex(quarantineKey(entry.owner, entry.extent.start))).toBe("00000000000000ab0000000000000102");
  expect(toHex(quarantineValue(entry))).toBe("03000000000000000400000000000000");
});

test("the signature of the free-space tree changes with its layout", () => {
  expect(FREE_SPACE_FORMAT.signature).toBe(
    "FreeSpace{1,start:u64be=>FreeExtent{lengthBlocks:u53};2,length:u64be,start:u64be=>}",
  );
});
