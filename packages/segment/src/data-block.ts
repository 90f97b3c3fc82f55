/*
 * One data block in memory. Nothing is decoded: rows are looked at where they stand.
 *
 * The rows share a prefix (their first and last key do), so a search compares one 32-bit word, the head behind that
 * prefix, and looks further only when heads are equal.
 */
import type { ItemPosition } from "./cursor.ts";
import { DATA_HEADER_BYTES, ROW_BYTES, ROW_VALUE_LENGTH, ROW_VALUE_OFFSET, TOMBSTONE } from "./format.ts";
import { compareKeysAt, sharedPrefixAt } from "./key-probe.ts";

/** A verified data block. */
export class DataBlock {
  /** All its bytes. */
  readonly view: DataView;
  /** Items in it, at least 1. */
  readonly itemCount: number;
  /** Where its rows start. */
  readonly rowsOffset: number;
  readonly #prefix: number;

  constructor(view: DataView, itemCount: number) {
    this.view = view;
    this.itemCount = itemCount;
    this.rowsOffset = view.byteLength - itemCount * ROW_BYTES;
    this.#prefix = sharedPrefixAt(view, this.rowsOffset, view, view.byteLength - ROW_BYTES);
  }

  /** Number of rows whose key is smaller than the key at `offset` of `key`. */
  lowerBound(key: DataView, offset: number): number {
    const prefix = this.#prefix;
    const view = this.view;
    const rowsOffset = this.rowsOffset;
    for (let at = 0; at < prefix; at += 4) {
      const row = view.getUint32(rowsOffset + at);
      const wanted = key.getUint32(offset + at);
      if (row !== wanted) return row < wanted ? this.itemCount : 0;
    }
    const head = key.getUint32(offset + prefix);
    let low = 0;
    let high = this.itemCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = rowsOffset + middle * ROW_BYTES;
      const rowHead = view.getUint32(row + prefix);
      const isSmaller =
        rowHead === head ? compareKeysAt(view, row, key, offset, prefix + 4) < 0 : rowHead < head;
      if (isSmaller) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Number of rows whose key is smaller than or equal to the key at `offset` of `key`. */
  upperBound(key: DataView, offset: number): number {
    const row = this.lowerBound(key, offset);
    return row < this.itemCount && this.holdsAt(row, key, offset) ? row + 1 : row;
  }

  /** True when row `row` has the key at `offset` of `key`. */
  holdsAt(row: number, key: DataView, offset: number): boolean {
    return compareKeysAt(this.view, this.rowsOffset + row * ROW_BYTES, key, offset, 0) === 0;
  }

  /** Points a position at row `row`. */
  pointAt(row: number, position: ItemPosition): void {
    const { view } = this;
    const offset = this.rowsOffset + row * ROW_BYTES;
    const length = view.getUint32(offset + ROW_VALUE_LENGTH, true);
    position.row = view;
    position.rowOffset = offset;
    position.values = view;
    position.valueOffset = view.getUint32(offset + ROW_VALUE_OFFSET, true);
    position.valueLength = length === TOMBSTONE ? -1 : length;
  }

  /** The same block in memory of its own. */
  copy(): DataBlock {
    const { buffer, byteOffset, byteLength } = this.view;
    return new DataBlock(new DataView(buffer.slice(byteOffset, byteOffset + byteLength)), this.itemCount);
  }
}

/** Segment id, block number and item count, as a data block's header names them. */
export interface DataHeader {
  readonly segment: bigint;
  readonly number: number;
  readonly itemCount: number;
}

/** Writes the header at `offset`. */
export function writeDataHeader(view: DataView, offset: number, header: DataHeader): void {
  view.setBigUint64(offset, header.segment, true);
  view.setUint32(offset + 8, header.number, true);
  view.setUint32(offset + 12, header.itemCount, true);
}

/** True when the block says that it is the one expected and its rows fit into it. */
export function hasDataHeader(view: DataView, header: DataHeader): boolean {
  return (
    view.getBigUint64(0, true) === header.segment &&
    view.getUint32(8, true) === header.number &&
    view.getUint32(12, true) === header.itemCount &&
    header.itemCount > 0 &&
    DATA_HEADER_BYTES + header.itemCount * ROW_BYTES <= view.byteLength
  );
}
