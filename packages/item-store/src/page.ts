/*
 * One page of a scan: copies of keys and values, packed into a few buffers, since a buffer per item would cost more than
 * everything else that a scan does.
 */
import type { ItemPosition } from "@holdfast/segment";
import { KEY_BYTES, type Key } from "@holdfast/wire-format";

/** An item that a scan found: the caller's own, though the items of a page share memory. */
export interface ScanItem {
  readonly key: Key;
  readonly value: Uint8Array;
}

/** Bytes of a buffer; a value longer than a quarter of it gets one of its own. */
const BUFFER_BYTES = 65_536;

/** Below this, words are copied one by one, which is faster than making a view for a bulk copy. */
const BULK_COPY_BYTES = 256;

const EMPTY = new Uint8Array(0);

/** Gathers the items of one page. */
export class Page {
  /** The items so far. */
  readonly items: ScanItem[] = [];
  /** Bytes of their keys and values. */
  sizeBytes = 0;
  /** True if nothing follows. */
  isLast = false;
  readonly #bufferBytes: number;
  #buffer: Uint8Array = EMPTY;
  #view: DataView = new DataView(EMPTY.buffer);
  #end = 0;

  /** @param itemsMax - Items it will have at most; a small page gets a small buffer. */
  constructor(itemsMax: number) {
    this.#bufferBytes = Math.min(BUFFER_BYTES, itemsMax * 256);
  }

  /** Copies an item from where a cursor has it; it is no tombstone. */
  add(position: ItemPosition): void {
    const { row, rowOffset, values, valueOffset, valueLength } = position;
    const key = this.#copy(row, rowOffset, KEY_BYTES);
    this.items.push({ key, value: this.#copy(values, valueOffset, valueLength) });
    this.sizeBytes += KEY_BYTES + valueLength;
  }

  #copy(source: DataView, offset: number, length: number): Uint8Array {
    if (length > BULK_COPY_BYTES && length * 4 > this.#bufferBytes)
      return viewOf(source, offset, length).slice();
    const start = this.#reserve(length);
    if (length > BULK_COPY_BYTES) this.#buffer.set(viewOf(source, offset, length), start);
    else copyWords(source, offset, this.#view, start, length);
    return this.#buffer.subarray(start, start + length);
  }

  #reserve(length: number): number {
    if (this.#end + length > this.#buffer.length) {
      this.#buffer = new Uint8Array(Math.max(length, this.#bufferBytes));
      this.#view = new DataView(this.#buffer.buffer);
      this.#end = 0;
    }
    const start = this.#end;
    this.#end += length;
    return start;
  }
}

function viewOf(source: DataView, offset: number, length: number): Uint8Array {
  return new Uint8Array(source.buffer, source.byteOffset + offset, length);
}

function copyWords(source: DataView, from: number, target: DataView, to: number, count: number): void {
  let at = 0;
  for (const whole = count - 3; at < whole; at += 4) target.setUint32(to + at, source.getUint32(from + at));
  for (; at < count; at += 1) target.setUint8(to + at, source.getUint8(from + at));
}
