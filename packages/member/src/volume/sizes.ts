/*
 * How large the pieces of a volume are, by the size of the volume.
 */

import type { PoolMarks } from "@holdfast/alloc-extent";
import { SEGMENT_BLOCKS } from "@holdfast/segment";

/** Sizes that follow from the number of blocks that belong to extents. */
export interface VolumeSizes {
  /** Blocks of one metadata grant, and of one spare. */
  readonly grantBlocks: number;
  /** Blocks of one half of a member's journal. */
  readonly journalHalfBlocks: number;
  /** Free blocks that data does not get: journals of members to come, and room to compact. */
  readonly reserveBlocks: number;
  /** When a member's pool of blocks asks for more and gives back. */
  readonly pool: PoolMarks;
}

/** 128 blocks hold what the largest single change dirties several times over; 1,024 blocks are 4 MiB. */
const GRANT_BLOCKS: Bounds = { least: 128, most: 1024, share: 512n };

/** A half of 16 MiB holds a memtable; at least 1 MiB, so that the largest value fits with room to spare. */
const JOURNAL_HALF_BLOCKS: Bounds = { least: 256, most: 4096, share: 128n };

/** A refill of at least 6 MiB holds one segment; 64 MiB at most, since all of it is quarantined if the member dies. */
const POOL_REFILL_BLOCKS: Bounds = { least: 1536, most: 16_384, share: 256n };

/** The reserve takes at most one part in so many. */
const RESERVE_SHARE = 6n;

interface Bounds {
  readonly least: number;
  readonly most: number;
  /** One part in so many of the volume, between the two. */
  readonly share: bigint;
}

/** The sizes for `dataCount` blocks of extents. */
export function sizesFor(dataCount: bigint): VolumeSizes {
  const journalHalfBlocks = within(JOURNAL_HALF_BLOCKS, dataCount);
  const refillBlocks = within(POOL_REFILL_BLOCKS, dataCount);
  return {
    grantBlocks: within(GRANT_BLOCKS, dataCount),
    journalHalfBlocks,
    reserveBlocks: Math.min(Number(dataCount / RESERVE_SHARE), 4 * journalHalfBlocks + SEGMENT_BLOCKS),
    pool: { lowBlocks: 0, highBlocks: 4 * refillBlocks, refillBlocks },
  };
}

function within({ least, most, share }: Bounds, dataCount: bigint): number {
  return Math.min(most, Math.max(least, Number(dataCount / share)));
}
