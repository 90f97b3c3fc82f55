import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blob,
  bytes,
  flag,
  formatHash,
  list,
  type StructCodec,
  struct,
  text,
  toHex,
  u16,
  u32,
  u53,
  u64,
  u8,
} from "../src/index.ts";

interface Inner {
  readonly tag: number;
  readonly word: bigint;
}

const Inner: StructCodec<Inner> = struct("Inner", { tag: u8, word: u64 });

interface Probe {
  readonly small: number;
  readonly medium: number;
  readonly large: number;
  readonly counter: number;
  readonly isOn: boolean;
  readonly exact: Uint8Array;
  readonly some: Uint8Array;
  readonly label: string;
  readonly inner: Inner;
  readonly inners: readonly Inner[];
}

const Probe: StructCodec<Probe> = struct("Probe", {
  small: u8,
  medium: u16,
  large: u32,
  counter: u53,
  isOn: flag,
  exact: bytes(3),
  some: blob(5),
  label: text(12),
  inner: Inner,
  inners: list(Inner, 3),
});

const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const inner: fc.Arbitrary<Inner> = fc.record({ tag: fc.nat(255), word });
const probe: fc.Arbitrary<Probe> = fc.record({
  small: fc.nat(255),
  medium: fc.nat(65_535),
  large: fc.nat(2 ** 32 - 1),
  counter: fc.maxSafeNat(),
  isOn: fc.boolean(),
  exact: fc.uint8Array({ minLength: 3, maxLength: 3 }),
  some: fc.uint8Array({ maxLength: 5 }),
  label: fc.string({ unit: "grapheme-ascii", maxLength: 12 }),
  inner,
  inners: fc.array(inner, { maxLength: 3 }),
});

const EXAMPLE: Probe = {
  small: 1,
  medium: 0x0203,
  large: 0x04050607,
  counter: 2 ** 53 - 1,
  isOn: true,
  exact: Uint8Array.of(1, 2, 3),
  some: Uint8Array.of(9),
  label: "ä",
  inner: { tag: 7, word: 0x1122334455667788n },
  inners: [{ tag: 8, word: 1n }],
};

describe("a struct", () => {
  test("stands in its bytes in the order of its declaration, little-endian, unused room zero", () => {
    expect(toHex(Probe.encode(EXAMPLE))).toBe(
      [
        "01",
        "0302",
        "07060504",
        "ffffffffffff1f00",
        "01",
        "010203",
        "01000900000000",
        "0200c3a400000000000000000000",
        "078877665544332211",
        "0100080100000000000000",
        "00".repeat(18),
      ].join(""),
    );
    expect(Probe.sizeBytes).toBe(1 + 2 + 4 + 8 + 1 + 3 + 7 + 14 + 9 + 29);
  });

  test("is decoded as it was encoded", () => {
    fc.assert(
      fc.property(probe, (value) => {
        expect(Probe.decode(Probe.encode(value))).toEqual(value);
      }),
    );
  });

  test("overwrites whatever stood in its place", () => {
    const memory = new Uint8Array(Probe.sizeBytes).fill(0xee);

    Probe.write(new DataView(memory.buffer), 0, EXAMPLE);

    expect(memory).toEqual(Probe.encode(EXAMPLE));
  });

  test("keeps no view of the bytes it was decoded from", () => {
    const encoded = Buffer.from(Probe.encode(EXAMPLE));
    const decoded = Probe.decode(encoded);

    encoded.fill(0xee);

    expect(decoded).toEqual(EXAMPLE);
  });

  test("of another length is refused", () => {
    for (const length of [0, Probe.sizeBytes - 1, Probe.sizeBytes + 1]) {
      expect(() => Probe.decode(new Uint8Array(length))).toThrow(
        `Probe has ${Probe.sizeBytes} bytes, not ${length}`,
      );
    }
  });

  test("tells its layout as a table", () => {
    expect(Inner.table).toBe(
      ["OFFSET  SIZE  MEANING", "     0     1  tag (u8)", "     1     8  word (u64)"].join("\n"),
    );
  });
});

describe("a field refuses to write what it cannot hold", () => {
  test.each<[string, Partial<Probe>]>([
    ["u8", { small: 256 }],
    ["u8", { small: -1 }],
    ["u8", { small: 1.5 }],
    ["u16", { medium: 65_536 }],
    ["u32", { large: 2 ** 32 }],
    ["u32", { large: Number.NaN }],
    ["u53", { counter: 2 ** 53 }],
    ["u53", { counter: -1 }],
    ["u64", { inner: { tag: 0, word: 2n ** 64n } }],
    ["u64", { inner: { tag: 0, word: -1n } }],
    ["bytes", { exact: new Uint8Array(2) }],
    ["blob", { some: new Uint8Array(6) }],
    ["text", { label: "ä".repeat(7) }],
    ["list", { inners: Array.from({ length: 4 }, () => ({ tag: 0, word: 0n })) }],
  ])("%s: %o", (_, wrong) => {
    expect(() => Probe.encode({ ...EXAMPLE, ...wrong })).toThrow(RangeError);
  });

  test("a declaration whose length or count does not fit its u16 is refused", () => {
    expect(() => blob(65_536)).toThrow(RangeError);
    expect(() => text(70_000)).toThrow(RangeError);
    expect(() => list(u8, -1)).toThrow(RangeError);
  });
});

describe("a field refuses to read what it cannot mean", () => {
  test.each([
    ["a counter beyond 2^53-1", 7 + 6, 0x20],
    ["a flag that is neither 0 nor 1", 15, 2],
    ["a length beyond the blob", 19, 6],
    ["a length beyond the text", 26, 13],
    ["text that is not UTF-8", 28, 0xff],
    ["a count beyond the list", 49, 4],
  ])("%s", (_, offset, value) => {
    const encoded = Probe.encode(EXAMPLE);
    encoded[offset] = value;

    expect(() => Probe.decode(encoded)).toThrow(RangeError);
  });
});

describe("the format hash", () => {
  test("does not depend on the order of the formats", () => {
    expect(formatHash([Inner, Probe])).toBe(formatHash([Probe, Inner]));
  });

  test.each<[string, { readonly signature: string }]>([
    ["a name", struct<Inner>("Other", { tag: u8, word: u64 })],
    ["a field's name", struct<{ label: number; word: bigint }>("Inner", { label: u8, word: u64 })],
    ["a field's kind", struct<Inner>("Inner", { tag: u16, word: u64 })],
    ["the order of fields", struct<Inner>("Inner", { word: u64, tag: u8 })],
  ])("changes with %s", (_, changed) => {
    expect(formatHash([changed])).not.toBe(formatHash([Inner]));
  });

  test("changes with a struct inside a struct", () => {
    const outer = (of: StructCodec<Inner>): StructCodec<{ inner: Inner }> => struct("Outer", { inner: of });
    const other: StructCodec<Inner> = struct("Inner", { tag: u16, word: u64 });

    expect(formatHash([outer(other)])).not.toBe(formatHash([outer(Inner)]));
  });

  test("of one set of formats never changes", () => {
    expect(formatHash([Inner, Probe])).toBe(FORMAT_HASH);
  });
});

/** A change of this number is a change of every format: members and volumes of before are refused. */
const FORMAT_HASH = 9_505_940_366_047_636_267n;
