import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareBytes,
  equalBytes,
  FIRST_KEY,
  KEY_BYTES,
  keyAfter,
  keyBefore,
  type KeyFields,
  LAST_KEY,
  packKey,
  rangeHas,
  rangesOverlap,
  toHex,
  unpackKey,
} from "../src/index.ts";

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const fields: fc.Arbitrary<KeyFields> = fc.record({
  zone: fc.nat(255),
  first: u64,
  type: fc.nat(255),
  second: u64,
  third: u64,
  fourth: fc.nat(2 ** 48 - 1),
});
const key = fc.uint8Array({ minLength: KEY_BYTES, maxLength: KEY_BYTES });

describe("packing", () => {
  test("a key's fields stand one behind the other, the greatest byte first", () => {
    const packed = packKey({
      zone: 2,
      first: 0x0102030405060708n,
      type: 1,
      second: 0x1112131415161718n,
      third: 0x2122232425262728n,
      fourth: 0x313233343536,
    });

    expect(toHex(packed)).toBe("0201020304050607080111121314151617182122232425262728313233343536");
  });

  test("what was packed is unpacked", () => {
    fc.assert(
      fc.property(fields, (value) => {
        expect(unpackKey(packKey(value))).toEqual(value);
      }),
    );
  });

  test("the order of keys is the order of their fields", () => {
    // Few different values, so that the leading fields are often equal.
    const word = fc.constantFrom(0n, 1n, 255n, 256n, 2n ** 63n, 2n ** 64n - 1n);
    const close: fc.Arbitrary<KeyFields> = fc.record({
      zone: fc.constantFrom(0, 1, 255),
      first: word,
      type: fc.constantFrom(0, 255),
      second: word,
      third: word,
      fourth: fc.constantFrom(0, 255, 256, 2 ** 32, 2 ** 48 - 1),
    });
    fc.assert(
      fc.property(close, close, (a, b) => {
        expect(Math.sign(compareBytes(packKey(a), packKey(b)))).toBe(compareFields(a, b));
      }),
    );
  });

  test.each([
    [{ zone: 256 }],
    [{ zone: -1 }],
    [{ zone: 0.5 }],
    [{ type: 256 }],
    [{ fourth: 2 ** 48 }],
    [{ fourth: -1 }],
    [{ first: -1n }],
    [{ second: 2n ** 64n }],
    [{ third: 2n ** 64n }],
  ])("a field out of its range is refused: %o", (wrong) => {
    const zero = { zone: 0, first: 0n, type: 0, second: 0n, third: 0n, fourth: 0 };

    expect(() => packKey({ ...zero, ...wrong })).toThrow(RangeError);
  });

  test.each([0, 31, 33])("%i bytes are no key, even where more stand behind them", (length) => {
    expect(() => unpackKey(new Uint8Array(64).subarray(0, length))).toThrow(RangeError);
  });
});

describe("order", () => {
  test("the next key is greater with nothing in between, and the previous key leads back", () => {
    fc.assert(
      fc.property(key, (value) => {
        const before = value.slice();
        const next = keyAfter(value);

        expect(value).toEqual(before);
        if (next === undefined) return;
        expect(toNumber(next)).toBe(toNumber(value) + 1n);
        expect(keyBefore(next)).toEqual(value);
      }),
    );
  });

  test("there is no key after the last and none before the first", () => {
    expect(keyAfter(LAST_KEY)).toBeUndefined();
    expect(keyBefore(FIRST_KEY)).toBeUndefined();
    expect(toNumber(keyAfter(FIRST_KEY) ?? LAST_KEY)).toBe(1n);
  });

  test("a carry runs through all bytes of a key that a socket delivered, and leaves that one alone", () => {
    const delivered = Buffer.from(`00${"ff".repeat(31)}`, "hex");

    expect(toHex(keyAfter(delivered) ?? FIRST_KEY)).toBe(`01${"00".repeat(31)}`);
    expect(toHex(delivered)).toBe(`00${"ff".repeat(31)}`);
  });

  test("bytes compare as unsigned numbers, and a beginning sorts before what it begins", () => {
    expect(compareBytes(Uint8Array.of(0x80), Uint8Array.of(0x7f))).toBeGreaterThan(0);
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
    expect(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(0);
    expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false);
  });
});

describe("ranges", () => {
  test("a range has both of its ends", () => {
    fc.assert(
      fc.property(key, key, key, (a, b, c) => {
        const [start = a, middle = b, end = c] = [a, b, c].sort(compareBytes);

        expect(rangeHas({ start, end }, start)).toBe(true);
        expect(rangeHas({ start, end }, middle)).toBe(true);
        expect(rangeHas({ start, end }, end)).toBe(true);
        expect(rangeHas({ start: middle, end }, start)).toBe(equalBytes(start, middle));
      }),
    );
  });

  test("ranges overlap when they share a key, and one key is enough", () => {
    const [a, b, c, d] = [1, 2, 3, 4].map((zone) => packKey({ ...unpackKey(FIRST_KEY), zone })) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];

    expect(rangesOverlap({ start: a, end: b }, { start: b, end: c })).toBe(true);
    expect(rangesOverlap({ start: a, end: d }, { start: b, end: c })).toBe(true);
    expect(rangesOverlap({ start: a, end: b }, { start: c, end: d })).toBe(false);
    expect(rangesOverlap({ start: c, end: d }, { start: a, end: b })).toBe(false);
  });
});

function compareFields(a: KeyFields, b: KeyFields): number {
  const pairs: readonly (readonly [bigint | number, bigint | number])[] = [
    [a.zone, b.zone],
    [a.first, b.first],
    [a.type, b.type],
    [a.second, b.second],
    [a.third, b.third],
    [a.fourth, b.fourth],
  ];
  const [left, right] = pairs.find(([x, y]) => x !== y) ?? [0, 0];
  return left < right ? -1 : Number(left > right);
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}
