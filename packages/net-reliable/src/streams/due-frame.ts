import { crc32c } from "@holdfast/wire-format";
import { broken } from "./stream-errors.ts";
import { STREAM_HEADER_BYTES, readHeader } from "./stream-frames.ts";

/**
 * Gathers the one frame that may come from a peer that has proved nothing yet.
 *
 * Its memory is the length of that frame: a stranger cannot make us keep more, whatever length it announces.
 */
export class DueFrame {
  readonly #type: number;
  readonly #bytes: Uint8Array;
  #length = 0;

  /** @param payloadBytes - Length of the payload, which the type has always. */
  constructor(type: number, payloadBytes: number) {
    this.#type = type;
    this.#bytes = new Uint8Array(STREAM_HEADER_BYTES + payloadBytes);
  }

  /**
   * Takes the bytes it needs from the start of `chunk` and returns how many that were.
   *
   * @throws StreamError `ERR_HOLDFAST_STREAM_BROKEN` when this cannot become the frame that is due.
   */
  take(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, this.#bytes.length - this.#length);
    this.#bytes.set(chunk.subarray(0, taken), this.#length);
    const before = this.#length;
    this.#length += taken;
    if (before < STREAM_HEADER_BYTES && this.#length >= STREAM_HEADER_BYTES) {
      const { type } = readHeader(this.#bytes.subarray(0, STREAM_HEADER_BYTES));
      if (type !== this.#type)
        throw broken(`a frame of type ${type} came where one of type ${this.#type} was due`);
    }
    return taken;
  }

  /** The frame's payload, or undefined while bytes are missing. @throws StreamError when it is damaged. */
  payload(): Uint8Array | undefined {
    if (this.#length < this.#bytes.length) return undefined;
    const { payloadChecksum } = readHeader(this.#bytes.subarray(0, STREAM_HEADER_BYTES));
    const payload = this.#bytes.subarray(STREAM_HEADER_BYTES);
    if (crc32c(payload) !== payloadChecksum) throw broken("a greeting does not match its checksum");
    return payload;
  }
}
