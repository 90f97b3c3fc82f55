import { STRIPE_BYTES, initialLanes } from "@holdfast/wire-format";
import { type StreamMemory, streamMemory } from "./stream-memory.ts";

/**
 * Checksum over the bytes of a stream, in whatever pieces they come: 32 bits.
 *
 * Whole stripes are mixed where they stand; of a piece's end, what makes no stripe waits for the next. At the end the last
 * stripe is filled up with zeros, and all lanes and the length are folded into one.
 */
export class StreamSum {
  readonly #memory: StreamMemory;
  readonly #lanes: Uint8Array = initialLanes();
  readonly #rest: Uint8Array = new Uint8Array(STRIPE_BYTES);
  #lengthBytes = 0;

  constructor(memory: StreamMemory = streamMemory()) {
    this.#memory = memory;
  }

  /** Takes the next bytes. */
  update(bytes: Uint8Array): void {
    const restBytes = this.#lengthBytes % STRIPE_BYTES;
    this.#lengthBytes += bytes.length;
    let start = 0;
    if (restBytes > 0) {
      start = Math.min(STRIPE_BYTES - restBytes, bytes.length);
      this.#rest.set(bytes.subarray(0, start), restBytes);
      if (restBytes + start < STRIPE_BYTES) return;
      this.#memory.mixStripes(this.#lanes, this.#rest, 0, STRIPE_BYTES);
    }
    const end = bytes.length - ((bytes.length - start) % STRIPE_BYTES);
    if (end > start) this.#memory.mixStripes(this.#lanes, bytes, start, end);
    if (end < bytes.length) this.#rest.set(bytes.subarray(end));
  }

  /** The checksum of all that was taken, 0 … 2^32−1. Nothing may be taken after that. */
  digest(): number {
    const restBytes = this.#lengthBytes % STRIPE_BYTES;
    if (restBytes > 0) {
      this.#rest.fill(0, restBytes);
      this.#memory.mixStripes(this.#lanes, this.#rest, 0, STRIPE_BYTES);
    }
    let sum = fold(this.#lengthBytes | 0, Math.floor(this.#lengthBytes / 0x1_0000_0000));
    const lanes = new DataView(this.#lanes.buffer);
    for (let at = 0; at < STRIPE_BYTES; at += 4) sum = fold(sum, lanes.getInt32(at, true));
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
