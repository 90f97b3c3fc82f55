/*
 * Cuts a stream of bytes into frames.
 *
 * Whole frames inside a chunk are parsed where they stand, without a copy. Only a frame that is split over
 * chunks is gathered, in one buffer that never exceeds the greatest frame: the verified header comes first, so
 * nothing is allocated on the word of a stranger beyond FRAME_BODY_BYTES_MAX.
 */
import {
  FRAME_HEADER_BYTES,
  type Frame,
  type FrameSpace,
  type ReusedFrame,
  frameLength,
  frameSpace,
  parseFrame,
  reusedFrame,
} from "./frame.ts";

const EMPTY = new Uint8Array(0);

/** Incremental parser of one direction of one connection. */
export class FrameParser {
  readonly #frame: ReusedFrame = reusedFrame();
  #rest: FrameSpace = frameSpace(new Uint8Array(FRAME_HEADER_BYTES));
  #restLength = 0;
  /** Length of the frame in `#rest`, 0 while its header is incomplete. */
  #frameBytes = 0;
  #isStopped = false;

  /** Bytes held of a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#restLength;
  }

  /**
   * Takes the next bytes and calls `onFrame` for each frame they complete, in order; a frame, which is one object
   * filled anew, and its body are valid only during the call. Once `onFrame` has returned false, or the format was broken, all further bytes are dropped.
   *
   * @throws {@link FrameError} at the first byte that breaks the format.
   */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => boolean): void {
    if (this.#isStopped) return;
    // An exception, of the format or of `onFrame`, leaves it stopped.
    this.#isStopped = true;
    const offset = this.#complete(chunk, onFrame);
    this.#isStopped = offset === undefined || !this.#parseWhole(chunk, offset, onFrame);
    // An idle connection keeps no chunk alive.
    this.#frame.body = EMPTY;
  }

  /** Feeds the pending frame; gives the offset behind it, or undefined when `onFrame` wants no more. */
  #complete(chunk: Uint8Array, onFrame: (frame: Frame) => boolean): number | undefined {
    let offset = 0;
    while (this.#restLength > 0 && offset < chunk.length) {
      const wanted = this.#frameBytes === 0 ? FRAME_HEADER_BYTES : this.#frameBytes;
      const taken = Math.min(wanted - this.#restLength, chunk.length - offset);
      this.#rest.bytes.set(chunk.subarray(offset, offset + taken), this.#restLength);
      this.#restLength += taken;
      offset += taken;
      if (this.#frameBytes === 0) this.#measure();
      if (this.#frameBytes === 0 || this.#restLength < this.#frameBytes) continue;
      const length = this.#frameBytes;
      this.#restLength = 0;
      this.#frameBytes = 0;
      if (!onFrame(parseFrame(this.#rest, 0, length, this.#frame))) return undefined;
    }
    return offset;
  }

  /** Parses the whole frames of a chunk and keeps the beginning of the next one. */
  #parseWhole(chunk: Uint8Array, start: number, onFrame: (frame: Frame) => boolean): boolean {
    if (start === chunk.length) return true;
    const space = frameSpace(chunk);
    let offset = start;
    while (offset < chunk.length) {
      const length = frameLength(space, offset, chunk.length);
      if (length === undefined || offset + length > chunk.length) {
        this.#frameBytes = length ?? 0;
        this.#reserve(length ?? FRAME_HEADER_BYTES);
        this.#rest.bytes.set(chunk.subarray(offset), 0);
        this.#restLength = chunk.length - offset;
        return true;
      }
      if (!onFrame(parseFrame(space, offset, length, this.#frame))) return false;
      offset += length;
    }
    return true;
  }

  /** Learns the length of the pending frame as soon as its header is here. */
  #measure(): void {
    const length = frameLength(this.#rest, 0, this.#restLength);
    if (length === undefined) return;
    this.#frameBytes = length;
    this.#reserve(length);
  }

  #reserve(capacity: number): void {
    if (this.#rest.bytes.length >= capacity) return;
    const grown = frameSpace(new Uint8Array(capacity));
    grown.bytes.set(this.#rest.bytes.subarray(0, this.#restLength));
    this.#rest = grown;
  }
}
