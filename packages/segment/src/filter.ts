/*
 * Blocked Bloom filter (Putze, Sanders and Singler, 2007) in the split form of Apache Parquet: a key touches one
 * block of eight 32-bit words and sets one bit in each word. One cache line per question.
 */

/** Bits per key; about 1 % of absent keys pass. */
export const FILTER_BITS_PER_KEY = 10;

const FILTER_BLOCK_BYTES = 32;
const WORDS = 8;

// Odd constants of the Parquet specification; each turns the hash into the bit of one word.
const SALTS: readonly number[] = [
  0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
];

/** Bytes of the filter for so many keys. */
export function filterBytesFor(keyCount: number): number {
  return (
    Math.max(1, Math.ceil((keyCount * FILTER_BITS_PER_KEY) / (8 * FILTER_BLOCK_BYTES))) * FILTER_BLOCK_BYTES
  );
}

/** Sets the bits of `count` hashes in a zeroed filter of `sizeBytes` at `offset`. */
export function fillFilter(
  filter: DataView,
  offset: number,
  sizeBytes: number,
  hashes: Uint32Array,
  count: number,
): void {
  for (let index = 0; index < count; index += 1) {
    const hash = hashes[index] as number;
    const at = offset + blockOf(hash, sizeBytes);
    const bits = remix(hash);
    for (let word = 0; word < WORDS; word += 1) {
      const position = at + 4 * word;
      const bit = 1 << (Math.imul(bits, SALTS[word] as number) >>> 27);
      filter.setUint32(position, filter.getUint32(position, true) | bit, true);
    }
  }
}

/** False: the key with this hash is certainly absent. */
export function filterMayHold(filter: DataView, offset: number, sizeBytes: number, hash: number): boolean {
  const at = offset + blockOf(hash, sizeBytes);
  const bits = remix(hash);
  for (let word = 0; word < WORDS; word += 1) {
    const bit = 1 << (Math.imul(bits, SALTS[word] as number) >>> 27);
    if ((filter.getInt32(at + 4 * word, true) & bit) === 0) return false;
  }
  return true;
}

/** Offset of the filter block, taken from the hash's high bits. */
function blockOf(hash: number, sizeBytes: number): number {
  return Math.floor((hash * (sizeBytes / FILTER_BLOCK_BYTES)) / 2 ** 32) * FILTER_BLOCK_BYTES;
}

/** A second hash, so that the bits do not depend on the block. */
function remix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return mixed ^ (mixed >>> 15);
}
