import { crc32c } from "@holdfast/wire-format";
import { broken } from "./stream-errors.ts";
import { STREAM_FRAME, STREAM_HEADER_BYTES, type StreamHeader, readHeader } from "./stream-frames.ts";

/** Takes what a parser finds, in order. */
export interface StreamFrameSink {
  /** A frame begins: the place to refuse it, before anything is kept of it. */
  begins(header: StreamHeader): void;
  /** Bytes of a data frame's payload, where they stand: valid only during the call. */
  data(bytes: Uint8Array): void;
  /** Any other frame, whole; the payload is valid only during the call. */
  frame(header: StreamHeader, payload: Uint8Array): void;
}

/** Payload of a data frame that is worth reads of its own; shorter ones are read many at a time. */
const LONG_DATA_BYTES: number = 128 * 1024;

const EMPTY = new Uint8Array(0);

/**
 * Cuts a connection's bytes into frames. Payload of data frames is passed on as it comes, in whatever pieces; only
 * headers and the small payloads of other frames are gathered.
 */
export class StreamParser {
  readonly #sink: StreamFrameSink;
  readonly #headerBytes: Uint8Array = new Uint8Array(STREAM_HEADER_BYTES);
  #header: StreamHeader | undefined;
  #payload: Uint8Array = EMPTY;
  /** Payload of the last data frame if it was long, else 0. */
  #longBytes = 0;
  /** Bytes of the header or of the payload that are here. */
  #length = 0;

  constructor(sink: StreamFrameSink) {
    this.#sink = sink;
  }

  /** Bytes that are missing of a header; 0 in the middle of a frame. */
  get headerBytes(): number {
    return this.#header === undefined ? STREAM_HEADER_BYTES - this.#length : 0;
  }

  /** Bytes that are missing of a long data frame, or that the next will probably have; 0 if anything else comes. */
  get dataBytes(): number {
    const header = this.#header;
    if (header === undefined) return this.#longBytes;
    return header.type === STREAM_FRAME.DATA && this.#longBytes > 0 ? header.payloadBytes - this.#length : 0;
  }

  /**
   * Takes the next bytes.
   *
   * @throws StreamError `ERR_HOLDFAST_STREAM_BROKEN`; what the sink throws. Nothing may be pushed after that.
   */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      const header = this.#header;
      if (header === undefined) offset = this.#takeHeader(chunk, offset);
      else if (header.type === STREAM_FRAME.DATA) offset = this.#takeData(header, chunk, offset);
      else offset = this.#takePayload(header, chunk, offset);
    }
  }

  #takeHeader(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(STREAM_HEADER_BYTES - this.#length, chunk.length - offset);
    this.#headerBytes.set(chunk.subarray(offset, offset + taken), this.#length);
    this.#length += taken;
    if (this.#length < STREAM_HEADER_BYTES) return offset + taken;
    const header = readHeader(this.#headerBytes);
    this.#length = 0;
    this.#sink.begins(header);
    if (header.type === STREAM_FRAME.DATA) {
      this.#header = header;
      this.#longBytes = header.payloadBytes < LONG_DATA_BYTES ? 0 : header.payloadBytes;
    } else if (header.payloadBytes === 0) {
      this.#finish(header, EMPTY);
    } else {
      this.#header = header;
      this.#payload = new Uint8Array(header.payloadBytes);
    }
    return offset + taken;
  }

  #takeData(header: StreamHeader, chunk: Uint8Array, offset: number): number {
    const end = Math.min(chunk.length, offset + header.payloadBytes - this.#length);
    this.#length += end - offset;
    if (this.#length === header.payloadBytes) {
      this.#header = undefined;
      this.#length = 0;
    }
    this.#sink.data(offset === 0 && end === chunk.length ? chunk : chunk.subarray(offset, end));
    return end;
  }

  #takePayload(header: StreamHeader, chunk: Uint8Array, offset: number): number {
    const end = Math.min(chunk.length, offset + header.payloadBytes - this.#length);
    this.#payload.set(chunk.subarray(offset, end), this.#length);
    this.#length += end - offset;
    if (this.#length < header.payloadBytes) return end;
    const payload = this.#payload;
    this.#header = undefined;
    this.#payload = EMPTY;
    this.#length = 0;
    this.#finish(header, payload);
    return end;
  }

  #finish(header: StreamHeader, payload: Uint8Array): void {
    if (crc32c(payload) !== header.payloadChecksum)
      throw broken(`a frame of type ${header.type} does not match its checksum`);
    this.#sink.frame(header, payload);
  }
}
