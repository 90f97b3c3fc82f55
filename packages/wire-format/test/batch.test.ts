import { describe, expect, test } from "vitest";
import {
  BATCH_FRAMES_BYTES_MAX,
  BATCH_HEADER_BYTES,
  BatchLayout,
  batchLength,
  batchRecvSeq,
  batchSeq,
  type FrameError,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEADER_BYTES,
  frameSpace,
  toHex,
  verifyBatch,
  writeBatchHeader,
  xxhash32,
} from "../src/index.ts";

const FRAMES = new Uint8Array(20).fill(7);

/** A batch of {@link FRAMES}. */
function batch(): Uint8Array {
  const space = frameSpace(new Uint8Array(BATCH_HEADER_BYTES + FRAMES.length));
  space.bytes.set(FRAMES, BATCH_HEADER_BYTES);
  writeBatchHeader(
    space,
    0,
    { seq: 3, recvSeq: 2 ** 53 - 1 },
    { frames: space, start: BATCH_HEADER_BYTES, end: space.bytes.length },
  );
  return space.bytes;
}

describe("a batch", () => {
  test("has a header of 32 bytes in front of its frames, as its layout declares", () => {
    const bytes = batch();

    expect(BatchLayout.sizeBytes).toBe(BATCH_HEADER_BYTES);
    expect(BatchLayout.decode(bytes.subarray(0, BATCH_HEADER_BYTES))).toEqual({
      checksum: xxhash32(frameSpace(bytes).view, 4, 32),
      framesBytes: 20,
      seq: 3,
      recvSeq: 2 ** 53 - 1,
      framesChecksum: xxhash32(frameSpace(FRAMES).view, 0, FRAMES.length),
      reserved: new Uint8Array(4),
    });
    expect(toHex(bytes.subarray(4, 24))).toBe("140000000300000000000000ffffffffffff1f00");
  });

  test("tells its length and its numbers", () => {
    const space = frameSpace(batch());

    expect(batchLength(space, 0, 31)).toBeUndefined();
    expect(batchLength(space, 0, 32)).toBe(52);
    expect([batchSeq(space, 0), batchRecvSeq(space, 0)]).toEqual([3, 2 ** 53 - 1]);
    expect(() => verifyBatch(space, 0, 52)).not.toThrow();
  });

  test("has room for the greatest frame, and no more", () => {
    expect(BATCH_FRAMES_BYTES_MAX).toBe(FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX);
  });

  test.each([
    ["more frames than one batch holds", 4, BATCH_FRAMES_BYTES_MAX + 1, "TOO_LONG"],
    ["four gibibytes of frames", 4, 0xffff_ffff, "TOO_LONG"],
    ["reserved bytes that are not zero", 28, 1, "HEADER"],
    ["a seq beyond 2^53-1", 12, 0x20_0000, "HEADER"],
    ["a recvSeq beyond 2^53-1", 20, 0x20_0000, "HEADER"],
  ])("with %s is refused, though the checksum is right", (_, offset, value, name) => {
    const space = frameSpace(batch());
    space.view.setUint32(offset, value, true);
    space.view.setUint32(0, xxhash32(space.view, 4, BATCH_HEADER_BYTES), true);

    expect(codeOf(() => [batchLength(space, 0, 52), batchSeq(space, 0), batchRecvSeq(space, 0)])).toBe(
      `ERR_HOLDFAST_FRAME_${name}`,
    );
  });
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    // Every refusal of a batch is a FrameError; anything else shows as a code that no test expects.
    return (error as FrameError).code;
  }
  return "accepted";
}
