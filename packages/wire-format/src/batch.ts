/*
 * Batches: what a side of a session sends at once, a header of 32 bytes, little-endian, then frames up to its end.
 * {@link BatchLayout} declares the header.
 *
 * Numbers, acknowledgement and checksum stand once for all frames of a batch: per frame they would cost more than all
 * the rest. No frame is looked at before the checksum of the whole batch holds. The header has a checksum of its own,
 * so that a damaged length is found before anything waits for, or allocates, that many bytes.
 */
import { FrameError } from "./errors.ts";
import { bytes, u32, u53 } from "./fields.ts";
import type { FrameSpace } from "./frame-space.ts";
import { counterAt, putCounter } from "./frame-space.ts";
import { type StructCodec, struct } from "./struct.ts";
import { framesChecksum } from "./frames-checksum.ts";
import { xxhash32 } from "./xxhash32.ts";

/** A batch's header as it stands in the bytes. */
export interface BatchLayout {
  /** XXH32 of header bytes 4 … 31. */
  readonly checksum: number;
  /** Bytes of frames behind the header, 16 … 1 MiB + 16. */
  readonly framesBytes: number;
  /** Number of the first frame in its direction, from 1; those behind it count on. 0 = all are outside the sequence. */
  readonly seq: number;
  /** Greatest seq received from the other side (acknowledgement). */
  readonly recvSeq: number;
  /** {@link framesChecksum} of the frames. */
  readonly framesChecksum: number;
  /** Zero. */
  readonly reserved: Uint8Array;
}

/** Layout of the header. The functions below name the offsets; a test holds the two together. */
export const BatchLayout: StructCodec<BatchLayout> = struct("BatchLayout", {
  checksum: u32,
  framesBytes: u32,
  seq: u53,
  recvSeq: u53,
  framesChecksum: u32,
  reserved: bytes(4),
});

/** Bytes of a batch's header. */
export const BATCH_HEADER_BYTES = 32;

/** Most bytes of frames in one batch: those of the greatest frame. Senders of small frames stay far below. */
export const BATCH_FRAMES_BYTES_MAX: number = 1024 * 1024 + 16;

/** The numbers of a batch. */
export interface BatchNumbers {
  /** Number of its first frame, from 1; 0 for frames outside the sequence. */
  readonly seq: number;
  /** Greatest seq received from the other side. */
  readonly recvSeq: number;
}

/** Writes into `target` at `offset` the header of the batch whose frames are the bytes `start..end` of `frames`. */
export function writeBatchHeader(
  target: FrameSpace,
  offset: number,
  { seq, recvSeq }: BatchNumbers,
  { frames, start, end }: { readonly frames: FrameSpace; readonly start: number; readonly end: number },
): void {
  const { view } = target;
  view.setInt32(offset + 4, end - start, true);
  putCounter(view, offset + 8, seq);
  putCounter(view, offset + 16, recvSeq);
  view.setUint32(offset + 24, framesChecksum(frames, start, end), true);
  view.setInt32(offset + 28, 0, true);
  view.setUint32(offset, xxhash32(view, offset + 4, offset + BATCH_HEADER_BYTES), true);
}

/**
 * Length of the batch that starts at `offset`, header included, or undefined while its header is incomplete.
 *
 * @throws {@link FrameError} when the header is damaged or makes no sense.
 */
export function batchLength({ view }: FrameSpace, offset: number, end: number): number | undefined {
  if (end - offset < BATCH_HEADER_BYTES) return undefined;
  if (view.getUint32(offset, true) !== xxhash32(view, offset + 4, offset + BATCH_HEADER_BYTES))
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_CHECKSUM",
      "a batch's header does not match its checksum",
      offset,
    );
  const framesBytes = view.getUint32(offset + 4, true);
  if (framesBytes > BATCH_FRAMES_BYTES_MAX)
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TOO_LONG",
      `a batch announces ${framesBytes} bytes, ${BATCH_FRAMES_BYTES_MAX} are allowed`,
      framesBytes,
    );
  if (view.getInt32(offset + 28, true) !== 0)
    throw new FrameError("ERR_HOLDFAST_FRAME_HEADER", "a batch's reserved bytes are not zero", offset);
  return BATCH_HEADER_BYTES + framesBytes;
}

/**
 * Verifies the frames of the complete batch of `length` bytes at `offset`, whose header {@link batchLength} has verified.
 *
 * @throws {@link FrameError} when they are damaged.
 */
export function verifyBatch(space: FrameSpace, offset: number, length: number): void {
  const checksum = framesChecksum(space, offset + BATCH_HEADER_BYTES, offset + length);
  if (space.view.getUint32(offset + 24, true) !== checksum)
    throw new FrameError("ERR_HOLDFAST_FRAME_CHECKSUM", "frames do not match their checksum", length);
}

/** Number of the first frame of the batch at `offset`. @throws {@link FrameError} when it exceeds 2^53−1. */
export function batchSeq({ view }: FrameSpace, offset: number): number {
  return counterAt(view, offset + 8);
}

/** Acknowledgement of the batch at `offset`. @throws {@link FrameError} when it exceeds 2^53−1. */
export function batchRecvSeq({ view }: FrameSpace, offset: number): number {
  return counterAt(view, offset + 16);
}
