import { expect, test } from "vitest";
import { lockRangeOf, ItemTable, LockRanges, ReadCache, UNKNOWN } from "../src/index.ts";
import { key, text } from "./world.ts";

function setUp(bytesMax = 1 << 20): { cache: ReadCache; ranges: LockRanges } {
  const cache = new ReadCache(bytesMax);
  return { cache, ranges: new LockRanges(() => cache.nextStamp()) };
}

test("an item that was read is known, as is a key that was found absent; others are not", () => {
  const { cache, ranges } = setUp();
  const range = ranges.of(key("a"));
  cache.add(key("a"), text("1"), range, cache.stamp);
  cache.add(key("ab"), undefined, range, cache.stamp);

  expect(cache.find(key("a"), range)).toEqual(text("1"));
  expect(cache.find(key("ab"), range)).toBeUndefined();
  expect(cache.find(key("ac"), range)).toBe(UNKNOWN);
});

test("in a range that was read whole, every other key is known to be absent", () => {
  const { cache, ranges } = setUp();
  const range = ranges.of(key("a"));
  cache.addRange([{ key: key("a1"), value: text("1") }], range, cache.stamp);

  expect(cache.find(key("a1"), range)).toEqual(text("1"));
  expect(cache.find(key("a2"), range)).toBeUndefined();
  expect(cache.find(key("b"), ranges.of(key("b")))).toBe(UNKNOWN);
});

test("a dropped range is forgotten, its neighbour is not", () => {
  const { cache, ranges } = setUp();
  const [a, b] = [ranges.of(key("a")), ranges.of(key("b"))];
  cache.addRange([{ key: key("a"), value: text("1") }], a, cache.stamp);
  cache.add(key("b"), text("2"), b, cache.stamp);

  cache.drop(lockRangeOf(key("a")), ranges);

  expect(cache.find(key("a"), a)).toBe(UNKNOWN);
  expect(cache.find(key("a0"), a)).toBe(UNKNOWN);
  expect(cache.find(key("b"), b)).toEqual(text("2"));
});

test("a read that began before its range was dropped is not kept", () => {
  const { cache, ranges } = setUp();
  const range = ranges.of(key("a"));
  const { stamp } = cache;
  cache.drop(range.range, ranges);

  cache.add(key("a"), text("old"), range, stamp);
  cache.addRange([], range, stamp);

  expect(cache.find(key("a"), range)).toBe(UNKNOWN);
});

test("a read that began before a flush ended is not kept: it may bring back what was deleted", () => {
  const { cache, ranges } = setUp();
  const range = ranges.of(key("a"));
  const { stamp } = cache;
  const table = new ItemTable();
  table.put(key("a"), 1n, undefined);
  cache.adopt(table);

  cache.add(key("a"), text("old"), range, stamp);

  expect(cache.find(key("a"), range)).toBeUndefined();
});

test("a large memtable is adopted as it is and wins over what was read before", () => {
  const { cache, ranges } = setUp(8 << 20);
  const range = ranges.of(key("a1"));
  cache.add(key("a1"), text("old"), range, cache.stamp);
  const table = new ItemTable();
  for (let index = 0; index < 5000; index += 1) table.put(key(`a${index}`), 1n, text(`${index}`));
  cache.adopt(table);

  expect(cache.find(key("a1"), range)).toEqual(text("1"));
  expect(cache.sizeBytes).toBeGreaterThanOrEqual(table.sizeBytes);
  cache.drop(range.range, ranges);
  expect(cache.find(key("a1"), range)).toBe(UNKNOWN);
});

test("the cache keeps its limit of bytes, forgets the oldest, and with it that ranges were whole", () => {
  const bytesMax = 64 * 1024;
  const { cache, ranges } = setUp(bytesMax);
  const first = ranges.of(key("a"));
  cache.addRange([{ key: key("a"), value: text("1") }], first, cache.stamp);
  expect(cache.find(key("a0"), first)).toBeUndefined();

  const range = ranges.of(key("b"));
  for (let index = 0; index < 2000; index += 1) {
    cache.add(key(`b${index}`), new Uint8Array(100), range, cache.stamp);
    expect(cache.sizeBytes).toBeLessThanOrEqual(bytesMax);
  }

  expect(cache.find(key("a"), first)).toBe(UNKNOWN);
  expect(cache.find(key("a0"), first)).toBe(UNKNOWN);
  expect(cache.find(key("b1999"), range)).toEqual(new Uint8Array(100));
});

test("an item that is used stays while others are forgotten", () => {
  const { cache, ranges } = setUp(64 * 1024);
  const range = ranges.of(key("b"));
  cache.add(key("b-used"), text("1"), range, cache.stamp);

  for (let index = 0; index < 2000; index += 1) {
    cache.add(key(`b${index}`), new Uint8Array(100), range, cache.stamp);
    expect(cache.find(key("b-used"), range)).toEqual(text("1"));
  }
});

test("a cache of no bytes keeps nothing", () => {
  const { cache, ranges } = setUp(0);
  const range = ranges.of(key("a"));
  cache.add(key("a"), text("1"), range, cache.stamp);
  const table = new ItemTable();
  table.put(key("a"), 1n, text("1"));
  cache.adopt(table);

  expect(cache.find(key("a"), range)).toBe(UNKNOWN);
});

test("a range that is known whole is not kept a second time", () => {
  const { cache, ranges } = setUp();
  const range = ranges.of(key("a"));
  const items = Array.from({ length: 100 }, (_, n) => ({ key: key(`a${n}`), value: text("1") }));
  cache.addRange(items, range, cache.stamp);
  const { sizeBytes } = cache;

  cache.addRange(items, range, cache.stamp);

  expect(cache.sizeBytes).toBe(sizeBytes);
});

test("a cache that keeps nothing does not take a range that was read whole for known", () => {
  const { cache, ranges } = setUp(0);
  const range = ranges.of(key("a"));
  cache.addRange([{ key: key("a1"), value: text("1") }], range, cache.stamp);

  expect(cache.find(key("a1"), range)).toBe(UNKNOWN);
});
