import { type StreamMemory, streamMemory } from "./stream-memory.ts";
import { STRIPE_BYTES, initialState } from "./stripes.ts";

/**
 * Checksum over the bytes of a stream, in whatever pieces they come: 32 bits.
 *
 * Whole stripes are mixed where they stand; of a piece's end, what makes no stripe waits for the next. At the end the last
 * stripe is filled up with zeros, and all words of the state and the length are folded into one.
 */
export class StreamSum {
  readonly #memory: StreamMemory;
  readonly #state: Int32Array = initialState();
  readonly #rest: Uint8Array = new Uint8Array(STRIPE_BYTES);
  #lengthBytes = 0;

  constructor(memory: StreamMemory = streamMemory()) {
    this.#memory = memory;
  }

  /** Takes the next bytes. */
  update(bytes: Uint8Array): void {
    const { mixStripes } = this.#memory;
    const restBytes = this.#lengthBytes % STRIPE_BYTES;
    this.#lengthBytes += bytes.length;
    let start = 0;
    if (restBytes > 0) {
      start = Math.min(STRIPE_BYTES - restBytes, bytes.length);
      this.#rest.set(bytes.subarray(0, start), restBytes);
      if (restBytes + start < STRIPE_BYTES) return;
      mixStripes(this.#state, this.#rest, 0, STRIPE_BYTES);
    }
    const end = bytes.length - ((bytes.length - start) % STRIPE_BYTES);
    if (end > start) mixStripes(this.#state, bytes, start, end);
    if (end < bytes.length) this.#rest.set(bytes.subarray(end));
  }

  /** The checksum of all that was taken, 0 … 2^32−1. Nothing may be taken after that. */
  digest(): number {
    const restBytes = this.#lengthBytes % STRIPE_BYTES;
    if (restBytes > 0) {
      this.#rest.fill(0, restBytes);
      this.#memory.mixStripes(this.#state, this.#rest, 0, STRIPE_BYTES);
    }
    let sum = fold(this.#lengthBytes | 0, Math.floor(this.#lengthBytes / 0x1_0000_0000));
    for (const word of this.#state) sum = fold(sum, word);
    sum = Math.imul(sum ^ (sum >>> 15), 0x85ebca77);
    sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae3d);
    return (sum ^ (sum >>> 16)) >>> 0;
  }
}

/** A bijection of each of the two. */
function fold(sum: number, word: number): number {
  const mixed = Math.imul(sum ^ word, 0x9e3779b1);
  return ((mixed << 13) | (mixed >>> 19)) + 0x165667b1;
}
