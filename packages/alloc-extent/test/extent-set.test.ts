import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BLOCK_NUMBER_END, Extent, ExtentError, ExtentSet, checkExtent } from "../src/index.ts";

const BLOCKS = 64;

function extent(start: number, lengthBlocks: number): Extent {
  return { start: BigInt(start), lengthBlocks };
}

function listed(set: ExtentSet): string[] {
  return [...set.extents()].map(({ start, lengthBlocks }) => `${start}+${lengthBlocks}`);
}

/** The runs of true in an array, as the set should list them. */
function runsOf(blocks: readonly boolean[]): string[] {
  const runs: string[] = [];
  for (let start = 0; start < blocks.length; start += 1) {
    if (blocks[start] !== true || blocks[start - 1] === true) continue;
    let end = start;
    while (blocks[end] === true) end += 1;
    runs.push(`${start}+${end - start}`);
  }
  return runs;
}

/** False when the set refused the change. */
function tryChange(set: ExtentSet, isAdd: boolean, part: Extent): boolean {
  try {
    if (isAdd) set.add(part);
    else set.remove(part);
    return true;
  } catch (error) {
    if (error instanceof ExtentError) return false;
    throw error;
  }
}

test("neighbours become one extent, from either side and in the middle", () => {
  const set = new ExtentSet([extent(10, 5), extent(20, 5)]);

  set.add(extent(8, 2));
  set.add(extent(25, 1));
  expect(listed(set)).toEqual(["8+7", "20+6"]);
  set.add(extent(15, 5));

  expect(listed(set)).toEqual(["8+18"]);
  expect(set.blockCount).toBe(18);
});

test("removing from the middle leaves both sides", () => {
  const set = new ExtentSet([extent(10, 10)]);

  set.remove(extent(13, 4));

  expect(listed(set)).toEqual(["10+3", "17+3"]);
});

test("adding what is there and removing what is not are refused, and change nothing", () => {
  const set = new ExtentSet([extent(10, 5)]);

  expect(() => set.add(extent(14, 2))).toThrow(ExtentError);
  expect(() => set.remove(extent(14, 2))).toThrow(ExtentError);
  expect(() => set.remove(extent(9, 1))).toThrow(ExtentError);

  expect(listed(set)).toEqual(["10+5"]);
});

test.each([
  ["has no blocks", extent(0, 0)],
  ["has a fraction of a block", extent(0, 1.5)],
  ["starts before block 0", { start: -1n, lengthBlocks: 2 }],
  ["ends behind the last block number", { start: BLOCK_NUMBER_END, lengthBlocks: 1 }],
])("an extent that %s is invalid", (_, invalid) => {
  expect(() => checkExtent(invalid)).toThrow(
    expect.objectContaining({ code: "ERR_HOLDFAST_EXTENT_INVALID", category: "usage" }),
  );
});

test("the best fit is the smallest that is long enough, else the longest", () => {
  const set = new ExtentSet([extent(0, 9), extent(20, 4), extent(40, 6)]);

  expect(set.bestFit(5)).toEqual(extent(40, 6));
  expect(set.bestFit(4)).toEqual(extent(20, 4));
  expect(set.bestFit(10)).toEqual(extent(0, 9));
  expect(new ExtentSet().bestFit(1)).toBeUndefined();
});

test("a copy and its original change independently", () => {
  const original = new ExtentSet([extent(0, 10)]);
  const copy = original.clone();

  original.remove(extent(0, 5));
  copy.add(extent(10, 5));

  expect(listed(original)).toEqual(["5+5"]);
  expect(listed(copy)).toEqual(["0+15"]);
});

test("an extent reads back from its bytes: start u64, length u64, little-endian", () => {
  const bytes = Extent.encode(extent(0x0102, 3));

  expect([...bytes]).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
  expect(Extent.decode(bytes)).toEqual(extent(0x0102, 3));
});

test("a set answers as an array of booleans does", () => {
  const steps = fc.array(
    fc.record({ isAdd: fc.boolean(), start: fc.nat(BLOCKS - 1), length: fc.integer({ min: 1, max: 12 }) }),
    { maxLength: 60 },
  );
  const property = fc.property(steps, (all) => {
    let set = new ExtentSet();
    const model = Array.from({ length: BLOCKS + 12 }, () => false);
    for (const { isAdd, start, length } of all) {
      const part = extent(start, length);
      const inside = model.slice(start, start + length);
      expect(set.covers(part)).toBe(inside.every(Boolean));
      expect(set.overlaps(part)).toBe(inside.some(Boolean));
      expect(set.has(part.start)).toBe(inside[0]);
      const gaps = model.map((isIn, block) => !isIn && block >= start && block < start + length);
      expect(set.gapsIn(part).map((gap) => `${gap.start}+${gap.lengthBlocks}`)).toEqual(runsOf(gaps));

      const [previous, before] = [set, listed(set)];
      const isAllowed = inside.every((isIn) => isIn !== isAdd);
      set = previous.clone();
      expect(tryChange(set, isAdd, part)).toBe(isAllowed);
      if (isAllowed) model.fill(isAdd, start, start + length);
      expect(listed(previous)).toEqual(before);
      expect(listed(set)).toEqual(runsOf(model));
      expect(set.blockCount).toBe(model.filter(Boolean).length);
    }
  });

  expect(() => fc.assert(property, { numRuns: 60 })).not.toThrow();
});
