/*
 * Writes one segment into one extent.
 *
 * The segment is built in one buffer of the extent's size. Full megabytes leave it for the device while later items
 * are still being added; `finish` writes the rest, flushes once and only then writes the footer, durably. So a
 * segment whose footer is readable is complete.
 */
import { BLOCK_BYTES, type BlockDevice, MIB, blockOffset, invariant } from "@holdfast/environment";
import { BlockType, KEY_BYTES, type Key, crc32c, hash128, refTo, sealBlock } from "@holdfast/wire-format";
import type { ItemPosition } from "./cursor.ts";
import { writeDataHeader } from "./data-block.ts";
import { fillFilter, filterBytesFor } from "./filter.ts";
import {
  DATA_BLOCK_BYTES,
  DATA_HEADER_BYTES,
  INDEX_ENTRY_BYTES,
  LARGE_VALUE_BYTES,
  ROW_BYTES,
  ROW_SEQ,
  ROW_VALUE_LENGTH,
  ROW_VALUE_OFFSET,
  type SegmentExtent,
  SegmentFooter,
  type SegmentRef,
  TOMBSTONE,
  VALUE_BYTES_MAX,
  blocksFor,
} from "./format.ts";
import { compareKeysAt, hashKey } from "./key-probe.ts";

/** Bytes that a write to the device carries at least, the last ones of a segment excepted. */
export const WRITE_BYTES: number = MIB;

/** Below this, words are copied one by one, which is faster than making a view for a bulk copy. */
const BULK_COPY_BYTES = 256;

/** Where and as what a segment is written. */
export interface SegmentWriterOptions {
  readonly device: BlockDevice;
  /** Identity of the volume. */
  readonly fsid: bigint;
  /** The member that writes. */
  readonly writer: bigint;
  /** Term under which the extent was granted. */
  readonly term: bigint;
  /** Identity of the segment; never given twice on a volume. */
  readonly id: bigint;
  /** Level it is meant for. */
  readonly level: number;
  /** The writer's own blocks, at least {@link SEGMENT_BLOCKS_MIN}; what stays unused is in {@link SegmentWriter.unused}. */
  readonly extent: SegmentExtent;
  /** Memory to build in, at least as long as the extent; free again when `finish` or `abandon` has settled. */
  readonly buffer?: Uint8Array;
}

/** Writer of one segment. */
export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  readonly #out: Uint8Array;
  readonly #outView: DataView;
  // Row 0 is the last row of the block before, so that a row's predecessor always stands one row back.
  readonly #rows: Uint8Array = new Uint8Array(DATA_BLOCK_BYTES + 2 * ROW_BYTES);
  readonly #rowsView: DataView;
  readonly #index: DataView;
  readonly #first: Uint8Array = new Uint8Array(KEY_BYTES);
  readonly #writes: Promise<void>[] = [];
  #writeError: unknown;
  #hashes: Uint32Array = new Uint32Array(1024);
  #itemCount = 0;
  #tombstoneCount = 0;
  #seqMaxHigh = 0;
  #seqMaxLow = 0;
  #indexCount = 0;
  /** Rows of the open data block. */
  #rowCount = 0;
  /** Where the open data block starts, and where its next value goes, in bytes. */
  #blockStart = 0;
  #valueEnd: number = DATA_HEADER_BYTES;
  #writtenEnd = 0;
  #usedBlocks = 0;
  #state: "open" | "full" | "closed" = "open";

  /** @throws RangeError when the extent or the buffer is too small. */
  constructor(options: SegmentWriterOptions) {
    const sizeBytes = options.extent.lengthBlocks * BLOCK_BYTES;
    const buffer = options.buffer ?? new Uint8Array(sizeBytes);
    if (buffer.length < sizeBytes)
      throw new RangeError(`a buffer of ${buffer.length} bytes cannot hold an extent of ${sizeBytes}`);
    this.#options = options;
    this.#out = buffer;
    this.#outView = new DataView(buffer.buffer, buffer.byteOffset, sizeBytes);
    this.#rowsView = new DataView(this.#rows.buffer);
    // A closed data block has at least three blocks of 4 KiB; one more entry for the last.
    const entriesMax = Math.ceil(options.extent.lengthBlocks / 3) + 1;
    this.#index = new DataView(new ArrayBuffer(entriesMax * INDEX_ENTRY_BYTES));
  }

  /** Items added so far. */
  get itemCount(): number {
    return this.#itemCount;
  }

  /** The end of the extent that a finished segment does not use, to be given back; undefined when there is none. */
  get unused(): SegmentExtent | undefined {
    const { start, lengthBlocks } = this.#options.extent;
    if (this.#usedBlocks === lengthBlocks) return undefined;
    return { start: start + BigInt(this.#usedBlocks), lengthBlocks: lengthBlocks - this.#usedBlocks };
  }

  /**
   * Adds one item; keys rise strictly. `value` undefined is a tombstone.
   *
   * @returns False when the segment is full: the item is not in it and goes first into the next one.
   * @throws RangeError when the value exceeds 64 KiB, or fits into no segment of this extent.
   */
  add(key: Key, seq: bigint, value: Uint8Array | undefined): boolean {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
    const length = value === undefined ? 0 : value.length;
    if (!this.#makeRoom(length)) return false;
    const row = this.#nextRow();
    this.#rows.set(key, row);
    this.#rowsView.setBigUint64(row + ROW_SEQ, seq, true);
    if (value !== undefined) this.#out.set(value, this.#valueEnd);
    this.#accept(row, value === undefined ? -1 : length);
    return true;
  }

  /** {@link add} without objects: copies the item from where a cursor has it. */
  addAt(position: ItemPosition): boolean {
    const length = Math.max(0, position.valueLength);
    if (!this.#makeRoom(length)) return false;
    const row = this.#nextRow();
    copyWords(position.row, position.rowOffset, this.#rowsView, row, KEY_BYTES + 8);
    if (length > BULK_COPY_BYTES) {
      const { buffer, byteOffset } = position.values;
      this.#out.set(new Uint8Array(buffer, byteOffset + position.valueOffset, length), this.#valueEnd);
    } else {
      copyWords(position.values, position.valueOffset, this.#outView, this.#valueEnd, length);
    }
    this.#accept(row, position.valueLength);
    return true;
  }

  /**
   * Writes what is left, flushes, and writes the footer durably.
   *
   * @throws {@link DeviceError} no write is in flight any more, but one that failed may still arrive later.
   * @throws RangeError when nothing was added.
   */
  async finish(): Promise<SegmentRef> {
    if (this.#itemCount === 0) throw new RangeError("a segment holds at least one item");
    invariant(this.#state !== "closed", "a segment is finished once");
    this.#state = "closed";
    this.#closeBlock();
    const { device, fsid, writer, term, id, level, extent } = this.#options;
    const footer = this.#buildTail();
    this.#startWrite((footer.extent.lengthBlocks - 1) * BLOCK_BYTES);
    await this.#settle();
    await device.flush();
    const address = extent.start + BigInt(footer.extent.lengthBlocks - 1);
    const block = sealBlock(
      { fsid, address, term, writer, seq: id, type: BlockType.segmentFooter },
      SegmentFooter.encode(footer),
    );
    await device.write(blockOffset(address), block, { isDurable: true });
    this.#usedBlocks = footer.extent.lengthBlocks;
    const { first, last, itemCount, tombstoneCount, seqMax } = footer;
    const facts = { first, last, itemCount, tombstoneCount, seqMax };
    return { id, extent: footer.extent, footer: refTo(block), level, order: 0n, writer, ...facts };
  }

  /** Gives the segment up; resolves when none of its writes is in flight any more. Errors of writes do not matter. */
  async abandon(): Promise<void> {
    this.#state = "closed";
    await Promise.all(this.#writes);
  }

  /** Room for one more item, in a new data block if need be; false when the segment is full. */
  #makeRoom(length: number): boolean {
    invariant(this.#state !== "closed", "items are added before a segment is finished");
    if (length > VALUE_BYTES_MAX)
      throw new RangeError(`a value has at most ${VALUE_BYTES_MAX} bytes, not ${length}`);
    if (this.#state === "full") return false;
    const used = this.#blockBytes();
    const need = ROW_BYTES + length;
    const opensBlock =
      this.#rowCount > 0 &&
      (used >= DATA_BLOCK_BYTES || (used + need > DATA_BLOCK_BYTES && length < LARGE_VALUE_BYTES));
    const blocks =
      this.#blockStart / BLOCK_BYTES +
      (opensBlock ? blocksFor(used) + blocksFor(DATA_HEADER_BYTES + need) : blocksFor(used + need));
    const entries = this.#indexCount + (opensBlock ? 2 : 1);
    if (blocks + tailBlocks(entries, this.#itemCount + 1) + 1 > this.#options.extent.lengthBlocks) {
      const { lengthBlocks } = this.#options.extent;
      if (this.#itemCount === 0)
        throw new RangeError(`an extent of ${lengthBlocks} blocks cannot hold a value of ${length} bytes`);
      this.#state = "full";
      return false;
    }
    if (opensBlock) this.#closeBlock();
    return true;
  }

  #nextRow(): number {
    return (this.#rowCount + 1) * ROW_BYTES;
  }

  /** Bytes that the open data block has so far. */
  #blockBytes(): number {
    return this.#valueEnd - this.#blockStart + this.#rowCount * ROW_BYTES;
  }

  /** Counts the item whose key and seq stand at `row` and whose value was copied. */
  #accept(row: number, valueLength: number): void {
    const rows = this.#rowsView;
    if (this.#itemCount === 0) this.#first.set(this.#rows.subarray(row, row + KEY_BYTES));
    else invariant(compareKeysAt(rows, row - ROW_BYTES, rows, row, 0) < 0, "keys of a segment rise strictly");
    rows.setUint32(row + ROW_VALUE_OFFSET, this.#valueEnd - this.#blockStart, true);
    rows.setUint32(row + ROW_VALUE_LENGTH, valueLength < 0 ? TOMBSTONE : valueLength, true);
    if (valueLength < 0) this.#tombstoneCount += 1;
    else this.#valueEnd += valueLength;
    const low = rows.getUint32(row + ROW_SEQ, true);
    const high = rows.getUint32(row + ROW_SEQ + 4, true);
    if (high > this.#seqMaxHigh || (high === this.#seqMaxHigh && low > this.#seqMaxLow)) {
      this.#seqMaxHigh = high;
      this.#seqMaxLow = low;
    }
    if (this.#itemCount === this.#hashes.length) this.#growHashes();
    this.#hashes[this.#itemCount] = hashKey(rows, row);
    this.#rowCount += 1;
    this.#itemCount += 1;
  }

  #growHashes(): void {
    const grown = new Uint32Array(2 * this.#hashes.length);
    grown.set(this.#hashes);
    this.#hashes = grown;
  }

  /** Completes the open data block in the buffer and enters it into the index. */
  #closeBlock(): void {
    const start = this.#blockStart;
    const lengthBlocks = blocksFor(this.#blockBytes());
    const end = start + lengthBlocks * BLOCK_BYTES;
    const rowsEnd = (this.#rowCount + 1) * ROW_BYTES;
    const rowsStart = end - (rowsEnd - ROW_BYTES);
    this.#out.fill(0, this.#valueEnd, rowsStart);
    this.#out.set(this.#rows.subarray(ROW_BYTES, rowsEnd), rowsStart);
    const header = { segment: this.#options.id, number: this.#indexCount, itemCount: this.#rowCount };
    writeDataHeader(this.#outView, start, header);
    const entry = this.#indexCount * INDEX_ENTRY_BYTES;
    copyWords(this.#rowsView, ROW_BYTES, this.#index, entry, KEY_BYTES);
    this.#index.setUint32(entry + 32, start / BLOCK_BYTES, true);
    this.#index.setUint32(entry + 36, lengthBlocks, true);
    this.#index.setUint32(entry + 40, this.#rowCount, true);
    this.#index.setUint32(entry + 44, crc32c(this.#out, start, end), true);
    this.#rows.copyWithin(0, rowsEnd - ROW_BYTES, rowsEnd);
    this.#indexCount += 1;
    this.#rowCount = 0;
    this.#blockStart = end;
    this.#valueEnd = end + DATA_HEADER_BYTES;
    if (end - this.#writtenEnd >= WRITE_BYTES) this.#startWrite(end);
  }

  /** Puts index and filter behind the data; returns what the footer will say. */
  #buildTail(): SegmentFooter {
    const { extent, id } = this.#options;
    const start = this.#blockStart;
    const indexBytes = this.#indexCount * INDEX_ENTRY_BYTES;
    const filterBytes = filterBytesFor(this.#itemCount);
    const end = start + blocksFor(indexBytes + filterBytes) * BLOCK_BYTES;
    this.#out.fill(0, start, end);
    this.#out.set(new Uint8Array(this.#index.buffer, 0, indexBytes), start);
    fillFilter(this.#outView, start + indexBytes, filterBytes, this.#hashes, this.#itemCount);
    return {
      id,
      extent: { start: extent.start, lengthBlocks: end / BLOCK_BYTES + 1 },
      first: this.#first.slice(),
      last: this.#rows.slice(0, KEY_BYTES),
      itemCount: this.#itemCount,
      tombstoneCount: this.#tombstoneCount,
      seqMax: (BigInt(this.#seqMaxHigh) << 32n) | BigInt(this.#seqMaxLow),
      dataBlocks: start / BLOCK_BYTES,
      indexCount: this.#indexCount,
      filterBytes,
      tailHash: hash128(this.#out.subarray(start, end)),
    };
  }

  /** Sends the bytes up to `end` on their way to the device. */
  #startWrite(end: number): void {
    const { device, extent } = this.#options;
    const bytes = this.#out.subarray(this.#writtenEnd, end);
    const offset = blockOffset(extent.start) + BigInt(this.#writtenEnd);
    this.#writtenEnd = end;
    this.#writes.push(
      device.write(offset, bytes, { isDurable: false }).catch((error: unknown) => {
        this.#writeError ??= error;
      }),
    );
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#writes);
    if (this.#writeError !== undefined) throw this.#writeError;
  }
}

function tailBlocks(indexCount: number, itemCount: number): number {
  return blocksFor(indexCount * INDEX_ENTRY_BYTES + filterBytesFor(itemCount));
}

function copyWords(source: DataView, from: number, target: DataView, to: number, count: number): void {
  let at = 0;
  for (const whole = count - 3; at < whole; at += 4) target.setUint32(to + at, source.getUint32(from + at));
  for (; at < count; at += 1) target.setUint8(to + at, source.getUint8(from + at));
}
