import { BTree } from "@holdfast/btree";
import { SegmentRef } from "@holdfast/segment";
import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { MANIFEST_KEY_BYTES, Manifest, ManifestError, manifestKey } from "../src/index.ts";
import { keyOf, refOf } from "./picture.ts";

function emptyTree(): BTree {
  return new BTree(NO_BLOCK, { read: () => Promise.reject(new Error("nothing was flushed")) });
}

async function manifestOf(...refs: readonly SegmentRef[]): Promise<Manifest> {
  const manifest = new Manifest(emptyTree());
  for (const ref of refs) await manifest.add(ref);
  return manifest;
}

const ids = (refs: readonly SegmentRef[]): bigint[] => refs.map(({ id }) => id);

test("a segment stands under its level, its first key and its id", () => {
  const key = manifestKey(refOf("b-d", 3, 0x0102n));

  expect(key).toHaveLength(MANIFEST_KEY_BYTES);
  expect([key[0], key[1], ...key.slice(33)]).toEqual([3, "b".charCodeAt(0), 0, 0, 0, 0, 0, 0, 1, 2]);
});

test("segments are listed by level and key, and leave by the same name", async () => {
  const [low, deep, other] = [refOf("k-m", 0, 1n), refOf("a-c", 2, 2n), refOf("d-f", 2, 3n)];
  const manifest = await manifestOf(other, deep, low);

  expect(ids(await manifest.list())).toEqual([1n, 2n, 3n]);
  expect(ids(await manifest.list(2))).toEqual([2n, 3n]);
  expect(await manifest.remove(deep)).toBe(true);
  expect(await manifest.remove(deep)).toBe(false);
  expect(ids(await manifest.list())).toEqual([1n, 3n]);
});

test("of level 0 the segment recorded last is the newest, whatever its id and its items' seq", async () => {
  const manifest = await manifestOf(
    { ...refOf("a-c", 0, 9n), order: 0n, seqMax: 100n },
    { ...refOf("a-c", 0, 2n), order: 0n, seqMax: 5n },
  );

  const { levels } = await manifest.view();

  expect(levels[0]?.map(({ id, order }) => [id, order])).toEqual([
    [2n, 2n],
    [9n, 1n],
  ]);
});

test.each([
  ["c", "c", [1n]],
  ["e", "f", [2n]],
  ["c", "k", [1n, 2n, 3n]],
  ["d", "d", []],
  ["x", "z", []],
])(
  "the segments of a level that overlap %s to %s are found, also one that starts before",
  async (start, end, found) => {
    const manifest = await manifestOf(
      refOf("a-c", 1, 1n),
      refOf("e-g", 1, 2n),
      refOf("k-m", 1, 3n),
      refOf("a-z", 2, 4n),
    );

    expect(ids(await manifest.overlapping(1, { start: keyOf(start), end: keyOf(end) }))).toEqual(found);
  },
);

test("on level 0 every overlapping segment is found", async () => {
  const manifest = await manifestOf(refOf("a-z", 0, 1n), refOf("b-c", 0, 2n), refOf("x-z", 0, 3n));

  expect(ids(await manifest.overlapping(0, { start: keyOf("d"), end: keyOf("e") }))).toEqual([1n]);
});

test("an entry that is no segment, or stands under another's key, is corruption", async () => {
  const tree = emptyTree();
  await tree.put(manifestKey(refOf("a-c", 1, 1n)), SegmentRef.encode(refOf("a-c", 1, 2n)));
  const short = emptyTree();
  await short.put(manifestKey(refOf("a-c", 1, 1n)), new Uint8Array(3));

  await expect(new Manifest(tree).list()).rejects.toThrow(ManifestError);
  await expect(new Manifest(short).view()).rejects.toMatchObject({
    code: "ERR_HOLDFAST_MANIFEST_CORRUPT",
    facts: { level: 1, segment: 1n },
  });
});
