/*
 * A table of items in memory: the memtable, and each generation of the read cache.
 *
 * Rows stand in typed arrays, values in an arena of chunks, both only ever appended to: writing a key again makes
 * a new row and the old one stays what it was. That makes a snapshot of the table one number (its row count) and
 * makes every view that was handed out stay true. An open-addressing hash (linear probing, at most half full)
 * finds the newest row of a key. About 60 bytes per row beside the value; nothing is allocated per item except
 * when an array grows.
 */
import type { ItemPosition } from "@holdfast/segment";
import { KEY_BYTES, type Key, type KeyRange } from "@holdfast/wire-format";
import { ROW_STRIDE_BYTES, RowOrder } from "./row-order.ts";
import { TableCursor } from "./table-cursor.ts";

/** Bytes in a chunk of the arena: four of the longest values, so that little is lost at its end. */
export const ARENA_CHUNK_BYTES = 262_144;

/** Bytes in the longest value of an item. */
export const ITEM_VALUE_BYTES_MAX = 65_536;

/** Bytes that a row takes beside its value: key, seq, place and length of the value, hash, two slots. */
export const ROW_BYTES: number = KEY_BYTES + 8 + 4 + 4 + 4 + 8;

const ROWS_FIRST = 16;
const NO_VALUE = 0xffff_ffff;

/** Items by key, the newest version of each found by hash, all in order on request. */
export class ItemTable {
  #count = 0;
  /** Key and seq of each row. */
  #rows: Uint8Array = new Uint8Array(ROWS_FIRST * ROW_STRIDE_BYTES);
  #rowsView: DataView = new DataView(this.#rows.buffer);
  /** Place of the value: chunk number * ARENA_CHUNK_BYTES + offset in it. */
  #places: Float64Array = new Float64Array(ROWS_FIRST);
  #lengths: Uint32Array = new Uint32Array(ROWS_FIRST);
  #hashes: Int32Array = new Int32Array(ROWS_FIRST);
  /** Row number + 1 of the newest row, 0 = free. */
  #slots: Uint32Array = new Uint32Array(2 * ROWS_FIRST);
  readonly #chunks: Uint8Array[] = [];
  readonly #chunkViews: DataView[] = [];
  #chunkUsedBytes = 0;
  #arenaBytes = 0;
  #valueBytes = 0;
  readonly #order: RowOrder = new RowOrder();

  /** Rows written, older versions of a key included. */
  get rowCount(): number {
    return this.#count;
  }

  /** Bytes that rows and values take. */
  get sizeBytes(): number {
    return this.#count * ROW_BYTES + this.#arenaBytes;
  }

  /** Bytes of values in all rows, without what the arena has ready. */
  get valueBytes(): number {
    return this.#valueBytes;
  }

  /**
   * Writes an item: a new row, newest of its key.
   *
   * @param value - At most {@link ITEM_VALUE_BYTES_MAX}, copied; undefined for a tombstone.
   * @throws RangeError when the value is longer.
   */
  put(key: Key, seq: bigint, value: Uint8Array | undefined): void {
    if (this.#count === this.#lengths.length) this.#grow();
    const row = this.#count;
    const hash = hashKey(key);
    this.#rows.set(key, row * ROW_STRIDE_BYTES);
    this.#rowsView.setBigUint64(row * ROW_STRIDE_BYTES + KEY_BYTES, seq, true);
    this.#hashes[row] = hash;
    this.#lengths[row] = value === undefined ? NO_VALUE : value.length;
    this.#places[row] = value === undefined ? 0 : this.#store(value);
    this.#slots[this.#slotOf(key, hash)] = row + 1;
    this.#count = row + 1;
  }

  /**
   * The newest row of `key`, −1 if there is none.
   *
   * @param hash - Its {@link hashKey}; who looks into several tables makes it once.
   */
  find(key: Key, hash: number = hashKey(key)): number {
    return (this.#slots[this.#slotOf(key, hash)] as number) - 1;
  }

  /** The key of a row: a view, true for ever. */
  keyAt(row: number): Key {
    return this.#rows.subarray(row * ROW_STRIDE_BYTES, row * ROW_STRIDE_BYTES + KEY_BYTES);
  }

  /** The `seq` of a row. */
  seqAt(row: number): bigint {
    return this.#rowsView.getBigUint64(row * ROW_STRIDE_BYTES + KEY_BYTES, true);
  }

  /** The value of a row: a view, true for ever; undefined for a tombstone. */
  valueAt(row: number): Uint8Array | undefined {
    const length = this.#lengths[row] ?? NO_VALUE;
    if (length === NO_VALUE) return undefined;
    const place = this.#places[row] ?? 0;
    const offset = place % ARENA_CHUNK_BYTES;
    return this.#chunks[Math.floor(place / ARENA_CHUNK_BYTES)]?.subarray(offset, offset + length);
  }

  /** Points `position` at a row. */
  locate(row: number, position: ItemPosition): void {
    position.row = this.#rowsView;
    position.rowOffset = row * ROW_STRIDE_BYTES;
    const length = this.#lengths[row] as number;
    position.valueLength = length === NO_VALUE ? -1 : length;
    if (length === NO_VALUE) return;
    const place = this.#places[row] as number;
    position.values = this.#chunkViews[Math.floor(place / ARENA_CHUNK_BYTES)] as DataView;
    position.valueOffset = place % ARENA_CHUNK_BYTES;
  }

  /** True if a row's key lies in `range`. */
  hasIn(range: KeyRange): boolean {
    return this.cursor(range, false).nextSync();
  }

  /**
   * A cursor over the items of `range` as they are now: later writes do not show in it. Costs the sorting of the
   * rows that were written since the last cursor.
   */
  cursor(range: KeyRange, isReverse: boolean): TableCursor {
    return new TableCursor(
      this,
      this.#order.runs(this.#rowsView, this.#count),
      this.#rowsView,
      range,
      isReverse,
    );
  }

  /** The same for the whole table, in one run, for writing it out. */
  wholeCursor(range: KeyRange): TableCursor {
    const run = this.#order.settle(this.#rowsView, this.#count);
    return new TableCursor(this, [run], this.#rowsView, range, false);
  }

  #slotOf(key: Key, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const row = (slots[slot] as number) - 1;
      if (row < 0 || (this.#hashes[row] === hash && this.#isKeyOf(row, key))) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isKeyOf(row: number, key: Key): boolean {
    const rows = this.#rows;
    const offset = row * ROW_STRIDE_BYTES;
    for (let index = KEY_BYTES - 1; index >= 0; index -= 1)
      if (rows[offset + index] !== key[index]) return false;
    return true;
  }

  #store(value: Uint8Array): number {
    if (value.length > ITEM_VALUE_BYTES_MAX)
      throw new RangeError(`a value has at most ${ITEM_VALUE_BYTES_MAX} bytes, not ${value.length}`);
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#chunkUsedBytes + value.length > chunk.length) {
      chunk = this.#newChunk(value.length);
      this.#chunkUsedBytes = 0;
    }
    const place = (this.#chunks.length - 1) * ARENA_CHUNK_BYTES + this.#chunkUsedBytes;
    chunk.set(value, this.#chunkUsedBytes);
    this.#chunkUsedBytes += value.length;
    this.#valueBytes += value.length;
    return place;
  }

  /** Small tables get small chunks, so that a thousand of them do not take 64 MiB. */
  #newChunk(neededBytes: number): Uint8Array {
    const doubled = Math.max(1024, this.#arenaBytes);
    const chunk = new Uint8Array(Math.min(ARENA_CHUNK_BYTES, Math.max(neededBytes, doubled)));
    this.#chunks.push(chunk);
    this.#chunkViews.push(new DataView(chunk.buffer));
    this.#arenaBytes += chunk.length;
    return chunk;
  }

  #grow(): void {
    const capacity = 2 * this.#lengths.length;
    this.#rows = grown(this.#rows, new Uint8Array(capacity * ROW_STRIDE_BYTES));
    this.#rowsView = new DataView(this.#rows.buffer);
    this.#places = grown(this.#places, new Float64Array(capacity));
    this.#lengths = grown(this.#lengths, new Uint32Array(capacity));
    this.#hashes = grown(this.#hashes, new Int32Array(capacity));
    const slots = new Uint32Array(2 * capacity);
    const mask = slots.length - 1;
    for (const entry of this.#slots) {
      if (entry === 0) continue;
      let slot = (this.#hashes[entry - 1] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.#slots = slots;
  }
}

function grown<A extends { set(from: A): void }>(from: A, into: A): A {
  into.set(from);
  return into;
}

/** Hash of a key in every table: four bytes a step, mixed as MurmurHash3 (Appleby, public domain) does. */
export function hashKey(key: Key): number {
  let hash = 0;
  for (let index = 0; index < KEY_BYTES; index += 4) {
    const word =
      (key[index] as number) |
      ((key[index + 1] as number) << 8) |
      ((key[index + 2] as number) << 16) |
      ((key[index + 3] as number) << 24);
    const mixed = Math.imul(word, 0xcc9e2d51);
    hash ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
