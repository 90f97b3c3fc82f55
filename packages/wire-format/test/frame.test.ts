import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BATCH_HEADER_BYTES,
  decodeFrame,
  encodeFrame,
  FRAME_BODY_BYTES_MAX,
  type FrameError,
  FRAME_FLAG_RESPONSE,
  FRAME_HEADER_BYTES,
  FrameLayout,
  type FrameHeader,
  type BatchNumbers,
  LONE_FRAME_BYTES,
  frameSpace,
  toHex,
  writeFrame,
  xxhash32,
} from "../src/index.ts";

type LoneHeader = FrameHeader & BatchNumbers;

const HEADER: LoneHeader = { seq: 1, recvSeq: 2, id: 3, command: 4, error: 5, flags: FRAME_FLAG_RESPONSE };
const BODY = new Uint8Array(Buffer.from("body"));

const header: fc.Arbitrary<LoneHeader> = fc.record({
  seq: fc.maxSafeNat(),
  recvSeq: fc.maxSafeNat(),
  id: fc.maxSafeNat(),
  command: fc.nat(65_535),
  error: fc.nat(65_535),
  flags: fc.nat(1),
});

describe("a frame", () => {
  test("stands in a batch that has its numbers, with a header of 16 bytes and its body behind that", () => {
    expect(toHex(encodeFrame(HEADER, BODY))).toBe(
      [
        "2a898455", // XXH32 of the batch's header
        "14000000", // bytes of frames
        "0100000000000000",
        "0200000000000000",
        "c3e539e6", // XXH32 of the frames
        "00000000",
        "04000001", // bytes of body, and the flags above them
        "0400",
        "0500",
        "0300000000000000",
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

        const { id, command, error, flags } = given;
        expect(FrameLayout.decode(frame.subarray(BATCH_HEADER_BYTES, LONE_FRAME_BYTES))).toEqual({
          sizeAndFlags: body.length + flags * 2 ** 24,
          command,
          error,
          id,
        });
      }),
    );
    expect(FrameLayout.sizeBytes).toBe(FRAME_HEADER_BYTES);
  });

  test("can be written amid others, over whatever stood there", () => {
    const target = new Uint8Array(100).fill(0xee);

    const end = writeFrame(frameSpace(target), 7, HEADER, BODY);

    expect(end).toBe(7 + 20);
    expect(target.subarray(7, end)).toEqual(encodeFrame(HEADER, BODY).subarray(BATCH_HEADER_BYTES));
    expect([target[6], target[end]]).toEqual([0xee, 0xee]);
  });

  test("has a body of one mebibyte at most", () => {
    const greatest = new Uint8Array(FRAME_BODY_BYTES_MAX).fill(1);

    expect(decodeFrame(encodeFrame(HEADER, greatest)).body).toHaveLength(1_048_576);
    expect(() => encodeFrame(HEADER, new Uint8Array(FRAME_BODY_BYTES_MAX + 1))).toThrow(RangeError);
  });

  test.each<Partial<LoneHeader>>([
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
    expect(() => writeFrame(frameSpace(new Uint8Array(19)), 0, HEADER, BODY)).toThrow(RangeError);
    expect(() => writeFrame(frameSpace(new Uint8Array(15)), 0, HEADER, new Uint8Array(0))).toThrow(
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
    ["unknown flags", 0x0200_0004, "HEADER"],
    ["a body that begins and does not end", 5, "TRUNCATED"],
    ["a body that ends before the batch does", 3, "TRUNCATED"],
    ["a body of more than one mebibyte", FRAME_BODY_BYTES_MAX + 1, "TOO_LONG"],
  ])("%s is refused, though the checksums are right", (_, sizeAndFlags, name) => {
    const crafted = resealed((view) => view.setUint32(BATCH_HEADER_BYTES, sizeAndFlags, true));

    expect(codeOf(() => decodeFrame(crafted))).toBe(`ERR_HOLDFAST_FRAME_${name}`);
  });

  test("an id beyond 2^53-1 is refused, though the checksums are right", () => {
    const crafted = resealed((view) => view.setUint32(BATCH_HEADER_BYTES + 12, 0x20_0000, true));

    expect(codeOf(() => decodeFrame(crafted))).toBe("ERR_HOLDFAST_FRAME_HEADER");
  });
});

/** A lone frame that was changed by somebody who knows how to sign it. */
function resealed(change: (view: DataView) => void): Uint8Array {
  const bytes = encodeFrame(HEADER, BODY);
  const { view } = frameSpace(bytes);
  change(view);
  view.setUint32(24, xxhash32(view, BATCH_HEADER_BYTES, bytes.length), true);
  view.setUint32(0, xxhash32(view, 4, BATCH_HEADER_BYTES), true);
  return bytes;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    // Every refusal of a frame is a FrameError; anything else shows as a code that no test expects.
    return (error as FrameError).code;
  }
  return "accepted";
}
