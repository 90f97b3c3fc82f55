/*
 * Cuts a stream of bytes into frames.
 *
 * Whole frames inside a chunk are parsed where they stand, without a copy. Only a frame that is split over
 * chunks is gathered, in one buffer that never exceeds the greatest frame: the verified header comes first, so
 * nothing is allocated on the word of a stranger beyond FRAME_BODY_BYTES_MAX.
 */
import { FRAME_HEADER_BYTES, type Frame, frameLength, parseFrame } from "./frame.ts";

/** Incremental parser of one direction of one connection. */
export class FrameParser {
  #rest: Uint8Array = new Uint8Array(0);
  #restLength = 0;

  /** Bytes held of a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#restLength;
  }

  /**
   * Takes the next bytes and calls `onFrame` for each frame they complete, in order; a frame's body is valid only
   * during the call. `onFrame` returning false stops the parser for good.
   *
   * @throws {@link FrameError} at the first byte that breaks the format; the parser is of no use afterwards.
   */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => boolean): void {
    let offset = 0;
    while (this.#restLength > 0 && offset < chunk.length) {
      const wanted = this.#wanted();
      const taken = Math.min(wanted - this.#restLength, chunk.length - offset);
      this.#keep(chunk.subarray(offset, offset + taken), wanted);
      offset += taken;
      const length = frameLength(this.#rest, 0, this.#restLength);
      if (length === undefined || this.#restLength < length) continue;
      this.#restLength = 0;
      if (!onFrame(parseFrame(this.#rest, 0, length))) return;
    }
    while (offset < chunk.length) {
      const length = frameLength(chunk, offset, chunk.length);
      if (length === undefined || offset + length > chunk.length) {
        this.#keep(chunk.subarray(offset), length ?? FRAME_HEADER_BYTES);
        return;
      }
      if (!onFrame(parseFrame(chunk, offset, length))) return;
      offset += length;
    }
  }

  /** Length of the pending frame if its header is here, else of a header. */
  #wanted(): number {
    return frameLength(this.#rest, 0, this.#restLength) ?? FRAME_HEADER_BYTES;
  }

  #keep(part: Uint8Array, capacity: number): void {
    if (this.#rest.length < capacity) {
      const grown = new Uint8Array(capacity);
      grown.set(this.#rest.subarray(0, this.#restLength));
      this.#rest = grown;
    }
    this.#rest.set(part, this.#restLength);
    this.#restLength += part.length;
  }
}
