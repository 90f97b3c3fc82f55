/*
 * The 128-bit hash that a parent keeps of its child: MurmurHash3_x86_128 (Appleby, public domain), seed 0.
 *
 * It tells a lost, misdirected or stale block from the right one. It is no defence against a person who can
 * write to the volume: nothing on a plain device is.
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** Bytes of a {@link hash128}. */
export const HASH128_BYTES = 16;

/** Hash of `bytes`, 16 bytes: four little-endian words h1 h2 h3 h4. */
export function hash128(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length;
  let [h1, h2, h3, h4] = [0, 0, 0, 0];
  const whole = length - (length % 16);
  for (let offset = 0; offset < whole; offset += 16) {
    h1 ^= Math.imul(rotate(Math.imul(view.getInt32(offset, true), C1), 15), C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(view.getInt32(offset + 4, true), C2), 16), C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(view.getInt32(offset + 8, true), C3), 17), C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(view.getInt32(offset + 12, true), C4), 18), C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  // The tail, zero-filled: a lane that has no byte contributes nothing.
  h4 ^= Math.imul(rotate(Math.imul(tailWord(bytes, whole + 12), C4), 18), C1);
  h3 ^= Math.imul(rotate(Math.imul(tailWord(bytes, whole + 8), C3), 17), C4);
  h2 ^= Math.imul(rotate(Math.imul(tailWord(bytes, whole + 4), C2), 16), C3);
  h1 ^= Math.imul(rotate(Math.imul(tailWord(bytes, whole), C1), 15), C2);
  return finish(h1 ^ length, h2 ^ length, h3 ^ length, h4 ^ length);
}

function finish(w1: number, w2: number, w3: number, w4: number): Uint8Array {
  let h1 = (w1 + w2 + w3 + w4) | 0;
  let [h2, h3, h4] = [(w2 + h1) | 0, (w3 + h1) | 0, (w4 + h1) | 0];
  [h1, h2, h3, h4] = [mix(h1), mix(h2), mix(h3), mix(h4)];
  h1 = (h1 + h2 + h3 + h4) | 0;
  const out = new DataView(new ArrayBuffer(HASH128_BYTES));
  out.setInt32(0, h1, true);
  out.setInt32(4, h2 + h1, true);
  out.setInt32(8, h3 + h1, true);
  out.setInt32(12, h4 + h1, true);
  return new Uint8Array(out.buffer);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function tailWord(bytes: Uint8Array, start: number): number {
  return (
    (bytes[start] ?? 0) |
    ((bytes[start + 1] ?? 0) << 8) |
    ((bytes[start + 2] ?? 0) << 16) |
    ((bytes[start + 3] ?? 0) << 24)
  );
}
