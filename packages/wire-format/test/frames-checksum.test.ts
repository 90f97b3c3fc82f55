import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type FrameSpace,
  WIDE_BYTES_MIN,
  type WebAssemblyHost,
  frameSpace,
  framesChecksum,
  wideChecksum,
  xxhash32,
} from "../src/index.ts";

const { WebAssembly: host } = globalThis as unknown as { readonly WebAssembly: WebAssemblyHost };
const inWebAssembly = wideChecksum(host);
const inJavaScript = wideChecksum(undefined);

/** Bytes that repeat at no power of two. */
function pattern(length: number): FrameSpace {
  return frameSpace(Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) % 251));
}

function sumOf(bytes: Uint8Array): number {
  return framesChecksum(frameSpace(bytes), 0, bytes.length);
}

const LONG_BYTES = fc.uint8Array({
  minLength: WIDE_BYTES_MIN,
  maxLength: WIDE_BYTES_MIN + 600,
  size: "max",
});

// Computed once, by a program of its own that follows docs/formats step by step.
test.each([
  [1024, 0xb26f5578],
  [1151, 0x317966f6],
  [1152, 0x06a95e49],
  [16_384, 0x4efb67ff],
  [16_413, 0x76710bd1],
  [100_000, 0x10b65d5e],
])("the checksum of a pattern of %d bytes is known", (length, expected) => {
  expect(framesChecksum(pattern(length), 0, length)).toBe(expected);
});

test("fewer than 1024 bytes are summed up by XXH32 alone", () => {
  const space = pattern(1023);

  expect(framesChecksum(space, 0, 1023)).toBe(xxhash32(space.view, 0, 1023));
  expect(framesChecksum(space, 3, 1000)).toBe(xxhash32(space.view, 3, 1000));
});

test("WebAssembly and JavaScript give the same checksum", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40_000, size: "max" }), fc.nat(20), (bytes, offset) => {
      const space = frameSpace(bytes);
      const start = Math.min(offset, bytes.length);

      expect(inWebAssembly(space, start, bytes.length)).toBe(inJavaScript(space, start, bytes.length));
    }),
    { numRuns: 50 },
  );
});

test("a host without vector instructions gets the same checksum in JavaScript", () => {
  const old: WebAssemblyHost = { ...host, validate: () => false };
  const space = pattern(5000);

  expect(wideChecksum(old)(space, 0, 5000)).toBe(inWebAssembly(space, 0, 5000));
});

test("a part of the bytes is summed up as the same bytes alone", () => {
  fc.assert(
    fc.property(LONG_BYTES, fc.nat(20), (bytes, offset) => {
      const around = new Uint8Array(offset + bytes.length + 3).fill(0xee);
      around.set(bytes, offset);

      expect(framesChecksum(frameSpace(around), offset, offset + bytes.length)).toBe(sumOf(bytes));
    }),
  );
});

test("damage within one word of many bytes is always found", () => {
  fc.assert(
    fc.property(LONG_BYTES, fc.nat(), fc.integer({ min: 1, max: 0xffff_ffff }), (bytes, place, flip) => {
      const damaged = frameSpace(bytes.slice());
      const offset = place % (bytes.length - (bytes.length % 4));
      const word = offset - (offset % 4);
      damaged.view.setUint32(word, (damaged.view.getUint32(word, true) ^ flip) >>> 0, true);

      expect(sumOf(damaged.bytes)).not.toBe(sumOf(bytes));
    }),
    { numRuns: 300 },
  );
});

test("words that changed places, and zeros at the end, are found", () => {
  fc.assert(
    fc.property(LONG_BYTES, fc.nat(), fc.nat(), (bytes, from, to) => {
      const swapped = bytes.slice();
      const source = 4 * (from % Math.floor(bytes.length / 4));
      const target = 4 * (to % Math.floor(bytes.length / 4));
      swapped.copyWithin(target, source, source + 4);
      swapped.set(bytes.subarray(target, target + 4), source);
      const isSame = swapped.every((byte, index) => byte === bytes[index]);

      expect(sumOf(swapped) === sumOf(bytes)).toBe(isSame);
      expect(sumOf(Uint8Array.from([...bytes, 0]))).not.toBe(sumOf(bytes));
    }),
  );
});
