/*
 * Writes a table out as level-0 segments, in key order. A member does it with a memtable, the server with the
 * replayed journal of a dead member.
 *
 * Extents are used as they come: short ones make more and smaller segments. A write that failed may land later: the
 * blocks of a segment that could not be finished are never given back here. Those of finished ones are, if there is no
 * space for the rest.
 */
import { BLOCK_BYTES, type BlockDevice, type Clock } from "@holdfast/environment";
import { SEGMENT_BLOCKS, type SegmentRef, SegmentWriter } from "@holdfast/segment";
import { FIRST_KEY, LAST_KEY } from "@holdfast/wire-format";
import { SpaceFragmentedError } from "./errors.ts";
import type { ItemTable } from "./item-table.ts";
import type { StoreExtent, StoreSpace } from "./ports.ts";
import { JOURNAL_ITEM_BYTES } from "./journal-format.ts";
import { isShortOfSpace } from "./shortage.ts";
import type { TableCursor } from "./table-cursor.ts";

/** Items packed between two turns of other events: a few milliseconds of work. */
const ITEMS_PER_TURN = 8192;

/** Extents too small for one item that are put aside before the space counts as too fragmented. */
const SMALL_EXTENTS_MAX = 8;

/** Segments of one table: as many as one message to the server names. More means that space is too fragmented. */
export const TABLE_SEGMENTS_MAX = 64;

/** Blocks asked for beyond the items, so that large values with the gaps behind them seldom need one more segment. */
const SPARE_BLOCKS = 48;

/** Bytes of the data block of one item beside its value: header and row. */
const ITEM_BLOCK_BYTES = 64;

/** Blocks of a segment of one item beside its data block: tail and footer. */
const TAIL_BLOCKS = 2;

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

/** Bytes that the items of a table take in a journal. */
export function itemsBytesOf(table: ItemTable): number {
  return table.rowCount * JOURNAL_ITEM_BYTES + table.valueBytes;
}

/**
 * Blocks that are enough to write out items that take so many bytes in a journal, unless space comes in short runs: a third
 * for index, filter, and the ends of data blocks, which values of 4 to 16 KiB leave empty.
 */
export function blocksToWrite(itemsBytes: number): number {
  return blocksFor(itemsBytes * 1.35) + SPARE_BLOCKS;
}

/**
 * Writes all items of a table, tombstones included, and gives unused blocks back.
 *
 * @returns The segments in key order, at most {@link TABLE_SEGMENTS_MAX}; none for an empty table. They are durable
 *   and in no manifest yet.
 * @throws {@link SpaceFragmentedError} `ERR_HOLDFAST_SPACE_FRAGMENTED`, {@link DeviceError}, or what `space` throws. After
 *   an error of space nothing is left of the attempt.
 */
export async function writeSegments(table: ItemTable, target: SegmentTarget): Promise<readonly SegmentRef[]> {
  const segments: SegmentRef[] = [];
  try {
    await writeAll(table, target, segments);
    return segments;
  } catch (error) {
    // Every write to them is done, and nobody has been told of them.
    if (isShortOfSpace(error)) for (const { extent } of segments) target.space.put(extent);
    throw error;
  }
}

async function writeAll(table: ItemTable, target: SegmentTarget, segments: SegmentRef[]): Promise<void> {
  const cursor = table.wholeCursor({ start: FIRST_KEY, end: LAST_KEY });
  let remainingBytes = itemsBytesOf(table);
  let hasItem = cursor.nextSync();
  while (hasItem) {
    if (segments.length === TABLE_SEGMENTS_MAX)
      throw new SpaceFragmentedError(segments.at(-1)?.extent.lengthBlocks ?? 0, blocksFor(remainingBytes));
    const extent = await takeExtent(target.space, remainingBytes, cursor.position.valueLength);
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
}

/** Adds items from the present one on; true if the segment is full and the present item is not in it. */
async function fill(writer: SegmentWriter, cursor: TableCursor, clock: Clock): Promise<boolean> {
  while (writer.addAt(cursor.position)) {
    if (!cursor.nextSync()) return false;
    if (writer.itemCount % ITEMS_PER_TURN === 0) await clock.yield();
  }
  return true;
}

/** An extent as long as there is, and long enough for an item with a value of `valueLength` bytes. */
async function takeExtent(
  space: StoreSpace,
  remainingBytes: number,
  valueLength: number,
): Promise<StoreExtent> {
  const leastBlocks = blocksFor(ITEM_BLOCK_BYTES + Math.max(0, valueLength)) + TAIL_BLOCKS;
  const wantedBlocks = Math.min(blocksToWrite(remainingBytes), SEGMENT_BLOCKS);
  const small: StoreExtent[] = [];
  try {
    for (;;) {
      const extent = await space.take(wantedBlocks);
      if (extent.lengthBlocks >= leastBlocks) return extent;
      small.push(extent);
      if (small.length === SMALL_EXTENTS_MAX)
        throw new SpaceFragmentedError(extent.lengthBlocks, wantedBlocks);
    }
  } finally {
    for (const extent of small) space.put(extent);
  }
}

function blocksFor(byteCount: number): number {
  return Math.ceil(byteCount / BLOCK_BYTES);
}
