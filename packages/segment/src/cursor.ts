/*
 * Cursors over sorted items.
 *
 * A loop that wants speed calls `nextSync` and awaits `next` only when that says undefined, and reads the item where
 * it stands through `position`; `key`, `seq` and `value` make an object each time they are read.
 */
import { KEY_BYTES, type Key } from "@holdfast/wire-format";
import { ROW_BYTES, ROW_SEQ } from "./format.ts";

/** Where the current item of a cursor stands in memory. Overwritten by the next step. */
export interface ItemPosition {
  /** Holds the key, 32 bytes, and behind it the seq, 8 bytes little-endian, at {@link rowOffset}. */
  row: DataView;
  rowOffset: number;
  /** Holds the value at {@link valueOffset}. */
  values: DataView;
  valueOffset: number;
  /** Bytes of the value; −1 for a tombstone. */
  valueLength: number;
}

/** A walk over items in key order. Views are valid until the next step. */
export interface ItemCursor {
  /**
   * Goes to the next item, the first at the beginning. False: there is none.
   *
   * @throws {@link StaleSegmentError} `ERR_HOLDFAST_SEGMENT_STALE` the manifest is out of date; start over.
   */
  next(): Promise<boolean>;
  /** Like {@link next} if that needs no I/O; undefined if it does: then await {@link next}. */
  nextSync?(): boolean | undefined;
  readonly key: Key;
  readonly seq: bigint;
  /** Undefined for a tombstone. */
  readonly value: Uint8Array | undefined;
  /** Where the item stands; cursors that keep items otherwise leave it out. */
  readonly position?: ItemPosition;
}

/** A cursor with its fast path. */
export interface PositionedCursor extends ItemCursor {
  nextSync(): boolean | undefined;
  readonly position: ItemPosition;
}

/** A position that stands nowhere yet. */
export function noPosition(): ItemPosition {
  return { row: EMPTY, rowOffset: 0, values: EMPTY, valueOffset: 0, valueLength: -1 };
}

/** The key at a position, a view. */
export function keyAt(position: ItemPosition): Key {
  return new Uint8Array(position.row.buffer, position.row.byteOffset + position.rowOffset, KEY_BYTES);
}

/** The seq at a position. */
export function seqAt(position: ItemPosition): bigint {
  return position.row.getBigUint64(position.rowOffset + ROW_SEQ, true);
}

/** The value at a position, a view; undefined for a tombstone. */
export function valueAt(position: ItemPosition): Uint8Array | undefined {
  const { values, valueOffset, valueLength } = position;
  if (valueLength < 0) return undefined;
  return new Uint8Array(values.buffer, values.byteOffset + valueOffset, valueLength);
}

/** The cursor itself if it has a fast path, else one around it. */
export function positioned(cursor: ItemCursor): PositionedCursor {
  return hasPosition(cursor) ? cursor : new CopyingCursor(cursor);
}

const EMPTY = new DataView(new ArrayBuffer(0));

function hasPosition(cursor: ItemCursor): cursor is PositionedCursor {
  return cursor.position !== undefined && cursor.nextSync !== undefined;
}

/** Gives any cursor a position by copying key and seq of each item. */
class CopyingCursor implements PositionedCursor {
  readonly position: ItemPosition = noPosition();
  readonly #cursor: ItemCursor;
  readonly #row: Uint8Array = new Uint8Array(ROW_BYTES);

  constructor(cursor: ItemCursor) {
    this.#cursor = cursor;
    this.position.row = new DataView(this.#row.buffer);
  }

  get key(): Key {
    return this.#cursor.key;
  }

  get seq(): bigint {
    return this.#cursor.seq;
  }

  get value(): Uint8Array | undefined {
    return this.#cursor.value;
  }

  async next(): Promise<boolean> {
    return this.#arrive(await this.#cursor.next());
  }

  nextSync(): boolean | undefined {
    const hasItem = this.#cursor.nextSync?.();
    return hasItem === undefined ? undefined : this.#arrive(hasItem);
  }

  #arrive(hasItem: boolean): boolean {
    if (!hasItem) return false;
    const { position } = this;
    const value = this.#cursor.value;
    this.#row.set(this.#cursor.key);
    position.row.setBigUint64(ROW_SEQ, this.#cursor.seq, true);
    position.valueLength = value === undefined ? -1 : value.length;
    if (value !== undefined) position.values = new DataView(value.buffer, value.byteOffset, value.length);
    return true;
  }
}
