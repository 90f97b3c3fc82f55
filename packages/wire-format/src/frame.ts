/*
 * Message frames: a header of 16 bytes, little-endian, then the body; they stand in batches (batch.ts), which number and
 * protect them. {@link FrameLayout} declares the header. A lone frame is a batch of one.
 */
import {
  BATCH_HEADER_BYTES,
  type BatchNumbers,
  batchLength,
  batchRecvSeq,
  batchSeq,
  verifyBatch,
  writeBatchHeader,
} from "./batch.ts";
import { FrameError } from "./errors.ts";
import { u16, u32, u53 } from "./fields.ts";
import { type FrameSpace, counterAt, frameSpace, putCounter } from "./frame-space.ts";
import { type StructCodec, struct } from "./struct.ts";

/** A frame's header as it stands in the bytes. */
export interface FrameLayout {
  /** Bits 0 … 23: bytes of body, 0 … 1 MiB. Bit 24: this is a response. The other bits are zero. */
  readonly sizeAndFlags: number;
  /** What the body is; its meaning belongs to the protocol above. */
  readonly command: number;
  /** 0 = none; its meaning belongs to the protocol above. */
  readonly error: number;
  /** Names a request; its response carries the same. */
  readonly id: number;
}

/** Layout of the header. The functions below, which run for each message, name the offsets; a test holds the two together. */
export const FrameLayout: StructCodec<FrameLayout> = struct("FrameLayout", {
  sizeAndFlags: u32,
  command: u16,
  error: u16,
  id: u53,
});

/** Bytes of a frame's header. */
export const FRAME_HEADER_BYTES = 16;

/** Bytes of a lone frame beside its body. */
export const LONE_FRAME_BYTES: number = BATCH_HEADER_BYTES + FRAME_HEADER_BYTES;

/** Greatest body, 1 MiB: bounds what one peer can make another allocate; bulk data is split by its protocol. */
export const FRAME_BODY_BYTES_MAX: number = 1024 * 1024;

const EMPTY = new Uint8Array(0);

/** Flag of a frame that answers a request. */
export const FRAME_FLAG_RESPONSE = 1;

const SIZE_BITS = 24;
const SIZE_MASK = 0xff_ffff;

/** What a frame itself says. */
export interface FrameHeader {
  /** Names a request and its response. */
  readonly id: number;
  /** 0 … 65 535. */
  readonly command: number;
  /** 0 = none. */
  readonly error: number;
  /** Bit 0: {@link FRAME_FLAG_RESPONSE}. */
  readonly flags: number;
}

/** A parsed frame; `body` is a view, valid only while the buffer it came from is. */
export interface Frame extends FrameHeader, BatchNumbers {
  readonly body: Uint8Array;
}

/**
 * Writes a frame into `target` at `offset` and returns the offset behind it.
 *
 * @throws RangeError when it does not fit, the body is too long or a number of the header is outside its range.
 */
export function writeFrame(
  { bytes, view }: FrameSpace,
  offset: number,
  { id, command, error, flags }: FrameHeader,
  body: Uint8Array,
): number {
  const { length } = body;
  if (length > FRAME_BODY_BYTES_MAX)
    throw new RangeError(`a frame's body has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${length}`);
  const start = offset + FRAME_HEADER_BYTES;
  const end = start + length;
  if (end > bytes.length) throw new RangeError(`a frame of ${end - offset} bytes does not fit at ${offset}`);
  if (command !== (command & 0xffff)) throw new RangeError(`u16 cannot hold ${command}`);
  if (error !== (error & 0xffff)) throw new RangeError(`u16 cannot hold ${error}`);
  if (flags !== (flags & 0xff)) throw new RangeError(`u8 cannot hold ${flags}`);
  putCounter(view, offset + 8, id);
  view.setInt32(offset, length | (flags << SIZE_BITS), true);
  view.setInt32(offset + 4, command | (error << 16), true);
  bytes.set(body, start);
  return end;
}

/** A lone frame as new bytes. @throws RangeError as {@link writeFrame} does. */
export function encodeFrame(header: FrameHeader & BatchNumbers, body: Uint8Array): Uint8Array {
  const space = frameSpace(new Uint8Array(LONE_FRAME_BYTES + body.length));
  const end = writeFrame(space, BATCH_HEADER_BYTES, header, body);
  writeBatchHeader(space, 0, header, { frames: space, start: BATCH_HEADER_BYTES, end });
  return space.bytes;
}

/**
 * Reads the lone frame that fills `bytes` exactly.
 *
 * @throws {@link FrameError} when it is damaged, cut short or followed by anything.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const space = frameSpace(bytes);
  const length = batchLength(space, 0, bytes.length);
  if (length === undefined || length !== bytes.length) throw truncated(length, bytes.length);
  verifyBatch(space, 0, length);
  const frame = reusedFrame();
  frame.seq = batchSeq(space, 0);
  frame.recvSeq = batchRecvSeq(space, 0);
  const end = parseFrame(space, BATCH_HEADER_BYTES, length, frame);
  if (end !== length) throw truncated(end, length);
  return frame;
}

/** A frame that is parsed into, again and again. */
export interface ReusedFrame {
  seq: number;
  recvSeq: number;
  id: number;
  command: number;
  error: number;
  flags: number;
  body: Uint8Array;
}

/** A frame to be parsed into. */
export function reusedFrame(): ReusedFrame {
  return { seq: 0, recvSeq: 0, id: 0, command: 0, error: 0, flags: 0, body: EMPTY };
}

/**
 * Parses the frame at `offset` of a verified batch that ends at `end` into `frame`, all but its numbers, and returns
 * the offset behind it.
 *
 * @throws {@link FrameError} when it makes no sense.
 */
export function parseFrame(
  { view, buffer, bufferOffset }: FrameSpace,
  offset: number,
  end: number,
  frame: ReusedFrame,
): number {
  const start = offset + FRAME_HEADER_BYTES;
  if (start > end) throw truncated(FRAME_HEADER_BYTES, end - offset);
  const sizeAndFlags = view.getUint32(offset, true);
  const flags = sizeAndFlags >>> SIZE_BITS;
  if (flags > FRAME_FLAG_RESPONSE)
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_HEADER",
      `a frame has unknown flags 0x${flags.toString(16)}`,
      flags,
    );
  const size = sizeAndFlags & SIZE_MASK;
  if (size > FRAME_BODY_BYTES_MAX)
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TOO_LONG",
      `a frame announces ${size} bytes, ${FRAME_BODY_BYTES_MAX} are allowed`,
      size,
    );
  const next = start + size;
  if (next > end) throw truncated(FRAME_HEADER_BYTES + size, end - offset);
  const commandAndError = view.getUint32(offset + 4, true);
  frame.id = counterAt(view, offset + 8);
  frame.command = commandAndError & 0xffff;
  frame.error = commandAndError >>> 16;
  frame.flags = flags;
  // Half the price of `subarray`, which asks for the bytes' class, buffer and bounds each time.
  frame.body = size === 0 ? EMPTY : new Uint8Array(buffer, bufferOffset + start, size);
  return next;
}

/** Bytes of the frame at `offset`, which was written by {@link writeFrame}. */
export function frameBytesAt({ view }: FrameSpace, offset: number): number {
  return FRAME_HEADER_BYTES + (view.getUint32(offset, true) & SIZE_MASK);
}

/** Id of the frame at `offset`, which was written by {@link writeFrame}. */
export function frameIdAt({ view }: FrameSpace, offset: number): number {
  return counterAt(view, offset + 8);
}

function truncated(wantedBytes: number | undefined, bytes: number): FrameError {
  return new FrameError(
    "ERR_HOLDFAST_FRAME_TRUNCATED",
    `a frame of ${wantedBytes ?? "unknown"} bytes stands in ${bytes}`,
    bytes,
  );
}
