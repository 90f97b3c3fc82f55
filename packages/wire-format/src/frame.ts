/*
 * Message frames: a fixed header of 48 bytes, little-endian, then the body. {@link FrameLayout} declares the header.
 *
 * The header has a checksum of its own, so that a damaged length is found before anything waits for, or
 * allocates, that many bytes. The three numbers are counters of one session and fit 2^53.
 */
import { crc32cOfView } from "./crc32c.ts";
import { FrameError } from "./errors.ts";
import { bytes, u16, u32, u53, u8 } from "./fields.ts";
import { type StructCodec, struct } from "./struct.ts";

/** A frame's header as it stands in the bytes. */
export interface FrameLayout {
  /** CRC-32C of header bytes 4 … 47. */
  readonly checksum: number;
  /** Bytes of body, 0 … 1 MiB. */
  readonly bodyBytes: number;
  /** Number of this frame in its direction, from 1; 0 = outside the sequence. */
  readonly seq: number;
  /** Greatest seq received from the other side (acknowledgement). */
  readonly recvSeq: number;
  /** Names a request; its response carries the same. */
  readonly id: number;
  /** What the body is; its meaning belongs to the protocol above. */
  readonly command: number;
  /** 0 = none; its meaning belongs to the protocol above. */
  readonly error: number;
  /** Bit 0: this is a response. The other bits are zero. */
  readonly flags: number;
  /** Zero. */
  readonly reserved: Uint8Array;
  /** CRC-32C of the body. */
  readonly bodyChecksum: number;
  /** Zero. */
  readonly reservedEnd: Uint8Array;
}

/** Layout of the header. The functions below, which run for each message, name the offsets; a test holds the two together. */
export const FrameLayout: StructCodec<FrameLayout> = struct("FrameLayout", {
  checksum: u32,
  bodyBytes: u32,
  seq: u53,
  recvSeq: u53,
  id: u53,
  command: u16,
  error: u16,
  flags: u8,
  reserved: bytes(3),
  bodyChecksum: u32,
  reservedEnd: bytes(4),
});

/** Bytes of a frame's header. */
export const FRAME_HEADER_BYTES = 48;

/** Greatest body, 1 MiB: bounds what one peer can make another allocate; bulk data is split by its protocol. */
export const FRAME_BODY_BYTES_MAX: number = 1024 * 1024;

const EMPTY = new Uint8Array(0);

/** Flag of a frame that answers a request. */
export const FRAME_FLAG_RESPONSE = 1;

/** Everything in a frame's header but lengths and checksums. */
export interface FrameHeader {
  /** Number in its direction, from 1; 0 for frames outside the sequence. */
  readonly seq: number;
  /** Greatest seq received from the other side. */
  readonly recvSeq: number;
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
export interface Frame extends FrameHeader {
  readonly body: Uint8Array;
}

/** Bytes that hold frames, with the view that reads and writes them; made once for many frames. */
export interface FrameSpace {
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
}

/** Makes bytes ready for frames. */
export function frameSpace(bytes: Uint8Array): FrameSpace {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/**
 * Writes a frame into `target` at `offset` and returns the offset behind it.
 *
 * @throws RangeError when it does not fit, the body is too long or a number of the header is outside its range.
 */
export function writeFrame(
  target: FrameSpace,
  offset: number,
  header: FrameHeader,
  body: Uint8Array,
): number {
  const { bytes, view } = target;
  if (body.length > FRAME_BODY_BYTES_MAX)
    throw new RangeError(`a frame's body has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${body.length}`);
  const start = offset + FRAME_HEADER_BYTES;
  const end = start + body.length;
  if (end > bytes.length) throw new RangeError(`a frame of ${end - offset} bytes does not fit at ${offset}`);
  checkWidth(header);
  bytes.set(body, start);
  view.setInt32(offset + 4, body.length, true);
  putCounter(view, offset + 8, header.seq);
  putCounter(view, offset + 16, header.recvSeq);
  putCounter(view, offset + 24, header.id);
  view.setInt32(offset + 32, header.command | (header.error << 16), true);
  view.setInt32(offset + 36, header.flags, true);
  view.setUint32(offset + 40, crc32cOfView(view, start, end), true);
  view.setInt32(offset + 44, 0, true);
  view.setUint32(offset, crc32cOfView(view, offset + 4, start), true);
  return end;
}

/** A frame as new bytes. */
export function encodeFrame(header: FrameHeader, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  writeFrame(frameSpace(out), 0, header, body);
  return out;
}

/**
 * Reads the frame that fills `bytes` exactly.
 *
 * @throws {@link FrameError} when it is damaged, cut short or followed by anything.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const space = frameSpace(bytes);
  const length = frameLength(space, 0, bytes.length);
  if (length === undefined || length !== bytes.length) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TRUNCATED",
      `a frame of ${length ?? "unknown"} bytes stands in ${bytes.length}`,
      bytes.length,
    );
  }
  return parseFrame(space, 0, length, reusedFrame());
}

/**
 * Length of the frame that starts at `offset`, or undefined while its header is incomplete.
 *
 * @throws {@link FrameError} when the header is damaged.
 */
export function frameLength({ view }: FrameSpace, offset: number, end: number): number | undefined {
  if (end - offset < FRAME_HEADER_BYTES) return undefined;
  if (view.getUint32(offset, true) !== crc32cOfView(view, offset + 4, offset + FRAME_HEADER_BYTES)) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_CHECKSUM",
      "a frame's header does not match its checksum",
      offset,
    );
  }
  const bodyBytes = view.getUint32(offset + 4, true);
  if (bodyBytes > FRAME_BODY_BYTES_MAX) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TOO_LONG",
      `a frame announces ${bodyBytes} bytes, ${FRAME_BODY_BYTES_MAX} are allowed`,
      bodyBytes,
    );
  }
  return FRAME_HEADER_BYTES + bodyBytes;
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
 * Parses the complete frame of `length` bytes at `offset`, whose header {@link frameLength} has verified, into
 * `frame`, and returns that.
 *
 * @throws {@link FrameError} when the body is damaged or the header makes no sense.
 */
export function parseFrame(
  { bytes, view }: FrameSpace,
  offset: number,
  length: number,
  frame: ReusedFrame,
): Frame {
  const start = offset + FRAME_HEADER_BYTES;
  const end = offset + length;
  if (view.getUint32(offset + 40, true) !== crc32cOfView(view, start, end)) {
    throw new FrameError("ERR_HOLDFAST_FRAME_CHECKSUM", "a frame's body does not match its checksum", length);
  }
  const flags = view.getUint32(offset + 36, true);
  if (flags > FRAME_FLAG_RESPONSE || view.getInt32(offset + 44, true) !== 0) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_HEADER",
      `a frame has unknown flags 0x${flags.toString(16)} or non-zero reserved bytes`,
      flags,
    );
  }
  frame.seq = counterAt(view, offset + 8);
  frame.recvSeq = counterAt(view, offset + 16);
  frame.id = counterAt(view, offset + 24);
  frame.command = view.getUint16(offset + 32, true);
  frame.error = view.getUint16(offset + 34, true);
  frame.flags = flags;
  frame.body = length === FRAME_HEADER_BYTES ? EMPTY : bytes.subarray(start, end);
  return frame;
}

function putCounter(view: DataView, offset: number, counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0) throw new RangeError(`u53 cannot hold ${counter}`);
  // The lower word is taken modulo 2^32 by the view itself.
  view.setUint32(offset, counter, true);
  view.setInt32(offset + 4, counter <= 0xffff_ffff ? 0 : Math.floor(counter / 2 ** 32), true);
}

function counterAt(view: DataView, offset: number): number {
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  if (high === 0) return low;
  if (high > 0x1f_ffff)
    throw new FrameError("ERR_HOLDFAST_FRAME_HEADER", "a frame's counter exceeds 2^53-1", offset);
  return high * 2 ** 32 + low;
}

function checkWidth({ command, error, flags }: FrameHeader): void {
  if (command !== (command & 0xffff)) throw new RangeError(`u16 cannot hold ${command}`);
  if (error !== (error & 0xffff)) throw new RangeError(`u16 cannot hold ${error}`);
  if (flags !== (flags & 0xff)) throw new RangeError(`u8 cannot hold ${flags}`);
}
