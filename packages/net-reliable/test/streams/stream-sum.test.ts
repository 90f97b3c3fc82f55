/*
 * The checksum over a stream: the same wherever and however it is made, and different for different bytes.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamMemory, streamMemory } from "../../src/streams/stream-memory.ts";
import { StreamSum } from "../../src/streams/stream-sum.ts";

const portable = new StreamMemory(undefined);

/** The sum of pieces that end at `cuts`. */
function sumOf(
  bytes: Uint8Array,
  memory: StreamMemory = streamMemory(),
  cuts: readonly number[] = [],
): number {
  const sum = new StreamSum(memory);
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    sum.update(bytes.subarray(start, end));
    start = end;
  }
  return sum.digest();
}

/** The sum of a whole stream, said again from docs/protocols/streams.md with half words in plain arrays. */
function sumByTheBook(bytes: Uint8Array): number {
  const halfWords = (word: number): readonly number[] => [word & 0xffff, word >>> 16];
  let state = Array.from({ length: 32 }, (_, index) => halfWords(Math.imul(index + 1, 0x85ebca77))).flat();
  for (let start = 0; start < bytes.length; start += 128) {
    const mixed = state.map((half, index) => {
      const at = start + 2 * index;
      const word = (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
      return ((half ^ word) * (index % 2 === 0 ? 0x79b1 : 0x9e37)) % 0x1_0000;
    });
    const mixedBytes = mixed.flatMap((half) => [half % 256, Math.floor(half / 256)]);
    const rotated = mixedBytes.map((_, at) => mixedBytes[(at & ~15) + ((at + 11) % 16)] ?? 0);
    state = mixed.map((_, index) => (rotated[2 * index] ?? 0) + 256 * (rotated[2 * index + 1] ?? 0));
  }
  const words = state.flatMap((half, index) =>
    index % 2 === 0 ? [half + 0x1_0000 * (state[index + 1] ?? 0)] : [],
  );
  let sum = bytes.length;
  for (const word of [Math.floor(bytes.length / 2 ** 32), ...words]) {
    const product = Math.imul(sum ^ word, 0x9e3779b1);
    sum = ((product << 13) | (product >>> 19)) + 0x165667b1;
  }
  sum = Math.imul(sum ^ (sum >>> 15), 0x85ebca77);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae3d);
  return (sum ^ (sum >>> 16)) >>> 0;
}

/** Bytes that look random, of which a test needs many. */
function noise(length: number, seed: number): Uint8Array {
  let word = seed | 1;
  return Uint8Array.from({ length }, () => {
    word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d) + 0x3f56;
    return word >>> 13;
  });
}

describe("the sum of a stream", () => {
  test("is pinned", () => {
    const counting = Uint8Array.from({ length: 1000 }, (_, index) => index);

    expect(sumOf(new Uint8Array(0), portable)).toBe(3_700_073_393);
    expect(sumOf(counting, portable)).toBe(4_263_453_785);
  });

  test("is one in WebAssembly and in JavaScript, in any pieces", () => {
    const cuts = fc.array(fc.nat(2000), { maxLength: 6 });
    fc.assert(
      fc.property(fc.nat(2000), fc.nat(), cuts, cuts, (length, seed, ours, theirs) => {
        const bytes = noise(length, seed);

        expect(sumOf(bytes, streamMemory(), ours)).toBe(sumOf(bytes, portable, theirs));
      }),
    );
  });

  test("is what its description says", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(), (length, seed) => {
        const bytes = noise(length, seed);

        expect(sumOf(bytes)).toBe(sumByTheBook(bytes));
      }),
    );
  });

  test("is one for bytes in a slot and for bytes elsewhere", () => {
    const slot = streamMemory().takeSlot();
    fc.assert(
      fc.property(fc.nat(100), fc.nat(50_000), (start, length) => {
        const bytes = noise(length, 7);
        slot.set(bytes, start);

        expect(sumOf(slot.subarray(start, start + length))).toBe(sumOf(bytes));
      }),
      { numRuns: 30 },
    );
    streamMemory().giveSlot(slot);
  });

  test("changes with any run of damaged bits", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (seed, place, flip) => {
        const bytes = noise(600, seed);
        const before = sumOf(bytes);
        bytes[place % 600] = (bytes[place % 600] ?? 0) ^ flip;

        expect(sumOf(bytes)).not.toBe(before);
      }),
    );
  });

  test("changes with the same bit flipped in two places, however far apart", () => {
    const bytes = noise(2048, 3);
    const before = sumOf(bytes);
    for (let distance = 1; distance < 1900; distance += 1) {
      for (const bit of [0, 7]) {
        for (const at of [100, 100 + distance]) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        expect(sumOf(bytes)).not.toBe(before);
        for (const at of [100, 100 + distance]) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      }
    }
  });

  test("changes when pieces are swapped, lost or repeated, also among zeros", () => {
    for (const size of [1, 4, 16, 128, 4096]) {
      const zeros = new Uint8Array(size);
      const ones = new Uint8Array(size).fill(1);
      const whole = sumOf(new Uint8Array(Buffer.concat([zeros, ones, zeros, zeros])));
      const others = [
        [ones, zeros, zeros, zeros],
        [zeros, zeros, ones, zeros],
        [zeros, ones, zeros],
        [zeros, ones, zeros, zeros, zeros],
        [zeros, ones, ones, zeros],
      ].map((pieces) => sumOf(new Uint8Array(Buffer.concat(pieces))));

      expect(new Set([whole, ...others]).size).toBe(6);
    }
  });
});
