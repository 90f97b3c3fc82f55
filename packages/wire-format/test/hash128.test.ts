import { expect, test } from "vitest";
import { hash128, toHex } from "../src/index.ts";

test.each([
  // The published example of the algorithm (there as big-endian words): 9b5b7ba2 ef3f7866 889adeaf 00f3f98e.
  ["I will not buy this tobacconist's, it is scratched.", "a27b5b9b66783fefafde9a888ef9f300"],
  ["", "00000000000000000000000000000000"],
  ["a", "3c9394a71bb056551bb056551bb05655"],
  ["hello", "a044242bf7de91dbb631db9ab631db9a"],
  ["The quick brown fox jumps over the lazy dog", "c383152f672ceeec6cf67b5d2c1de9e5"],
])("the hash of %j is MurmurHash3_x86_128", (text, expected) => {
  expect(toHex(hash128(Buffer.from(text)))).toBe(expected);
});

test("the hash of a view is that of its bytes, wherever it stands", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);
  const moved = new Uint8Array(103).subarray(3);
  moved.set(bytes);

  expect(hash128(moved)).toEqual(hash128(bytes));
});

test("each single-bit flip of 64 bytes changes the hash", () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => index * 3);
  const hashes = new Set([toHex(hash128(bytes))]);

  for (let bit = 0; bit < 512; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    hashes.add(toHex(hash128(flipped)));
  }

  expect(hashes.size).toBe(513);
});
