/*
 * Where everything stands on a volume (docs/formats/volume.md).
 *
 *   block 0 … 15            left alone (boot loaders, partition tables)
 *   block 16                super block, first copy
 *   block 64 …              hints: 64 blocks
 *   then                    term slots: X and Y of each term
 *   then                    records: two halves of each term, first copy
 *   then                    extents: metadata, journals, segments
 *   near the end            records, second copy: far from the first
 *   last block              super block, second copy
 */
import { BLOCK_BYTES, HoldfastError } from "@holdfast/environment";
import type { QuorumRegion } from "@holdfast/quorum";

/** Block of the first super block: 64 KiB into the device, as file systems leave it. */
export const SUPER_BLOCK = 16n;

/** First block of the hints. */
export const HINTS_BLOCK = 64n;

/** Blocks of hints: few collisions with a dozen voters writing at random (reference: scoutfs 3.2). */
export const HINTS_COUNT = 64;

/** Smallest volume in bytes: below it the fixed areas would crowd out the data. */
export const VOLUME_BYTES_MIN: bigint = 16n * 1024n * 1024n;

/** Fewest terms: mkfs takes the first, and somebody must be able to serve. */
export const TERMS_MIN = 2;

/** Fewest blocks that belong to extents: spares for servers take 8 MiB, and journals and segments need the rest. */
export const DATA_BLOCKS_MIN = 3072n;

/** Most terms, in 96 MiB; enough for 14 days of leadership that changes every five minutes (reference: reliability E2). */
const TERMS_MAX = 4096;

/** Fewest terms that mkfs chooses by itself, in 1.5 MiB. */
const TERMS_DEFAULT_MIN = 64;

/** Blocks of one term: X, Y, and two halves of its record in two copies. */
const BLOCKS_PER_TERM = 6;

/** Terms take at most one part in so many of a volume. */
const TERMS_SHARE = 10n;

/** Geometry of one volume. */
export interface VolumeLayout {
  /** Blocks of the whole volume. */
  readonly blockCount: bigint;
  /** Terms that can ever be won before the slots are renewed. */
  readonly termsMax: number;
  /** Number of the last block: the second super block. */
  readonly superCopyBlock: bigint;
  /** First block that belongs to extents. */
  readonly dataBlock: bigint;
  /** Blocks that belong to extents. */
  readonly dataCount: bigint;
  /** The election's part, but for the volume's identity. */
  readonly quorum: Omit<QuorumRegion, "fsid">;
}

/** A device that is too small to be a volume. */
export class VolumeTooSmallError extends HoldfastError<
  "ERR_HOLDFAST_VOLUME_TOO_SMALL",
  { readonly sizeBytes: bigint; readonly minimumBytes: bigint }
> {
  constructor(sizeBytes: bigint) {
    super(
      "ERR_HOLDFAST_VOLUME_TOO_SMALL",
      "usage",
      `a volume needs at least ${VOLUME_BYTES_MIN} bytes, the device has ${sizeBytes}`,
      { sizeBytes, minimumBytes: VOLUME_BYTES_MIN },
    );
  }
}

/**
 * The layout of a device of `sizeBytes`; a rest that is no whole block is left alone.
 *
 * @throws {@link VolumeTooSmallError} `ERR_HOLDFAST_VOLUME_TOO_SMALL`.
 * @throws RangeError when there are less than {@link TERMS_MIN} terms, or so many that they crowd out the data.
 */
export function layoutFor(sizeBytes: bigint, termsMax: number = defaultTerms(sizeBytes)): VolumeLayout {
  if (sizeBytes < VOLUME_BYTES_MIN) throw new VolumeTooSmallError(sizeBytes);
  if (!Number.isInteger(termsMax) || termsMax < TERMS_MIN)
    throw new RangeError(`a volume has at least ${TERMS_MIN} terms, not ${termsMax}`);
  const blockCount = sizeBytes / BigInt(BLOCK_BYTES);
  const perArea = 2n * BigInt(termsMax);
  const slotsBlock = HINTS_BLOCK + BigInt(HINTS_COUNT);
  const recordsBlock = slotsBlock + perArea;
  const dataBlock = recordsBlock + perArea;
  const superCopyBlock = blockCount - 1n;
  const recordsCopyBlock = superCopyBlock - perArea;
  const dataCount = recordsCopyBlock - dataBlock;
  if (dataCount < DATA_BLOCKS_MIN)
    throw new RangeError(`${termsMax} terms leave no room for data on a volume of ${sizeBytes} bytes`);
  return {
    blockCount,
    termsMax,
    superCopyBlock,
    dataBlock,
    dataCount,
    quorum: {
      hintsBlock: HINTS_BLOCK,
      hintsCount: HINTS_COUNT,
      slotsBlock,
      termsMax,
      termBase: 0n,
      generation: 0,
      recordsBlock,
      recordsCopyBlock,
    },
  };
}

/** The greatest power of two whose slots take at most a tenth of the volume. */
function defaultTerms(sizeBytes: bigint): number {
  const affordable = Number(sizeBytes / TERMS_SHARE) / (BLOCKS_PER_TERM * BLOCK_BYTES);
  const terms = 2 ** Math.floor(Math.log2(Math.max(1, affordable)));
  return Math.min(TERMS_MAX, Math.max(TERMS_DEFAULT_MIN, terms));
}
