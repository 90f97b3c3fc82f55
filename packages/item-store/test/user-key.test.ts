import * as fc from "fast-check";
import { expect, test } from "vitest";
import { compareBytes } from "@holdfast/wire-format";
import {
  DatasetKeys,
  KeyTooLongError,
  LockRanges,
  datasetOf,
  datasetRange,
  lockRangeOf,
  prefixRange,
  userKey,
  userKeyBytes,
} from "../src/index.ts";

const userBytes = fc.uint8Array({ minLength: 1, maxLength: 21 });

test("keys sort as their user keys do, and give them back", () => {
  fc.assert(
    fc.property(userBytes, userBytes, (a, b) => {
      const [first, second] = [userKey(5n, a), userKey(5n, b)];
      expect(Math.sign(compareBytes(first, second))).toBe(Math.sign(compareBytes(a, b)));
      expect(userKeyBytes(first)).toEqual(a);
    }),
  );
});

test("keys that differ in trailing zeros alone are different keys, the shorter first", () => {
  const short = userKey(1n, Uint8Array.of(9));
  const long = userKey(1n, Uint8Array.of(9, 0));

  expect(compareBytes(short, long)).toBeLessThan(0);
});

test("a user key that is empty or has more than 21 bytes is refused by name", () => {
  expect(() => userKey(1n, new Uint8Array(22))).toThrow(KeyTooLongError);
  expect(() => userKey(1n, new Uint8Array(0))).toThrow(KeyTooLongError);
  expect(userKey(1n, new Uint8Array(21))).toHaveLength(32);
});

test("every key of a dataset, and no other, lies in the dataset's range", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n - 2n), userBytes, (dataset, bytes) => {
      const { start, end } = datasetRange(dataset);
      const made = userKey(dataset, bytes);
      expect(compareBytes(start, made)).toBeLessThanOrEqual(0);
      expect(compareBytes(made, end)).toBeLessThanOrEqual(0);
      expect(compareBytes(userKey(dataset + 1n, bytes), end)).toBeGreaterThan(0);
      expect(datasetOf(made)).toBe(dataset);
    }),
  );
});

test("a prefix range holds exactly the keys that begin with the prefix", () => {
  const { start, end } = prefixRange(1n, Uint8Array.of(5, 6));

  for (const [bytes, isInside] of [
    [[5, 6], true],
    [[5, 6, 255], true],
    [[5, 5, 255], false],
    [[5, 7], false],
    [[5], false],
  ] as const) {
    const made = userKey(1n, Uint8Array.from(bytes));
    expect(compareBytes(start, made) <= 0 && compareBytes(made, end) <= 0).toBe(isInside);
  }
});

test("keys with the same first 11 bytes share a lock, others do not", () => {
  const one = lockRangeOf(userKey(1n, Uint8Array.of(5, 1)));
  const same = lockRangeOf(userKey(1n, Uint8Array.of(5, 200)));
  const other = lockRangeOf(userKey(1n, Uint8Array.of(6)));

  expect(one).toEqual(same);
  expect(compareBytes(one.end, other.start)).toBeLessThan(0);
});

test("a dataset has 256 lock ranges, in order and without gaps in the first byte", () => {
  const ranges = new LockRanges(() => 1).within(datasetRange(3n));

  expect(ranges).toHaveLength(256);
  expect(ranges.map(({ range }) => range.start[10])).toEqual(Array.from({ length: 256 }, (_, byte) => byte));
});

test("a range that leaves its dataset is refused", () => {
  const start = userKey(3n, Uint8Array.of(1));
  const end = userKey(4n, Uint8Array.of(1));

  expect(() => new LockRanges(() => 1).within({ start, end })).toThrow("one dataset");
});

test("text stands for its UTF-8 in a key, and a key of bytes is the same as that of the dataset's", () => {
  const keys = new DatasetKeys(0x0102_0304_0506_0708n);
  const expected = (bytes: Uint8Array): Uint8Array =>
    Uint8Array.of(2, 1, 2, 3, 4, 5, 6, 7, 8, 1, ...bytes, ...new Uint8Array(21 - bytes.length), bytes.length);

  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 5 }), (name) => {
      const bytes = new TextEncoder().encode(name);
      fc.pre(bytes.length <= 21);
      expect(keys.key(name)).toEqual(expected(bytes));
      expect(keys.key(bytes)).toEqual(expected(bytes));
    }),
  );
});

test("text that is empty or takes more than 21 bytes of UTF-8 is refused by name, with its length in bytes", () => {
  const keys = new DatasetKeys(1n);

  expect(() => keys.key("")).toThrow(KeyTooLongError);
  expect(() => keys.key("x".repeat(22))).toThrow(KeyTooLongError);
  expect(() => keys.key("ü".repeat(11))).toThrow("this one has 22");
  expect(() => keys.key("ü".repeat(30))).toThrow("this one has 60");
  expect(userKeyBytes(keys.key("ü".repeat(10)))).toHaveLength(20);
});
