/*
 * Blocks whose last owner may still write to them.
 *
 * A block that was granted to somebody is granted to nobody else until that member gave it back or is confirmed dead.
 * Until then it is neither free nor used: it is here, under the name of its last owner. The entries live in a tree of
 * the caller, ordered by owner, so that a confirmed death releases one range of keys:
 *
 *   KEY   owner u64, start u64      big-endian
 *   VALUE {@link QuarantineValue}
 */
import type { ScanRange, TreeEntry } from "@holdfast/btree";
import { type StructCodec, struct, u53, u64 } from "@holdfast/wire-format";
import { FreeSpaceCorruptError } from "./errors.ts";
import { type Extent, checkExtent } from "./extent.ts";
import { QUARANTINE_ALARM_PERCENT } from "./limits.ts";

/** An extent in quarantine. */
export interface QuarantineEntry {
  readonly extent: Extent;
  /** The member that may still write to it. */
  readonly owner: bigint;
  /** Term in which it was put here. */
  readonly term: bigint;
}

/** What an entry keeps beside its key. */
export interface QuarantineValue {
  /** Blocks of the extent. */
  readonly lengthBlocks: number;
  /** Term in which it was put here. */
  readonly term: bigint;
}

/** Layout of {@link QuarantineValue}. */
export const QuarantineValue: StructCodec<QuarantineValue> = struct("QuarantineValue", {
  lengthBlocks: u53,
  term: u64,
});

/** How much is in quarantine; part of a record. */
export interface QuarantineTotals {
  readonly blocks: number;
  readonly extentCount: number;
}

/** Layout of {@link QuarantineTotals}. */
export const QuarantineTotals: StructCodec<QuarantineTotals> = struct("QuarantineTotals", {
  blocks: u53,
  extentCount: u53,
});

/** Nothing is in quarantine. */
export const NO_QUARANTINE: QuarantineTotals = { blocks: 0, extentCount: 0 };

const KEY_BYTES = 16;

/** The tree's key of an entry. */
export function quarantineKey(owner: bigint, start: bigint): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  const view = new DataView(key.buffer);
  view.setBigUint64(0, owner);
  view.setBigUint64(8, start);
  return key;
}

/** The tree's value of an entry. */
export function quarantineValue({ extent, term }: QuarantineEntry): Uint8Array {
  return QuarantineValue.encode({ lengthBlocks: extent.lengthBlocks, term });
}

/**
 * The entry that stands in a tree.
 *
 * @throws {@link FreeSpaceCorruptError} `ERR_HOLDFAST_FREE_SPACE_CORRUPT` when it is malformed.
 */
export function quarantineEntry({ key, value }: TreeEntry): QuarantineEntry {
  try {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key of ${key.length} bytes`);
    const view = new DataView(key.buffer, key.byteOffset, KEY_BYTES);
    const { lengthBlocks, term } = QuarantineValue.decode(value);
    const extent = { start: view.getBigUint64(8), lengthBlocks };
    checkExtent(extent);
    return { extent, owner: view.getBigUint64(0), term };
  } catch (cause) {
    throw new FreeSpaceCorruptError("an entry of the quarantine is malformed", { cause });
  }
}

/** The keys of everything that one owner may still write to. */
export function quarantineRange(owner: bigint): ScanRange {
  return { from: quarantineKey(owner, 0n), to: quarantineKey(owner, (1n << 64n) - 1n) };
}

/** The totals with one more extent. */
export function quarantineWith(totals: QuarantineTotals, { lengthBlocks }: Extent): QuarantineTotals {
  return { blocks: totals.blocks + lengthBlocks, extentCount: totals.extentCount + 1 };
}

/**
 * The totals with one extent less.
 *
 * @throws {@link FreeSpaceCorruptError} `ERR_HOLDFAST_FREE_SPACE_CORRUPT` when they say less than that.
 */
export function quarantineWithout(totals: QuarantineTotals, { lengthBlocks }: Extent): QuarantineTotals {
  if (totals.extentCount < 1 || totals.blocks < lengthBlocks)
    throw new FreeSpaceCorruptError("the quarantine's totals say less than its entries");
  return { blocks: totals.blocks - lengthBlocks, extentCount: totals.extentCount - 1 };
}

/** True when more than {@link QUARANTINE_ALARM_PERCENT} of a volume's blocks are in quarantine. */
export function isQuarantineAlarming(totals: QuarantineTotals, volumeBlocks: number): boolean {
  return totals.blocks * 100 > volumeBlocks * QUARANTINE_ALARM_PERCENT;
}
