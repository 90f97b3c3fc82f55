/*
 * Writes a table out as level-0 segments, in key order. A member does it with a memtable, the server with the
 * replayed journal of a dead member.
 *
 * A write that failed may land later: the blocks of a segment that could not be finished are never given back here.
 */
import { BLOCK_BYTES, type BlockDevice, type Clock } from "@holdfast/environment";
import { SEGMENT_BLOCKS, SEGMENT_BLOCKS_MIN, type SegmentRef, SegmentWriter } from "@holdfast/segment";
import { FIRST_KEY, LAST_KEY } from "@holdfast/wire-format";
import { SpaceFragmentedError } from "./errors.ts";
import { ITEM_VALUE_BYTES_MAX, type ItemTable } from "./item-table.ts";
import type { StoreExtent, StoreSpace } from "./ports.ts";
import type { TableCursor } from "./table-cursor.ts";

/** Items packed between two turns of other events: a few milliseconds of work. */
const ITEMS_PER_TURN = 8192;

/** Extents too small for one item that are put aside before the space counts as too fragmented. */
const SMALL_EXTENTS_MAX = 8;

/** Blocks that hold any item whatever its value. */
const EXTENT_BLOCKS_MIN: number = SEGMENT_BLOCKS_MIN + ITEM_VALUE_BYTES_MAX / BLOCK_BYTES;

/** Where and as whose the segments are written. */
export interface SegmentTarget {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** Who writes. */
  readonly rid: bigint;
  readonly clock: Clock;
  readonly space: StoreSpace;
  term(): bigint;
  nextSegmentId(): bigint;
}

/**
 * Writes all items of a table, tombstones included, and gives unused blocks back.
 *
 * @returns The segments in key order; none for an empty table. They are durable and in no manifest yet.
 * @throws {@link SpaceFragmentedError} `ERR_HOLDFAST_SPACE_FRAGMENTED`, {@link DeviceError}, or what `space` throws.
 */
export async function writeSegments(table: ItemTable, target: SegmentTarget): Promise<readonly SegmentRef[]> {
  const segments: SegmentRef[] = [];
  const cursor = table.wholeCursor({ start: FIRST_KEY, end: LAST_KEY });
  let remainingBytes = table.sizeBytes;
  let hasItem = cursor.nextSync();
  while (hasItem) {
    const extent = await takeExtent(target.space, remainingBytes);
    const writer = new SegmentWriter({
      device: target.device,
      fsid: target.fsid,
      writer: target.rid,
      term: target.term(),
      id: target.nextSegmentId(),
      level: 0,
      extent,
    });
    hasItem = await fill(writer, cursor, target.clock);
    segments.push(await writer.finish());
    if (writer.unused !== undefined) target.space.put(writer.unused);
    remainingBytes = Math.max(0, remainingBytes - extent.lengthBlocks * BLOCK_BYTES);
  }
  return segments;
}

/** Adds items from the present one on; true if the segment is full and the present item is not in it. */
async function fill(writer: SegmentWriter, cursor: TableCursor, clock: Clock): Promise<boolean> {
  while (writer.addAt(cursor.position)) {
    if (!cursor.nextSync()) return false;
    if (writer.itemCount % ITEMS_PER_TURN === 0) await clock.yield();
  }
  return true;
}

async function takeExtent(space: StoreSpace, remainingBytes: number): Promise<StoreExtent> {
  // A tenth for index, filter and the ends of blocks.
  const neededBlocks = Math.ceil((remainingBytes * 1.1) / BLOCK_BYTES) + EXTENT_BLOCKS_MIN;
  const wanted = Math.min(neededBlocks, SEGMENT_BLOCKS);
  const small: StoreExtent[] = [];
  try {
    for (;;) {
      const extent = await space.take(wanted);
      if (extent.lengthBlocks >= EXTENT_BLOCKS_MIN) return extent;
      small.push(extent);
      if (small.length === SMALL_EXTENTS_MAX) throw new SpaceFragmentedError(extent.lengthBlocks, wanted);
    }
  } finally {
    for (const extent of small) space.put(extent);
  }
}
