/*
 * Frames of a stream's connection: a header of 24 bytes, then the payload.
 *
 * Data carries no checksum of its own: the trailer has one over all of it. Everything else does.
 */
import { utf8 } from "@holdfast/environment";
import {
  FRAME_BODY_BYTES_MAX,
  type StructCodec,
  bytes,
  crc32c,
  flag,
  struct,
  u16,
  u32,
  u53,
  u8,
} from "@holdfast/wire-format";
import { broken } from "./stream-errors.ts";
import { STREAM_DATA_BYTES_MAX } from "./stream-limits.ts";

/** A frame's header as it stands in the bytes. */
export interface StreamFrameLayout {
  /** One of {@link STREAM_FRAME}. */
  readonly type: number;
  /** Zero. */
  readonly reserved: Uint8Array;
  /** Bytes of payload. */
  readonly payloadBytes: number;
  /** Data, trailer: bytes of the stream before this frame. Credit: bytes that may be sent, from the stream's start. Else 0. */
  readonly position: number;
  /** CRC-32C of the payload; 0 for data. */
  readonly payloadChecksum: number;
  /** CRC-32C of the 20 bytes before. */
  readonly checksum: number;
}

/** Layout of the header. */
export const StreamFrameLayout: StructCodec<StreamFrameLayout> = struct("StreamFrameLayout", {
  type: u8,
  reserved: bytes(3),
  payloadBytes: u32,
  position: u53,
  payloadChecksum: u32,
  checksum: u32,
});

/** What a frame is. */
export interface StreamFrameTypes {
  /** Opens a direction: a command and the body of the request or answer. */
  readonly HEADING: 1;
  /** The next bytes of the stream. */
  readonly DATA: 2;
  /** Ends a direction: how it ended, how many bytes it had, and their checksum. */
  readonly TRAILER: 3;
  /** The other side may send up to `position`. */
  readonly CREDIT: 4;
  /** Nothing but a sign of life. */
  readonly ALIVE: 5;
  /** Nobody reads any more: send the trailer. */
  readonly STOP: 6;
  /** The whole exchange is over, in both directions. */
  readonly ABORT: 7;
  /** The trailer has come: its sender need not stay for it any more. */
  readonly RECEIVED: 8;
}

/** What a frame is. */
export const STREAM_FRAME: StreamFrameTypes = {
  HEADING: 1,
  DATA: 2,
  TRAILER: 3,
  CREDIT: 4,
  ALIVE: 5,
  STOP: 6,
  ABORT: 7,
  RECEIVED: 8,
};

/** Bytes of an error code, filled up with zeros. */
export const STREAM_CODE_BYTES = 64;

/** First bytes of a heading's payload; the body follows. */
export interface StreamHeading {
  /** Of the request. */
  readonly command: number;
  /** The trailer will have a checksum over the stream; else it has 0. */
  readonly isSummed: boolean;
}

/** Layout of a heading's beginning. */
export const StreamHeading: StructCodec<StreamHeading> = struct("StreamHeading", {
  command: u16,
  isSummed: flag,
});

/** Payload of a trailer. */
export interface StreamTrailer {
  /** `StreamSum` of all bytes of the stream, if its heading announced one. */
  readonly streamChecksum: number;
  /** All zero: the stream is whole. Else why it is not, an error code in ASCII. */
  readonly code: Uint8Array;
}

/** Layout of a trailer; its header's position is the stream's length. */
export const StreamTrailer: StructCodec<StreamTrailer> = struct("StreamTrailer", {
  streamChecksum: u32,
  code: bytes(STREAM_CODE_BYTES),
});

/** Bytes of a frame's header. */
export const STREAM_HEADER_BYTES: number = StreamFrameLayout.sizeBytes;

/** Payload limits by type; a type without one does not exist. */
const PAYLOAD_BYTES: ReadonlyMap<number, { readonly least: number; readonly most: number }> = new Map<
  number,
  { readonly least: number; readonly most: number }
>([
  [
    STREAM_FRAME.HEADING,
    { least: StreamHeading.sizeBytes, most: StreamHeading.sizeBytes + FRAME_BODY_BYTES_MAX },
  ],
  [STREAM_FRAME.DATA, { least: 1, most: STREAM_DATA_BYTES_MAX }],
  [STREAM_FRAME.TRAILER, exactly(StreamTrailer.sizeBytes)],
  [STREAM_FRAME.CREDIT, exactly(0)],
  [STREAM_FRAME.ALIVE, exactly(0)],
  [STREAM_FRAME.STOP, exactly(0)],
  [STREAM_FRAME.ABORT, exactly(STREAM_CODE_BYTES)],
  [STREAM_FRAME.RECEIVED, exactly(0)],
]);

/** What a header says. */
export type StreamHeader = Pick<StreamFrameLayout, "type" | "payloadBytes" | "position" | "payloadChecksum">;

const CHECKED_BYTES = STREAM_HEADER_BYTES - 4;
const EMPTY = new Uint8Array(0);

/**
 * Makes headers, one after another in the same memory: a view of new memory costs more than all the rest.
 *
 * It runs for each frame, hence names the offsets of {@link StreamFrameLayout}; reading goes by the layout.
 */
export class HeaderWriter {
  readonly #bytes: Uint8Array = new Uint8Array(STREAM_HEADER_BYTES);
  readonly #view: DataView = new DataView(this.#bytes.buffer);

  /** A header, valid until the next. */
  write({ type, payloadBytes, position, payloadChecksum }: StreamHeader): Uint8Array {
    const view = this.#view;
    view.setUint8(0, type);
    view.setUint32(4, payloadBytes, true);
    u53.write(view, 8, position);
    view.setUint32(16, payloadChecksum, true);
    view.setUint32(CHECKED_BYTES, crc32c(this.#bytes, 0, CHECKED_BYTES), true);
    return this.#bytes;
  }
}

/** A whole frame other than data. */
export function streamFrame(type: number, position = 0, payload: Uint8Array = EMPTY): Uint8Array {
  const payloadChecksum = crc32c(payload);
  const out = new Uint8Array(STREAM_HEADER_BYTES + payload.length);
  out.set(new HeaderWriter().write({ type, payloadBytes: payload.length, position, payloadChecksum }));
  out.set(payload, STREAM_HEADER_BYTES);
  return out;
}

/** A heading. @throws RangeError when the command is no 16-bit number or the body longer than a frame allows. */
export function headingFrame(heading: StreamHeading, body: Uint8Array): Uint8Array {
  if (body.length > FRAME_BODY_BYTES_MAX)
    throw new RangeError(`a stream's body has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${body.length}`);
  const payload = new Uint8Array(StreamHeading.sizeBytes + body.length);
  payload.set(StreamHeading.encode(heading));
  payload.set(body, StreamHeading.sizeBytes);
  return streamFrame(STREAM_FRAME.HEADING, 0, payload);
}

/** An error code as bytes; a longer one is cut short. */
export function codeBytes(code: string): Uint8Array {
  const out = new Uint8Array(STREAM_CODE_BYTES);
  out.set(utf8.encode(code.replaceAll(/[^\w-]/g, "_")).subarray(0, STREAM_CODE_BYTES));
  return out;
}

/** The error code in bytes of the other side; whatever is no code is left out. */
export function codeText(code: Uint8Array): string {
  const end = code.indexOf(0);
  return String.fromCharCode(...code.subarray(0, end === -1 ? code.length : end)).replaceAll(/[^\w-]/g, "_");
}

/**
 * Reads a header.
 *
 * @throws StreamError `ERR_HOLDFAST_STREAM_BROKEN` when it is damaged or makes no sense.
 */
export function readHeader(header: Uint8Array): StreamHeader {
  const layout = decodePart(StreamFrameLayout, header);
  if (layout.checksum !== crc32c(header, 0, CHECKED_BYTES))
    throw broken("a frame's header does not match its checksum");
  const { type, reserved, payloadBytes, position, payloadChecksum } = layout;
  if (reserved.some((byte) => byte !== 0)) throw broken("a frame's reserved bytes are not zero");
  const limits = PAYLOAD_BYTES.get(type);
  if (limits === undefined) throw broken(`a frame has the unknown type ${type}`);
  if (payloadBytes < limits.least || payloadBytes > limits.most)
    throw broken(`a frame of type ${type} has ${payloadBytes} bytes`);
  return { type, payloadBytes, position, payloadChecksum };
}

/**
 * Decodes what a peer has sent.
 *
 * @throws StreamError `ERR_HOLDFAST_STREAM_BROKEN` when it is malformed.
 */
export function decodePart<V>(codec: StructCodec<V>, part: Uint8Array): V {
  try {
    return codec.decode(part);
  } catch (cause) {
    if (cause instanceof RangeError) throw broken(cause.message);
    throw cause;
  }
}

function exactly(bytes: number): { readonly least: number; readonly most: number } {
  return { least: bytes, most: bytes };
}
