import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  crc32c,
  decodeFrame,
  encodeFrame,
  FRAME_BODY_BYTES_MAX,
  type FrameError,
  FRAME_FLAG_RESPONSE,
  FRAME_HEADER_BYTES,
  FrameLayout,
  type FrameHeader,
  frameSpace,
  toHex,
  writeFrame,
} from "../src/index.ts";

const HEADER: FrameHeader = { seq: 1, recvSeq: 2, id: 3, command: 4, error: 5, flags: FRAME_FLAG_RESPONSE };
const BODY = new Uint8Array(Buffer.from("body"));

const header: fc.Arbitrary<FrameHeader> = fc.record({
  seq: fc.maxSafeNat(),
  recvSeq: fc.maxSafeNat(),
  id: fc.maxSafeNat(),
  command: fc.nat(65_535),
  error: fc.nat(65_535),
  flags: fc.nat(1),
});

describe("a frame", () => {
  test("has its numbers in a header of 48 bytes and its body behind them", () => {
    expect(toHex(encodeFrame(HEADER, BODY))).toBe(
      [
        "d65c4868", // CRC-32C of the header
        "04000000", // bytes of body
        "0100000000000000",
        "0200000000000000",
        "0300000000000000",
        "0400",
        "0500",
        "01000000", // flags
        "50c93f26", // CRC-32C of the body
        "00000000",
        "626f6479",
      ].join(""),
    );
  });

  test("is decoded as it was encoded", () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 300 }), (given, body) => {
        expect(decodeFrame(encodeFrame(given, body))).toEqual({ ...given, body });
      }),
    );
  });

  test("stands in its bytes as its layout declares", () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 300 }), (given, body) => {
        const frame = encodeFrame(given, body);

        expect(FrameLayout.decode(frame.subarray(0, FRAME_HEADER_BYTES))).toEqual({
          ...given,
          checksum: crc32c(frame, 4, 48),
          bodyBytes: body.length,
          bodyChecksum: crc32c(body),
          reserved: new Uint8Array(3),
          reservedEnd: new Uint8Array(4),
        });
      }),
    );
    expect(FrameLayout.sizeBytes).toBe(FRAME_HEADER_BYTES);
  });

  test("can be written amid others, over whatever stood there", () => {
    const target = new Uint8Array(100).fill(0xee);

    const end = writeFrame(frameSpace(target), 7, HEADER, BODY);

    expect(end).toBe(7 + 52);
    expect(target.subarray(7, end)).toEqual(encodeFrame(HEADER, BODY));
    expect([target[6], target[end]]).toEqual([0xee, 0xee]);
  });

  test("has a body of one mebibyte at most", () => {
    const greatest = new Uint8Array(FRAME_BODY_BYTES_MAX).fill(1);

    expect(decodeFrame(encodeFrame(HEADER, greatest)).body).toHaveLength(1_048_576);
    expect(() => encodeFrame(HEADER, new Uint8Array(FRAME_BODY_BYTES_MAX + 1))).toThrow(RangeError);
  });

  test.each<Partial<FrameHeader>>([
    { seq: -1 },
    { seq: 2 ** 53 },
    { recvSeq: 0.5 },
    { id: Number.NaN },
    { command: 65_536 },
    { error: -1 },
    { flags: 256 },
  ])("is not written with a number out of its range: %o", (wrong) => {
    expect(() => encodeFrame({ ...HEADER, ...wrong }, BODY)).toThrow(RangeError);
  });

  test("is not written where it does not fit", () => {
    expect(() => writeFrame(frameSpace(new Uint8Array(51)), 0, HEADER, BODY)).toThrow(RangeError);
    expect(() => writeFrame(frameSpace(new Uint8Array(47)), 0, HEADER, new Uint8Array(0))).toThrow(
      RangeError,
    );
  });
});

describe("damage", () => {
  const frame = encodeFrame(HEADER, BODY);

  test("each single-bit flip of a frame is found", () => {
    const codes = Array.from({ length: frame.length * 8 }, (_, bit) => {
      const damaged = frame.slice();
      damaged[bit >> 3] = (frame[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return codeOf(() => decodeFrame(damaged));
    });

    expect(new Set(codes)).toEqual(new Set(["ERR_HOLDFAST_FRAME_CHECKSUM"]));
  });

  test("each truncation of a frame is found, and so are bytes behind it", () => {
    const longer = new Uint8Array(frame.length + 1);
    longer.set(frame);
    const lengths = [...Array.from({ length: frame.length }, (_, length) => length), longer.length];

    const codes = lengths.map((length) => codeOf(() => decodeFrame(longer.subarray(0, length))));

    expect(new Set(codes)).toEqual(new Set(["ERR_HOLDFAST_FRAME_TRUNCATED"]));
  });

  test.each([
    ["unknown flags", 36, 2, "HEADER"],
    ["reserved bytes that are not zero", 36, 0x0100_0001, "HEADER"],
    ["reserved bytes at its end that are not zero", 44, 1, "HEADER"],
    ["a seq beyond 2^53-1", 12, 0x20_0000, "HEADER"],
    ["a recvSeq beyond 2^53-1", 20, 0x20_0000, "HEADER"],
    ["an id beyond 2^53-1", 28, 0x20_0000, "HEADER"],
    ["a body of more than one mebibyte", 4, FRAME_BODY_BYTES_MAX + 1, "TOO_LONG"],
    ["a body of four gibibytes", 4, 0xffff_ffff, "TOO_LONG"],
  ])("%s is refused, though the checksum is right", (_, offset, value, name) => {
    const crafted = frame.slice();
    const view = new DataView(crafted.buffer);
    view.setUint32(offset, value, true);
    view.setUint32(0, crc32c(crafted, 4, 48), true);

    expect(codeOf(() => decodeFrame(crafted))).toBe(`ERR_HOLDFAST_FRAME_${name}`);
  });
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    // Every refusal of a frame is a FrameError; anything else shows as a code that no test expects.
    return (error as FrameError).code;
  }
  return "accepted";
}
