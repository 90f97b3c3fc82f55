/*
 * Where the quorum's blocks stand on the device.
 *
 * Each term has its own blocks and nobody reuses them: two splitter blocks X and Y, adjacent, and two halves of
 * commit records in each of two copies that lie far apart. All numbers are block numbers, 4 KiB each. A renewal makes
 * the next generation of the slots, whose terms go on where those of the one before it end.
 */
import { invariant } from "@holdfast/environment";

/** The part of the volume that elections and commits live on. */
export interface QuorumRegion {
  /** Identity of the volume. */
  readonly fsid: bigint;
  /** First block of the hints. */
  readonly hintsBlock: bigint;
  /** How many blocks hold hints. */
  readonly hintsCount: number;
  /** X of term t is at `slotsBlock + 2·(t−termBase−1)`, its Y one further. */
  readonly slotsBlock: bigint;
  /** Terms of one generation of the slots, `termBase + 1` … `termBase + termsMax`; chosen by mkfs, never reused. */
  readonly termsMax: number;
  /** The term before the first of this generation; 0 since mkfs. */
  readonly termBase: bigint;
  /** How often the slots were renewed. No block that was written for an earlier generation is valid in this one. */
  readonly generation: number;
  /** Copy 0 of the record of term t in half h is at `recordsBlock + 2·(t−termBase−1) + h`. */
  readonly recordsBlock: bigint;
  /** Copy 1, the same shape, far away. */
  readonly recordsCopyBlock: bigint;
}

/** Which of the two places of a term a record stands in; they alternate. */
export type RecordHalf = 0 | 1;

/** Which of the two copies of a half; copy 1 is written after copy 0 is durable. */
export type RecordCopy = 0 | 1;

/** What belongs at a block of the region. */
export type SlotPlace =
  | { readonly kind: "x" | "y"; readonly term: bigint }
  | { readonly kind: "record"; readonly term: bigint; readonly half: RecordHalf; readonly copy: RecordCopy };

/** Block of X of a term; Y is the next one. */
export function splitterBlock(region: QuorumRegion, term: bigint): bigint {
  return region.slotsBlock + 2n * (term - firstTerm(region));
}

/** Block of half 0 of a term's records in one copy; half 1 is the next one. */
export function recordBlock(region: QuorumRegion, term: bigint, copy: RecordCopy): bigint {
  return (copy === 0 ? region.recordsBlock : region.recordsCopyBlock) + 2n * (term - firstTerm(region));
}

/** The half a record stands in: 1, 3, 5 … in half 0, 2, 4, 6 … in half 1. */
export function halfOf(seq: bigint): RecordHalf {
  return seq % 2n === 1n ? 0 : 1;
}

/** The first term of this generation of the slots; mkfs or the renewal has taken and resigned it. */
export function firstTerm(region: Pick<QuorumRegion, "termBase">): bigint {
  return region.termBase + 1n;
}

/** The last term there is before the slots are renewed. */
export function lastTerm(region: Pick<QuorumRegion, "termBase" | "termsMax">): bigint {
  return region.termBase + BigInt(region.termsMax);
}

/** What belongs at a block; the block is one of the region's slots or records. */
export function placeOf(region: QuorumRegion, address: bigint): SlotPlace {
  const blocksCount = 2n * BigInt(region.termsMax);
  const first = firstTerm(region);
  const slot = address - region.slotsBlock;
  if (slot >= 0n && slot < blocksCount) return { kind: isOdd(slot) ? "y" : "x", term: first + slot / 2n };
  for (const copy of [0, 1] as const) {
    const index = address - recordBlock(region, first, copy);
    if (index >= 0n && index < blocksCount)
      return { kind: "record", term: first + index / 2n, half: isOdd(index) ? 1 : 0, copy };
  }
  invariant(false, `block ${address} belongs to the term slots`);
}

function isOdd(value: bigint): boolean {
  return (value & 1n) === 1n;
}
