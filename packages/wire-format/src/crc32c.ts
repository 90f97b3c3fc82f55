/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): reflected polynomial 0x82f63b78, register seeded with all ones,
 * inverted at the end. Slicing by eight (Kounavis and Berry, 2005): eight tables, eight bytes a step.
 */

const POLYNOMIAL = 0x82f63b78;
const TABLES: readonly Int32Array[] = makeTables();

/** Checksum of `bytes[start..end)`, 0 … 2^32−1; `previous` continues an earlier checksum. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, previous = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as readonly [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  // Every index below is inside its array, which the checker cannot see; hence `byte` and `word`.
  const at: { readonly [index: number]: number } = bytes;
  let crc = ~previous;
  let index = start;
  for (const stop = end - 7; index < stop; index += 8) {
    const low =
      crc ^
      (byte(at, index) |
        (byte(at, index + 1) << 8) |
        (byte(at, index + 2) << 16) |
        (byte(at, index + 3) << 24));
    crc =
      word(t7, low & 0xff) ^
      word(t6, (low >>> 8) & 0xff) ^
      word(t5, (low >>> 16) & 0xff) ^
      word(t4, low >>> 24) ^
      word(t3, byte(at, index + 4)) ^
      word(t2, byte(at, index + 5)) ^
      word(t1, byte(at, index + 6)) ^
      word(t0, byte(at, index + 7));
  }
  for (; index < end; index += 1) crc = word(t0, (crc ^ byte(at, index)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

function byte(bytes: { readonly [index: number]: number }, index: number): number {
  return bytes[index] as number;
}

function word(table: Int32Array, index: number): number {
  return table[index] as number;
}

function makeTables(): readonly Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  const [first] = tables as [Int32Array];
  for (let value = 0; value < 256; value += 1) {
    let crc = value;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[value] = crc;
  }
  for (let slice = 1; slice < 8; slice += 1) {
    const [previous, table] = [tables[slice - 1] as Int32Array, tables[slice] as Int32Array];
    for (let value = 0; value < 256; value += 1) {
      const crc = word(previous, value);
      table[value] = (crc >>> 8) ^ word(first, crc & 0xff);
    }
  }
  return tables;
}
