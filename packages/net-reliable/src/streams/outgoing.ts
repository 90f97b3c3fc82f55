import { invariant } from "@holdfast/environment";
import { broken } from "./stream-errors.ts";
import { HeaderWriter, STREAM_FRAME, StreamTrailer, codeBytes, streamFrame } from "./stream-frames.ts";
import { FIRST_FRAMES_BYTES, STREAM_DATA_BYTES_MAX } from "./stream-limits.ts";
import type { StreamMemory } from "./stream-memory.ts";
import { StreamSum } from "./stream-sum.ts";

/** The sending side of one direction: how far the reader lets it go, and the sum of what went. */
export class OutgoingStream {
  readonly #sum: StreamSum;
  readonly #headers: HeaderWriter = new HeaderWriter();
  #grantedBytes = 0;
  #frameBytesMax = 0;
  #sentBytes = 0;
  #isStopped = false;
  #isOver = false;
  #isSummed = true;

  constructor(memory: StreamMemory) {
    this.#sum = new StreamSum(memory);
  }

  /**
   * Bytes that the next data frame should have of a piece of which `restBytes` are left; 0: wait for credit.
   *
   * A frame is half a window, or the piece's rest, and never less because credit came in odd amounts: both sides then
   * move long runs that end where memory ends. The first ones are shorter, see {@link FIRST_FRAMES_BYTES}.
   */
  frameBytes(restBytes: number): number {
    const warmBytes = Math.max(FIRST_FRAMES_BYTES, Math.floor(this.#sentBytes / 8));
    const bytes = Math.min(restBytes, this.#frameBytesMax, warmBytes);
    return bytes <= this.#grantedBytes - this.#sentBytes ? bytes : 0;
  }

  /** True if the reader wants no more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** True once the trailer was made. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The reader lets us send so many bytes in all. @throws StreamError when that is less than it did before. */
  grant(bytes: number): void {
    // The reader's window: half of it is always allowed again when all that was sent is read.
    if (this.#grantedBytes === 0)
      this.#frameBytesMax = Math.min(Math.max(Math.floor(bytes / 2), 1), STREAM_DATA_BYTES_MAX);
    if (bytes < this.#grantedBytes) throw broken(`credit fell from ${this.#grantedBytes} to ${bytes}`);
    this.#grantedBytes = bytes;
  }

  /** The reader wants no more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** This side's heading has gone: true if its trailer will have a checksum. */
  announce(isSummed: boolean): void {
    this.#isSummed = isSummed;
  }

  /**
   * Sends `payload`, which has as many bytes as {@link frameBytes}; returns what `write` does.
   *
   * It is summed up when it was written: meanwhile the other side reads, and says how far we may go on.
   *
   * @param write - Gives the header, which is valid until the next, and the payload to the network.
   */
  data<R>(payload: Uint8Array, write: (header: Uint8Array) => R): R {
    invariant(
      payload.length > 0 && payload.length <= this.frameBytes(payload.length),
      "data is sent within its credit",
    );
    invariant(!this.#isOver, "no data follows the trailer");
    const position = this.#sentBytes;
    this.#sentBytes += payload.length;
    const payloadBytes = payload.length;
    const result = write(
      this.#headers.write({ type: STREAM_FRAME.DATA, payloadBytes, position, payloadChecksum: 0 }),
    );
    if (this.#isSummed) this.#sum.update(payload);
    return result;
  }

  /** The last frame of this direction; an empty `code` says that the stream is whole. */
  trailer(code: string): Uint8Array {
    invariant(!this.#isOver, "a direction has one trailer");
    this.#isOver = true;
    const streamChecksum = this.#isSummed ? this.#sum.digest() : 0;
    const trailer = StreamTrailer.encode({ streamChecksum, code: codeBytes(code) });
    return streamFrame(STREAM_FRAME.TRAILER, this.#sentBytes, trailer);
  }
}
