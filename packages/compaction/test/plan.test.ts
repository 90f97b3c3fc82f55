import { SEGMENT_BLOCKS } from "@holdfast/segment";
import { expect, test } from "vitest";
import {
  type CompactionLimits,
  DEFAULT_COMPACTION_LIMITS,
  levelLimit,
  planCompaction,
} from "../src/index.ts";
import { keyOf, picture, words } from "./picture.ts";

/** Small levels, so that a picture fits on a line. */
const LIMITS: CompactionLimits = { level0Segments: 1, level1Segments: 2, fanOut: 2, inputsMax: 8 };

function planned(lines: readonly string[], cursor?: string, limits: CompactionLimits = LIMITS): string {
  const { view, busyIds } = picture(...lines);
  const cursors = new Map(cursor === undefined ? [] : view.levels.map((_, level) => [level, keyOf(cursor)]));
  return words(planCompaction(view, busyIds, cursors, limits));
}

test("levels hold 4, 10, 100, 1000 … segments", () => {
  expect([0, 1, 2, 3].map((level) => levelLimit(level))).toEqual([4, 10, 100, 1000]);
  expect(DEFAULT_COMPACTION_LIMITS.inputsMax).toBe(40);
});

test.each([
  ["an empty store", [], "nothing"],
  ["levels at their limits", ["a-f", "a-c d-f", "a-b c-d e-f g-h"], "nothing"],
  ["one segment too many on level 0", ["a-c d-f"], "merge 0: d-f a-c, last"],
])("%s: %s → %s", (_, lines, plan) => {
  expect(planned(lines)).toBe(plan);
});

test.each([
  ["the deepest full level goes first", ["a-z a-z", "a-b c-d e-f", "a-b c-d e-f g-h i-j"], "move 2: a-b"],
  ["then the next above", ["a-z a-z", "a-b c-d e-f", "c-d g-h"], "move 1: a-b"],
  ["and level 0 last", ["b-c a-d", "a-b", "c-d"], "merge 0: a-d b-c with a-b"],
])("%s: %s → %s", (_, lines, plan) => {
  expect(planned(lines)).toBe(plan);
});

test.each([
  ["a", "move 1: a-b"],
  ["b", "move 1: c-d"],
  ["d", "move 1: e-f"],
  ["f", "move 1: a-b"],
])("level 1 goes on at its cursor and wraps once: from %s → %s", (cursor, plan) => {
  expect(planned(["", "a-b c-d e-f"], cursor)).toBe(plan);
});

test("the next cursor lies behind the segment that was taken", () => {
  const { view, busyIds } = picture("", "a-b c-d e-f");

  const plan = planCompaction(view, busyIds, new Map([[1, keyOf("b")]]), LIMITS);

  expect(plan?.nextCursor.slice(0, 1)).toEqual(keyOf("d").slice(0, 1));
  expect(plan?.nextCursor.at(-1)).toBe(1);
});

test.each([
  ["a busy segment is not taken", ["", "a-b* c-d e-f g-h"], "move 1: c-d"],
  ["a busy segment below keeps those above it", ["", "a-b c-d e-f", "a-b*"], "move 1: c-d"],
  ["busy segments do not count", ["", "a-b c-d* e-f"], "nothing"],
  ["all in the way", ["", "a-b c-d e-f", "a-f*"], "nothing"],
  ["a busy segment in the hull of the inputs blocks", ["", "c-f h-i j-k", "a-d* e-g"], "move 1: h-i"],
])("%s: %s → %s", (_, lines, plan) => {
  expect(planned(lines)).toBe(plan);
});

test.each([
  [
    "the oldest goes, and what is newer and overlaps no more",
    ["a-c b-e", "a-e"],
    "merge 0: b-e a-c with a-e, last",
  ],
  ["what would cost more below waits", ["a-c m-p", "a-c m-p"], "merge 0: a-c with a-c, last"],
  ["no segment passes an older one that it overlaps and that is busy", ["a-c* b-e d-f"], "nothing"],
  ["one that overlaps no busy one may go", ["a-c* m-p x-z"], "merge 0: x-z m-p, last"],
  ["no segment passes an older one that waits for a busy one below", ["a-c c-e d-g", "a-b*"], "nothing"],
  ["one that overlaps none that waits may go", ["a-c c-e m-p", "a-b*"], "move 0: m-p"],
])("level 0: %s: %s → %s", (_, lines, plan) => {
  expect(planned(lines)).toBe(plan);
});

test.each([
  ["nothing deeper overlaps", ["", "a-b~ c-d e-f", "", "c-d"], "merge 1: a-b, last"],
  ["something deeper overlaps", ["", "a-b~ c-d e-f", "", "a-d"], "move 1: a-b"],
  ["no tombstones to drop", ["", "a-b c-d e-f"], "move 1: a-b"],
  ["something on the target level overlaps", ["", "a-b~ c-d e-f", "b-c"], "merge 1: a-b with b-c, last"],
])("a segment moves unread unless its tombstones must be dropped: %s: %s → %s", (_, lines, plan) => {
  expect(planned(lines)).toBe(plan);
});

test("small neighbours go down together, as long as they fill no more than one segment", () => {
  expect(planned(["", "a-b. c-d. e-f g-h."])).toBe("merge 1: a-b c-d, last");
});

test("a segment that overlaps too many goes down in part, up to the first that is left out", () => {
  const { view, busyIds } = picture("", "a-p q-r s-t", "a-b c-d e-f g-h i-j k-l m-n o-p");

  const plan = planCompaction(view, busyIds, new Map(), { ...LIMITS, fanOut: 10, inputsMax: 4 });

  expect(words(plan)).toBe("merge 1: a-p with a-b c-d e-f in part, last");
  expect(plan?.splitAfter?.slice(0, 2)).toEqual(new Uint8Array(["f".charCodeAt(0), 255]));
});

test("output extents hold the inputs even when they pack a third worse", () => {
  const { view, busyIds } = picture("", "a-b~ c-d e-f", "a-b");

  const plan = planCompaction(view, busyIds, new Map(), LIMITS);

  expect(plan?.outputBlocks).toEqual([SEGMENT_BLOCKS, SEGMENT_BLOCKS, SEGMENT_BLOCKS]);
});

test("a small merge asks for a small extent", () => {
  const { view, busyIds } = picture("a-c. b-d.");

  expect(planCompaction(view, busyIds, new Map(), LIMITS)?.outputBlocks).toEqual([54]);
});
