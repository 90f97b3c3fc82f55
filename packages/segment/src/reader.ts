/*
 * Reads one segment.
 *
 * Index and filter stay in memory; data blocks are read when needed, verified, and kept in a cache shared by all
 * readers. A segment never changes, so a cached block is right for ever; whether the segment still counts is the
 * manifest's matter.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset } from "@holdfast/environment";
import { type Key, type KeyRange, crc32c } from "@holdfast/wire-format";
import { BlockCache, type CachedBlock } from "./block-cache.ts";
import { type ItemPosition, type PositionedCursor, noPosition, seqAt, valueAt } from "./cursor.ts";
import { DataBlock, hasDataHeader } from "./data-block.ts";
import { StaleSegmentError } from "./errors.ts";
import type { SegmentRef } from "./format.ts";
import { KeyProbe } from "./key-probe.ts";
import { CachedBlocks, SegmentCursor, StreamedBlocks } from "./segment-cursor.ts";
import { type SegmentIndex, readSegmentIndex } from "./segment-index.ts";

/** What a segment knows of a key. */
export interface SegmentItem {
  readonly seq: bigint;
  /** Undefined: the key was deleted. A view into a cached block; not to be written to. */
  readonly value: Uint8Array | undefined;
}

/** Answer of a lookup that does no I/O: found, certainly absent, or the data block is not in memory. */
export type Located = "found" | "absent" | "unread";

/** Reader of one segment; safe for any number of calls at once. */
export class SegmentReader {
  /** The segment it reads. */
  readonly ref: SegmentRef;
  readonly #device: BlockDevice;
  readonly #cache: BlockCache;
  readonly #index: SegmentIndex;
  readonly #cached: (CachedBlock | undefined)[];
  readonly #loading: Map<number, Promise<DataBlock>> = new Map();
  readonly #found: ItemPosition = noPosition();
  #isClosed = false;

  private constructor(device: BlockDevice, ref: SegmentRef, index: SegmentIndex, cache: BlockCache) {
    this.ref = ref;
    this.#device = device;
    this.#cache = cache;
    this.#index = index;
    this.#cached = Array.from({ length: index.count }, () => undefined);
  }

  /**
   * Reads and verifies footer, index and filter.
   *
   * @param cache - Shared by readers; without it this reader has one of its own.
   * @throws {@link StaleSegmentError} `ERR_HOLDFAST_SEGMENT_STALE` when the extent holds something else.
   */
  static async open(
    device: BlockDevice,
    fsid: bigint,
    ref: SegmentRef,
    cache: BlockCache = new BlockCache(),
  ): Promise<SegmentReader> {
    return new SegmentReader(device, ref, await readSegmentIndex(device, fsid, ref), cache);
  }

  /** Bytes that the open reader keeps in memory beside the cache. */
  get residentBytes(): number {
    return this.#index.sizeBytes;
  }

  /** Looks a key up without I/O and points `position` at the item if it is found. */
  locate(probe: KeyProbe, position: ItemPosition): Located {
    if (!this.#index.mayHold(probe)) return "absent";
    const block = this.cachedBlock(this.#index.blockOf(probe.view));
    if (block === undefined) return "unread";
    return locateIn(block, probe, position) ? "found" : "absent";
  }

  /** Looks a key up without I/O. */
  tryGet(probe: KeyProbe): SegmentItem | "absent" | "unread" {
    const located = this.locate(probe, this.#found);
    return located === "found" ? itemAt(this.#found) : located;
  }

  /**
   * The item with this key; undefined when the segment has none.
   *
   * @throws {@link StaleSegmentError} `ERR_HOLDFAST_SEGMENT_STALE` when the extent holds something else by now.
   */
  async get(key: Key): Promise<SegmentItem | undefined> {
    const probe = new KeyProbe(key);
    const item = this.tryGet(probe);
    if (item === "absent") return undefined;
    if (item !== "unread") return item;
    const block = await this.loadBlock(this.#index.blockOf(probe.view));
    return locateIn(block, probe, this.#found) ? itemAt(this.#found) : undefined;
  }

  /** Walks over the items in a range, both ends included; through the cache. */
  cursor(range: KeyRange, isReverse = false): PositionedCursor {
    return new SegmentCursor(this.#index, range, isReverse, new CachedBlocks(this, isReverse));
  }

  /** Walks forward over the items in a range by large reads past the cache: for merging whole segments. */
  stream(range: KeyRange): PositionedCursor {
    return new SegmentCursor(this.#index, range, false, new StreamedBlocks(this));
  }

  /** Data blocks of the segment. */
  get blockCount(): number {
    return this.#index.count;
  }

  /** A data block if it is in the cache. */
  cachedBlock(number: number): DataBlock | undefined {
    const entry = this.#cached[number];
    if (entry === undefined) return undefined;
    entry.isUsed = true;
    return entry.block;
  }

  /** Reads one data block into the cache; one read for all who ask at once. */
  loadBlock(number: number): Promise<DataBlock> {
    const loading = this.#loading.get(number);
    if (loading !== undefined) return loading;
    const loaded = this.#load(number).finally(() => this.#loading.delete(number));
    this.#loading.set(number, loaded);
    return loaded;
  }

  /** Reads data blocks `from` … `to` (included) by one read into the front of `buffer` if they fit, else into new memory. */
  async readBlocks(from: number, to: number, buffer?: Uint8Array): Promise<readonly DataBlock[]> {
    const [first, last] = [this.#index.entry(from), this.#index.entry(to)];
    const sizeBytes = (last.startBlock + last.lengthBlocks - first.startBlock) * BLOCK_BYTES;
    const fits = buffer !== undefined && buffer.length >= sizeBytes;
    const bytes = fits ? buffer.subarray(0, sizeBytes) : new Uint8Array(sizeBytes);
    await this.#device.read(blockOffset(this.ref.extent.start + BigInt(first.startBlock)), bytes);
    return Array.from({ length: to - from + 1 }, (_, index) => {
      const start = (this.#index.entry(from + index).startBlock - first.startBlock) * BLOCK_BYTES;
      return this.#verify(from + index, bytes, start);
    });
  }

  /** Puts a verified block into the cache. */
  keep(number: number, block: DataBlock): void {
    if (this.#isClosed || this.#cached[number] !== undefined) return;
    const entry: CachedBlock = {
      block,
      isUsed: false,
      evicted: () => {
        this.#cached[number] = undefined;
      },
    };
    if (this.#cache.insert(entry)) this.#cached[number] = entry;
  }

  /** Length of data block `number` in bytes. */
  blockBytes(number: number): number {
    return this.#index.entry(number).lengthBlocks * BLOCK_BYTES;
  }

  /** Gives its part of the cache back. Walks and lookups under way still end well. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cached.forEach((entry, number) => {
      if (entry !== undefined) this.#cache.remove(entry);
      this.#cached[number] = undefined;
    });
  }

  async #load(number: number): Promise<DataBlock> {
    const [block] = await this.readBlocks(number, number);
    this.keep(number, block as DataBlock);
    return block as DataBlock;
  }

  #verify(number: number, bytes: Uint8Array, start: number): DataBlock {
    const { startBlock, lengthBlocks, itemCount, checksum } = this.#index.entry(number);
    const end = start + lengthBlocks * BLOCK_BYTES;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
    const isWhole =
      crc32c(bytes, start, end) === checksum &&
      hasDataHeader(view, { segment: this.ref.id, number, itemCount });
    if (!isWhole) {
      throw new StaleSegmentError(`data block ${number} of segment ${this.ref.id} is not what was written`, {
        segment: this.ref.id,
        block: this.ref.extent.start + BigInt(startBlock),
      });
    }
    return new DataBlock(view, itemCount);
  }
}

function locateIn(block: DataBlock, probe: KeyProbe, position: ItemPosition): boolean {
  const row = block.lowerBound(probe.view, 0);
  if (row === block.itemCount || !block.holdsAt(row, probe.view, 0)) return false;
  block.pointAt(row, position);
  return true;
}

function itemAt(position: ItemPosition): SegmentItem {
  return { seq: seqAt(position), value: valueAt(position) };
}
