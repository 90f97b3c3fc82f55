/*
 * CRC-32 (IEEE 802.3: reflected polynomial 0xedb88320, as in zlib), slicing by eight (after Kounavis and Berry, 2005).
 *
 * Streams are summed up by it because every platform has it in fast native code, which a driver may hand in; this is what
 * runs where none was given.
 */

/** Checksum of `bytes`, 0 … 2^32−1; `previous` continues an earlier one. */
export type Crc32 = (bytes: Uint8Array, previous: number) => number;

const POLYNOMIAL = 0xedb88320;

/** Slice s, value v at s * 256 + v. */
const TABLE: Int32Array = makeTable();

/** CRC-32 in JavaScript. */
export const portableCrc32: Crc32 = (bytes, previous) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let crc = ~previous;
  let index = 0;
  // Every index below is inside its array, which the compiler cannot see; hence the assertions.
  for (const stop = bytes.length - 7; index < stop; index += 8) {
    const low = crc ^ view.getInt32(index, true);
    const high = view.getInt32(index + 4, true);
    crc =
      (TABLE[1792 + (low & 0xff)] as number) ^
      (TABLE[1536 + ((low >>> 8) & 0xff)] as number) ^
      (TABLE[1280 + ((low >>> 16) & 0xff)] as number) ^
      (TABLE[1024 + (low >>> 24)] as number) ^
      (TABLE[768 + (high & 0xff)] as number) ^
      (TABLE[512 + ((high >>> 8) & 0xff)] as number) ^
      (TABLE[256 + ((high >>> 16) & 0xff)] as number) ^
      (TABLE[high >>> 24] as number);
  }
  for (; index < bytes.length; index += 1) {
    crc = (TABLE[(crc ^ (bytes[index] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
};

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let value = 0; value < 256; value += 1) {
    let crc = value;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[value] = crc;
  }
  for (let index = 256; index < table.length; index += 1) {
    const crc = table[index - 256] as number;
    table[index] = (crc >>> 8) ^ (table[crc & 0xff] as number);
  }
  return table;
}
