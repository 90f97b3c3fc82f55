/** Bytes in one block: the unit of metadata and of extents. */
export const BLOCK_BYTES = 4096;

/** Bytes in a KiB. */
export const KIB = 1024;

/** Bytes in a MiB. */
export const MIB: number = 1024 * KIB;

/** The byte offset at which a block starts. */
export function blockOffset(block: bigint): bigint {
  return block * BigInt(BLOCK_BYTES);
}
