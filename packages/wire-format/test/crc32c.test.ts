import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32c, crc32cOfView } from "../src/index.ts";

describe("CRC-32C", () => {
  test.each([
    // The check value of the catalogue of CRCs, then RFC 3720, appendix B.4.
    ["123456789", [...Buffer.from("123456789")], 0xe3069283],
    ["no bytes", [], 0],
    ["32 zeros", Array.from({ length: 32 }, () => 0), 0x8a9136aa],
    ["32 ones", Array.from({ length: 32 }, () => 0xff), 0x62a8ab43],
    ["0 to 31", Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ["31 to 0", Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  ])("of %s is the published value", (_, bytes, expected) => {
    expect(crc32c(Uint8Array.from(bytes))).toBe(expected);
  });

  test("of any bytes, at any alignment, is what the definition gives bit by bit", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(15), (bytes, shift) => {
        const moved = new Uint8Array(bytes.length + shift).subarray(shift);
        moved.set(bytes);

        expect(crc32c(moved)).toBe(byDefinition(bytes));
      }),
    );
  });

  test("of any part of a view is that of the same bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat(15), (bytes, cut, shift) => {
        const moved = new Uint8Array(bytes.length + shift).subarray(shift);
        moved.set(bytes);
        const view = new DataView(moved.buffer, moved.byteOffset, moved.byteLength);
        const start = cut % (bytes.length + 1);

        expect(crc32cOfView(view, start, bytes.length)).toBe(byDefinition(bytes.subarray(start)));
        expect(crc32cOfView(view, start, bytes.length, crc32c(bytes, 0, start))).toBe(byDefinition(bytes));
      }),
    );
  });

  test("of a whole is that of its parts, one continuing the other", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(), (bytes, cut) => {
        const middle = cut % (bytes.length + 1);

        const parts = crc32c(bytes, middle, bytes.length, crc32c(bytes, 0, middle));

        expect(parts).toBe(crc32c(bytes));
      }),
    );
  });
});

function byDefinition(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const value of bytes) {
    crc ^= value;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
