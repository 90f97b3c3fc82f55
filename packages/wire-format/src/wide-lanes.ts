/*
 * The inner loop of the checksum of long batches: XXH32's own, with 32 lanes of 32 bits where XXH32 has four.
 *
 *   lane = rotate(lane + word × P2, 13 bits) × P1, for each word of a stripe of 128 bytes the lane at its place
 *
 * Eight vectors of four lanes hide each other's latency, which four lanes do not. Each step is a bijection of its lane and
 * lanes do not meet, so damage within one word always changes its lane, and none but that.
 */
import { P1, P2 } from "./xxhash32.ts";

/** Bytes that are mixed in at a time: a word for each lane. */
export const STRIPE_BYTES = 128;

/** Mixes the whole stripes `pointer..end` of a memory into the lanes, which are its first {@link STRIPE_BYTES}. */
export type MixStripes = (pointer: number, end: number) => void;

/** Lanes of nothing: no two equal, so that words cannot change places unseen. */
export function initialLanes(): Uint8Array {
  const view = new DataView(new ArrayBuffer(STRIPE_BYTES));
  for (let at = 0; at < STRIPE_BYTES; at += 4) view.setInt32(at, Math.imul(at / 4 + 1, P2), true);
  return new Uint8Array(view.buffer);
}

/** In JavaScript, where there is no WebAssembly: a third as fast. */
export function portableMixStripes(memory: ArrayBuffer): MixStripes {
  const view = new DataView(memory);
  return (pointer, end) => {
    for (let stripe = pointer; stripe < end; stripe += STRIPE_BYTES) {
      for (let at = 0; at < STRIPE_BYTES; at += 4) {
        const sum = (view.getInt32(at, true) + Math.imul(view.getInt32(stripe + at, true), P2)) | 0;
        view.setInt32(at, Math.imul((sum << 13) | (sum >>> 19), P1), true);
      }
    }
  };
}
