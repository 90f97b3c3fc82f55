import { invariant } from "@holdfast/environment";
import { broken } from "./stream-errors.ts";
import { HeaderWriter, STREAM_FRAME, StreamTrailer, codeBytes, streamFrame } from "./stream-frames.ts";
import { LocalPath, wholeSegments } from "./local-path.ts";
import { STREAM_DATA_BYTES_MAX } from "./stream-limits.ts";
import type { StreamMemory } from "./stream-memory.ts";
import { StreamSum } from "./stream-sum.ts";
import { warmFrameBytes } from "./warm-frames.ts";

/** The sending side of one direction: how far the reader lets it go, and the sum of what went. */
export class OutgoingStream {
  readonly #sum: StreamSum;
  readonly #headers: HeaderWriter = new HeaderWriter();
  readonly #path: LocalPath | undefined;
  #windowBytes = 0;
  #grantedBytes = 0;
  #frameBytesMax = 0;
  #sentBytes = 0;
  #isStopped = false;
  #isOver = false;
  #isSummed = true;

  /** @param isLocal - True if both sides are on one host. */
  constructor(memory: StreamMemory, isLocal: boolean) {
    this.#sum = new StreamSum(memory);
    this.#path = isLocal ? new LocalPath() : undefined;
  }

  /**
   * Bytes that the next data frame should have of a piece of which `restBytes` are left; 0: wait for credit.
   *
   * A frame is a quarter of a window, or the piece's rest, and never less because credit came in odd amounts: both sides
   * then move long runs that end where memory ends.
   */
  frameBytes(restBytes: number): number {
    const bytes = this.#wantedBytes(restBytes);
    const sentBytes = this.#sentBytes;
    if (bytes > this.#grantedBytes - sentBytes) return 0;
    const readBytes = this.#grantedBytes - this.#windowBytes;
    return this.#path?.takes(bytes, sentBytes, readBytes, this.#windowBytes) === false ? 0 : bytes;
  }

  #wantedBytes(restBytes: number): number {
    const mostBytes = this.#frameBytesMax;
    const warmBytes = warmFrameBytes(this.#sentBytes);
    if (warmBytes < mostBytes) return Math.min(restBytes, warmBytes);
    // A rest that is hardly longer than a frame is one.
    return restBytes <= Math.min(mostBytes + mostBytes / 64, STREAM_DATA_BYTES_MAX) ? restBytes : mostBytes;
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
    if (this.#grantedBytes === 0) this.#open(bytes);
    if (bytes < this.#grantedBytes) throw broken(`credit fell from ${this.#grantedBytes} to ${bytes}`);
    this.#grantedBytes = bytes;
  }

  /** The first credit is the reader's window. */
  #open(windowBytes: number): void {
    this.#windowBytes = windowBytes;
    const quarterBytes = Math.min(Math.max(Math.floor(windowBytes / 4), 1), STREAM_DATA_BYTES_MAX);
    this.#frameBytesMax = this.#path === undefined ? quarterBytes : wholeSegments(quarterBytes);
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
    this.#path?.sent(payload.length, this.#sentBytes);
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
