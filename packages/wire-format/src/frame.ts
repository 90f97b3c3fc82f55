/*
 * Message frames: a fixed header of 48 bytes, little-endian, then the body. {@link FrameLayout} declares the header.
 *
 * The header has a checksum of its own, so that a damaged length is found before anything waits for, or
 * allocates, that many bytes. The three numbers are counters of one session and fit 2^53.
 */
import { crc32c } from "./crc32c.ts";
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

/**
 * Writes a frame into `target` at `offset` and returns the offset behind it.
 *
 * @throws RangeError when it does not fit, the body is too long or a number of the header is outside its range.
 */
export function writeFrame(
  target: Uint8Array,
  offset: number,
  header: FrameHeader,
  body: Uint8Array,
): number {
  if (body.length > FRAME_BODY_BYTES_MAX)
    throw new RangeError(`a frame's body has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${body.length}`);
  const end = offset + FRAME_HEADER_BYTES + body.length;
  if (end > target.length) throw new RangeError(`a frame of ${end - offset} bytes does not fit at ${offset}`);
  checkWidth(header);
  putWord(target, offset + 4, body.length);
  putCounter(target, offset + 8, header.seq);
  putCounter(target, offset + 16, header.recvSeq);
  putCounter(target, offset + 24, header.id);
  putWord(target, offset + 32, header.command | (header.error << 16));
  putWord(target, offset + 36, header.flags);
  putWord(target, offset + 40, crc32c(body));
  putWord(target, offset + 44, 0);
  putWord(target, offset, crc32c(target, offset + 4, offset + FRAME_HEADER_BYTES));
  target.set(body, offset + FRAME_HEADER_BYTES);
  return end;
}

/** A frame as new bytes. */
export function encodeFrame(header: FrameHeader, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  writeFrame(out, 0, header, body);
  return out;
}

/**
 * Reads the frame that fills `bytes` exactly.
 *
 * @throws {@link FrameError} when it is damaged, cut short or followed by anything.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const length = frameLength(bytes, 0, bytes.length);
  if (length === undefined || length !== bytes.length) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TRUNCATED",
      `a frame of ${length ?? "unknown"} bytes stands in ${bytes.length}`,
      bytes.length,
    );
  }
  return parseFrame(bytes, 0, length);
}

/**
 * Length of the frame that starts at `offset`, or undefined while its header is incomplete.
 *
 * @throws {@link FrameError} when the header is damaged.
 */
export function frameLength(bytes: Uint8Array, offset: number, end: number): number | undefined {
  if (end - offset < FRAME_HEADER_BYTES) return undefined;
  if (wordAt(bytes, offset) !== crc32c(bytes, offset + 4, offset + FRAME_HEADER_BYTES)) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_CHECKSUM",
      "a frame's header does not match its checksum",
      offset,
    );
  }
  const bodyBytes = wordAt(bytes, offset + 4);
  if (bodyBytes > FRAME_BODY_BYTES_MAX) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_TOO_LONG",
      `a frame announces ${bodyBytes} bytes, ${FRAME_BODY_BYTES_MAX} are allowed`,
      bodyBytes,
    );
  }
  return FRAME_HEADER_BYTES + bodyBytes;
}

/**
 * Parses the complete frame of `length` bytes at `offset`, whose header {@link frameLength} has verified.
 *
 * @throws {@link FrameError} when the body is damaged or the header makes no sense.
 */
export function parseFrame(bytes: Uint8Array, offset: number, length: number): Frame {
  const start = offset + FRAME_HEADER_BYTES;
  if (wordAt(bytes, offset + 40) !== crc32c(bytes, start, offset + length)) {
    throw new FrameError("ERR_HOLDFAST_FRAME_CHECKSUM", "a frame's body does not match its checksum", length);
  }
  const flags = wordAt(bytes, offset + 36);
  if (flags > FRAME_FLAG_RESPONSE || wordAt(bytes, offset + 44) !== 0) {
    throw new FrameError(
      "ERR_HOLDFAST_FRAME_HEADER",
      `a frame has unknown flags 0x${flags.toString(16)} or non-zero reserved bytes`,
      flags,
    );
  }
  const kind = wordAt(bytes, offset + 32);
  return {
    seq: counterAt(bytes, offset + 8),
    recvSeq: counterAt(bytes, offset + 16),
    id: counterAt(bytes, offset + 24),
    command: kind & 0xffff,
    error: kind >>> 16,
    flags,
    body: bytes.subarray(start, offset + length),
  };
}

// Bytes are put and taken one by one: a DataView per frame costs several times as much as all of these together.

function putWord(target: Uint8Array, offset: number, word: number): void {
  target[offset] = word;
  target[offset + 1] = word >>> 8;
  target[offset + 2] = word >>> 16;
  target[offset + 3] = word >>> 24;
}

function putCounter(target: Uint8Array, offset: number, counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0) throw new RangeError(`u53 cannot hold ${counter}`);
  putWord(target, offset, counter >>> 0);
  putWord(target, offset + 4, counter <= 0xffff_ffff ? 0 : Math.floor(counter / 2 ** 32));
}

/** The four bytes lie within `bytes`: callers have made sure of a whole header. */
function wordAt(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] as number) |
      ((bytes[offset + 1] as number) << 8) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 24)) >>>
    0
  );
}

function counterAt(bytes: Uint8Array, offset: number): number {
  const high = wordAt(bytes, offset + 4);
  if (high > 0x1f_ffff)
    throw new FrameError("ERR_HOLDFAST_FRAME_HEADER", "a frame's counter exceeds 2^53-1", offset);
  return high * 2 ** 32 + wordAt(bytes, offset);
}

function checkWidth({ command, error, flags }: FrameHeader): void {
  if (command !== (command & 0xffff)) throw new RangeError(`u16 cannot hold ${command}`);
  if (error !== (error & 0xffff)) throw new RangeError(`u16 cannot hold ${error}`);
  if (flags !== (flags & 0xff)) throw new RangeError(`u8 cannot hold ${flags}`);
}
