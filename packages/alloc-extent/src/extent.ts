import { type StructCodec, struct, u53, u64 } from "@holdfast/wire-format";
import { ExtentError } from "./errors.ts";
import { BLOCK_NUMBER_END } from "./limits.ts";

/** A run of blocks. */
export interface Extent {
  /** Number of its first block. */
  readonly start: bigint;
  /** How many blocks it has, at least 1. */
  readonly lengthBlocks: number;
}

/** Layout of an extent. */
export const Extent: StructCodec<Extent> = struct("Extent", { start: u64, lengthBlocks: u53 });

/** Every block there can be. */
export const ALL_BLOCKS: Extent = { start: 0n, lengthBlocks: Number(BLOCK_NUMBER_END) };

/** The block behind the last. */
export function extentEnd(extent: Extent): bigint {
  return extent.start + BigInt(extent.lengthBlocks);
}

/** The extent from `start` up to, not including, `end`. */
export function extentBetween(start: bigint, end: bigint): Extent {
  return { start, lengthBlocks: Number(end - start) };
}

/** True when every block of `inner` is one of `outer`. */
export function extentCovers(outer: Extent, inner: Extent): boolean {
  return outer.start <= inner.start && extentEnd(inner) <= extentEnd(outer);
}

/** True when the two share a block. */
export function extentsOverlap(a: Extent, b: Extent): boolean {
  return a.start < extentEnd(b) && b.start < extentEnd(a);
}

/**
 * Checks an extent that came from outside.
 *
 * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_INVALID` when it is empty, not whole, or not within `bounds`.
 */
export function checkExtent(extent: Extent, bounds: Extent = ALL_BLOCKS): void {
  const { lengthBlocks } = extent;
  if (!Number.isSafeInteger(lengthBlocks) || lengthBlocks < 1)
    throw new ExtentError("ERR_HOLDFAST_EXTENT_INVALID", extent, "has no possible length");
  if (!extentCovers(bounds, extent)) {
    const range = `${bounds.start} … ${extentEnd(bounds) - 1n}`;
    throw new ExtentError("ERR_HOLDFAST_EXTENT_INVALID", extent, `is not within blocks ${range}`);
  }
}
