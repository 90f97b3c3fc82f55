import { expect, test } from "vitest";
import { DEFAULT_POOL_MARKS, type Extent, MemberPool } from "../src/index.ts";

const MARKS = { lowBlocks: 10, highBlocks: 50, refillBlocks: 20 };

function extent(start: number, lengthBlocks: number): Extent {
  return { start: BigInt(start), lengthBlocks };
}

test("an extent is taken from the smallest that is long enough, else the longest is", () => {
  const pool = new MemberPool(MARKS);
  for (const free of [extent(0, 8), extent(20, 5), extent(40, 12)]) pool.put(free);

  expect(pool.take(4)).toEqual(extent(20, 4));
  expect(pool.take(9)).toEqual(extent(40, 9));
  expect(pool.take(30)).toEqual(extent(0, 8));
  expect(pool.freeBlocks).toBe(4);
});

test("an empty pool has nothing to take", () => {
  expect(new MemberPool(MARKS).take(1)).toBeUndefined();
  expect(() => new MemberPool(MARKS).take(0)).toThrow(RangeError);
});

test("below the low mark a pool asks for a refill, once at a time", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 9));

  expect(pool.ask()).toBe(20);
  expect(pool.ask()).toBe(0);
  pool.answered(extent(100, 20));

  expect(pool.ask()).toBe(0);
  expect(pool.freeBlocks).toBe(29);
});

test("a wanted length that no extent has is asked for, however full the pool is", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 15));
  pool.put(extent(20, 15));

  expect(pool.ask(15)).toBe(0);
  expect(pool.ask(16)).toBe(20);
  pool.answered(undefined);
  expect(pool.ask(30)).toBe(30);
});

test("a refused request leaves what is there to be used", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 5));
  expect(pool.ask(8)).toBe(20);

  pool.answered(undefined);

  expect(pool.take(8)).toEqual(extent(0, 5));
});

test("an answer without a request is a broken invariant", () => {
  expect(() => new MemberPool(MARKS).answered(undefined)).toThrow("an answer follows a request");
});

test("above the high mark the smallest extents go back until the mark is reached", () => {
  const pool = new MemberPool(MARKS);
  for (const free of [extent(0, 40), extent(50, 6), extent(60, 14)]) pool.put(free);

  expect(pool.giveBack()).toEqual(extent(50, 6));
  expect(pool.giveBack()).toEqual(extent(60, 4));
  expect(pool.giveBack()).toBeUndefined();
  expect(pool.freeBlocks).toBe(50);
});

test("an extent that the server did not take can be put back", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 60));
  const given = pool.giveBack() ?? extent(0, 0);

  pool.put(given);

  expect(pool.extents()).toEqual([extent(0, 60)]);
});

test("a block cannot be put in twice", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 6));

  expect(() => pool.put(extent(5, 1))).toThrow(
    expect.objectContaining({ code: "ERR_HOLDFAST_EXTENT_OVERLAP" }),
  );
});

test("a member that leaves takes everything out", () => {
  const pool = new MemberPool(MARKS);
  pool.put(extent(0, 6));
  pool.put(extent(10, 6));

  expect(pool.drain()).toEqual([extent(0, 6), extent(10, 6)]);
  expect(pool.freeBlocks).toBe(0);
});

test("marks that would make a refill go straight back are refused", () => {
  expect(() => new MemberPool({ lowBlocks: 10, highBlocks: 29, refillBlocks: 20 })).toThrow(RangeError);
  expect(new MemberPool().ask()).toBe(DEFAULT_POOL_MARKS.refillBlocks);
});
