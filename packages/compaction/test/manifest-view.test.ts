import { expect, test } from "vitest";
import { ManifestError, ManifestView } from "../src/index.ts";
import { keyOf, picture, refOf } from "./picture.ts";

const { view } = picture("a-m k-z", "a-c d-f k-p", "", "a-e g-h");
const ids = (refs: readonly { readonly id: bigint }[]): number[] => refs.map(({ id }) => Number(id));

test.each([
  ["b", [1, 3, 6]],
  ["g", [1, 7]],
  ["k", [2, 1, 5]],
  ["z", [2]],
  ["A", []],
])("the segments that may hold %s are found newest first: %s", (letter, expected) => {
  expect(ids(view.sourcesFor(keyOf(letter)))).toEqual(expected);
});

test("a range is read in runs of disjoint segments, newest first", () => {
  const range = { start: keyOf("c"), end: keyOf("k") };

  expect(view.runsIn(range).map(ids)).toEqual([[2], [1], [3, 4, 5], [6, 7]]);
  expect(ids(view.sourcesIn(range))).toEqual([2, 1, 3, 4, 5, 6, 7]);
});

test("a new version of the manifest leaves the old one as it was", () => {
  const next = view.replace(new Set([3n, 7n]), [refOf("a-b", 1, 20n)]);

  expect(next.levels.map(ids)).toEqual([[2, 1], [20, 4, 5], [], [6]]);
  expect(view.segmentCount).toBe(7);
  expect(ManifestView.EMPTY.sourcesFor(keyOf("a"))).toEqual([]);
});

test("segments that overlap below level 0, or lie on a level that does not exist, are corruption", () => {
  expect(() => picture("", "a-c c-d")).toThrow(ManifestError);
  expect(() => ManifestView.of([refOf("a-c", 8, 1n)])).toThrow(ManifestError);
});
