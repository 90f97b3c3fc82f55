import { BTree } from "@holdfast/btree";
import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  NO_QUARANTINE,
  type QuarantineEntry,
  QuarantineTotals,
  isQuarantineAlarming,
  quarantineEntry,
  quarantineKey,
  quarantineRange,
  quarantineValue,
  quarantineWith,
  quarantineWithout,
} from "../src/index.ts";
import { BlockStore, entriesOf } from "./block-store.ts";

function entry(owner: bigint, start: bigint, lengthBlocks: number): QuarantineEntry {
  return { extent: { start, lengthBlocks }, owner, term: 4n };
}

test("everything of one owner is one range of the tree, and reads back as it was put", async () => {
  const tree = new BTree(NO_BLOCK, new BlockStore());
  const last = (1n << 64n) - 1n;
  const entries = [
    entry(6n, 900n, 1),
    entry(7n, 10n, 20),
    entry(7n, 500n, 3),
    entry(8n, 1n, 1),
    entry(last, 40n, 2),
  ];
  for (const each of entries)
    await tree.put(quarantineKey(each.owner, each.extent.start), quarantineValue(each));

  const ofSeven = (await entriesOf(tree, quarantineRange(7n))).map(quarantineEntry);
  const ofLast = (await entriesOf(tree, quarantineRange(last))).map(quarantineEntry);

  expect(ofSeven).toEqual([entry(7n, 10n, 20), entry(7n, 500n, 3)]);
  expect(ofLast).toEqual([entry(last, 40n, 2)]);
});

test("a malformed entry is refused", () => {
  const { key, value } = { key: quarantineKey(7n, 10n), value: quarantineValue(entry(7n, 10n, 1)) };

  for (const malformed of [
    { key: key.subarray(1), value },
    { key, value: value.subarray(1) },
    { key, value: new Uint8Array(value.length) },
  ]) {
    expect(() => quarantineEntry(malformed)).toThrow(
      expect.objectContaining({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" }),
    );
  }
});

test("totals follow what comes and goes, and never become negative", () => {
  const [first, second] = [entry(7n, 10n, 20).extent, entry(7n, 90n, 5).extent];
  const totals = quarantineWith(quarantineWith(NO_QUARANTINE, first), second);

  expect(totals).toEqual({ blocks: 25, extentCount: 2 });
  expect(quarantineWithout(totals, first)).toEqual({ blocks: 5, extentCount: 1 });
  expect(QuarantineTotals.decode(QuarantineTotals.encode(totals))).toEqual(totals);
  expect(() => quarantineWithout(NO_QUARANTINE, first)).toThrow(
    expect.objectContaining({ code: "ERR_HOLDFAST_FREE_SPACE_CORRUPT" }),
  );
});

test("more than ten per cent of a volume in quarantine raises the alarm", () => {
  expect(isQuarantineAlarming({ blocks: 100, extentCount: 1 }, 1000)).toBe(false);
  expect(isQuarantineAlarming({ blocks: 101, extentCount: 1 }, 1000)).toBe(true);
});
