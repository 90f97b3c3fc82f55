/*
 * How large the pieces of a volume are, by the size of the volume.
 */

/** Sizes that follow from the number of blocks that belong to extents. */
export interface VolumeSizes {
  /** Blocks of one metadata grant, and of one spare. */
  readonly grantBlocks: number;
  /** Blocks of one half of a member's journal. */
  readonly journalHalfBlocks: number;
}

/** 128 blocks hold what the largest single change dirties several times over; 1,024 blocks are 4 MiB. */
const GRANT_BLOCKS: Bounds = { least: 128, most: 1024, share: 512n };

/** A half of 16 MiB holds a memtable; at least 1 MiB, so that the largest value fits with room to spare. */
const JOURNAL_HALF_BLOCKS: Bounds = { least: 256, most: 4096, share: 128n };

interface Bounds {
  readonly least: number;
  readonly most: number;
  /** One part in so many of the volume, between the two. */
  readonly share: bigint;
}

/** The sizes for `dataCount` blocks of extents. */
export function sizesFor(dataCount: bigint): VolumeSizes {
  return {
    grantBlocks: within(GRANT_BLOCKS, dataCount),
    journalHalfBlocks: within(JOURNAL_HALF_BLOCKS, dataCount),
  };
}

function within({ least, most, share }: Bounds, dataCount: bigint): number {
  return Math.min(most, Math.max(least, Number(dataCount / share)));
}
