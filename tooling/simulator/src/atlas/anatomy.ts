/*
 * What stands where on a volume, as far as damage is concerned.
 */

/** What a block is part of. */
export type PlaceKind =
  /** A super block, which stands twice. */
  | "super"
  /** A commit record, which stands twice. */
  | "record"
  /** X or Y of a term: unreadable counts as set. */
  | "mark"
  /** A node of a tree; stands once. */
  | "node"
  /** A block of a segment; stands once. */
  | "segment"
  /** A block of a journal, before its last entry; stands once. */
  | "journal";

/** A block that means something. */
export interface Place {
  readonly kind: PlaceKind;
  /** Which copy, of what stands twice. */
  readonly copy: 0 | 1;
}

/** Knows what stands where on a volume, now. */
export interface Anatomy {
  /** What belongs at a block; undefined where nothing does that may be damaged. */
  placeOf(block: bigint): Place | undefined;
  /** The block of the other copy of a commit record; undefined for anything else. */
  recordTwin(block: bigint): bigint | undefined;
  /** Blocks of a kind that hold something worth damaging now. */
  blocksOf(kind: PlaceKind): readonly bigint[];
}

/** A volume of which nothing is known, so nothing is damaged. */
export const UNKNOWN_ANATOMY: Anatomy = {
  placeOf: () => undefined,
  recordTwin: () => undefined,
  blocksOf: () => [],
};
