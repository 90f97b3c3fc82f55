import * as fc from "fast-check";
import { expect, test } from "vitest";
import { xxhash32 } from "../src/index.ts";

function hashOf(bytes: Uint8Array): number {
  return xxhash32(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
}

// Values of the reference implementation, xxhsum -H0.
test.each([
  ["", 0x02cc5d05],
  ["a", 0x550d7456],
  ["abc", 0x32d153ff],
  ["Nobody inspects the spammish repetition", 0xe2293b2f],
])("XXH32 of %j is that of the reference", (text, expected) => {
  expect(hashOf(new TextEncoder().encode(text))).toBe(expected);
});

test("a part of a view is hashed as the same bytes alone", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(20), (bytes, offset) => {
      const around = new Uint8Array(offset + bytes.length + 3).fill(0xee);
      around.set(bytes, offset);

      expect(xxhash32(new DataView(around.buffer), offset, offset + bytes.length)).toBe(hashOf(bytes));
    }),
  );
});

test("damage within one word is always found", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 200 }),
      fc.nat(),
      fc.integer({ min: 1, max: 0xff }),
      (bytes, place, flip) => {
        const damaged = bytes.slice();
        const index = place % bytes.length;
        damaged[index] = (bytes[index] ?? 0) ^ flip;

        expect(hashOf(damaged)).not.toBe(hashOf(bytes));
      },
    ),
  );
});
