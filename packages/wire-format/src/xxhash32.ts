/*
 * XXH32 (Collet, https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): the checksum of messages.
 *
 * Four lanes of multiplications, which processors overlap: about 7 GB/s, three times as fast as a CRC from tables, and
 * a short input costs no set-up. Each step is a bijection of its lane, so damage within one word is always found, any
 * other with a probability of 1 − 2^-32. Blocks keep CRC-32C: they lie for years, where bursts are what goes wrong.
 */

/** XXH32's first prime. */
export const P1 = 0x9e3779b1;
/** XXH32's second prime. */
export const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

/** Checksum of the bytes `start..end` of a view, 0 … 2^32−1. */
export function xxhash32(view: DataView, start: number, end: number, seed = 0): number {
  let index = start;
  let hash = (seed + P5) | 0;
  if (end - start >= 16) {
    let a = (seed + P1 + P2) | 0;
    let b = (seed + P2) | 0;
    let c = seed | 0;
    let d = (seed - P1) | 0;
    for (const stop = end - 15; index < stop; index += 16) {
      a = round(a, view.getInt32(index, true));
      b = round(b, view.getInt32(index + 4, true));
      c = round(c, view.getInt32(index + 8, true));
      d = round(d, view.getInt32(index + 12, true));
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  }
  hash = (hash + (end - start)) | 0;
  for (const stop = end - 3; index < stop; index += 4)
    hash = Math.imul(rotate((hash + Math.imul(view.getInt32(index, true), P3)) | 0, 17), P4);
  for (; index < end; index += 1)
    hash = Math.imul(rotate((hash + Math.imul(view.getUint8(index), P5)) | 0, 11), P1);
  return avalanche(hash);
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, P2)) | 0, 13), P1);
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), P2);
  mixed = Math.imul(mixed ^ (mixed >>> 13), P3);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
