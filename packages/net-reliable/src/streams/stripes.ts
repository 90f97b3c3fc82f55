/*
 * The inner loop of a stream's checksum: 128 bytes at a time into eight lanes of 128 bits.
 *
 *   lane = rotate((lane ^ 16 bytes of the stripe) × odd constant, 5 bytes), multiplied word by word of 32 bits
 *
 * Lanes do not wait for each other, and each step is a bijection of its lane: damage within 16 aligned bytes always
 * changes the lane. The multiplication carries a change to higher bits, the rotation back to lower ones and on to the
 * other words, so that two changes do not cancel by their places alone, as they do in plain sums. (The family is that of
 * xxHash; the shape is chosen for the vector instructions of WebAssembly, see `stripes-module.ts`.)
 */

/** Bytes that are mixed in at a time. */
export const STRIPE_BYTES = 128;

/** Words of 32 bits of the state: eight lanes of four. */
export const STATE_WORDS = 32;

/** Odd, with its bits spread evenly: 2^32 divided by the golden ratio. */
export const STRIPE_FACTOR = 0x9e3779b1;

/** State of nothing: no two words equal, so that lanes cannot be swapped unseen. */
export function initialState(): Int32Array {
  return Int32Array.from({ length: STATE_WORDS }, (_, index) => Math.imul(index + 1, 0x85ebca77));
}

/** Mixes the whole stripes `start..end` of `bytes` into `state`; the length is a multiple of {@link STRIPE_BYTES}. */
export type MixStripes = (state: Int32Array, bytes: Uint8Array, start: number, end: number) => void;

/** In JavaScript, where there is no WebAssembly; a tenth as fast. */
export const portableMixStripes: MixStripes = (state, bytes, start, end) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = start; offset < end; offset += STRIPE_BYTES) {
    for (let word = 0; word < STATE_WORDS; word += 4) mixLane(state, word, view, offset + word * 4);
  }
};

/** Every index is inside the state, which the compiler cannot see; hence the assertions. */
function mixLane(state: Int32Array, word: number, view: DataView, offset: number): void {
  const a = Math.imul((state[word] as number) ^ view.getInt32(offset, true), STRIPE_FACTOR);
  const b = Math.imul((state[word + 1] as number) ^ view.getInt32(offset + 4, true), STRIPE_FACTOR);
  const c = Math.imul((state[word + 2] as number) ^ view.getInt32(offset + 8, true), STRIPE_FACTOR);
  const d = Math.imul((state[word + 3] as number) ^ view.getInt32(offset + 12, true), STRIPE_FACTOR);
  // Five bytes towards the end: each word becomes the one before it, moved by the top byte of the one before that.
  state[word] = (d << 8) | (c >>> 24);
  state[word + 1] = (a << 8) | (d >>> 24);
  state[word + 2] = (b << 8) | (a >>> 24);
  state[word + 3] = (c << 8) | (b >>> 24);
}
