/*
 * A walk over the items of one segment.
 *
 * The range is turned into rows once per data block, so a step inside a block compares nothing.
 */
import type { Key, KeyRange } from "@holdfast/wire-format";
import { type ItemPosition, type PositionedCursor, keyAt, noPosition, seqAt, valueAt } from "./cursor.ts";
import type { DataBlock } from "./data-block.ts";
import { DATA_BLOCK_BYTES } from "./format.ts";
import { KeyProbe } from "./key-probe.ts";
import type { SegmentIndex } from "./segment-index.ts";

/** Bytes that one read of a long walk fetches at most. */
export const READ_AHEAD_BYTES = 262_144;

/** Bytes that one read of a merge fetches. */
export const STREAM_READ_BYTES = 524_288;

/** Reads data blocks; what a cursor needs of a reader. */
export interface BlockReader {
  readonly blockCount: number;
  blockBytes(number: number): number;
  cachedBlock(number: number): DataBlock | undefined;
  loadBlock(number: number): Promise<DataBlock>;
  readBlocks(from: number, to: number, buffer?: Uint8Array): Promise<readonly DataBlock[]>;
  keep(number: number, block: DataBlock): void;
}

/** Where a cursor gets its data blocks from. */
export interface BlockSource {
  /** The block if it is at hand. */
  peek(number: number): DataBlock | undefined;
  /** Fetches the block; the next ones to `limit` in the direction of the walk may be fetched with it. */
  load(number: number, limit: number): Promise<DataBlock>;
}

/** Blocks through the cache; reads grow while the walk goes on, one block at first. */
export class CachedBlocks implements BlockSource {
  readonly #reader: BlockReader;
  readonly #isReverse: boolean;
  #aheadCount = 1;
  /** What the last read brought, lest a full cache has let it go when the walk gets there. */
  #from = 0;
  #ahead: readonly DataBlock[] = [];

  constructor(reader: BlockReader, isReverse: boolean) {
    this.#reader = reader;
    this.#isReverse = isReverse;
  }

  peek(number: number): DataBlock | undefined {
    return this.#ahead[number - this.#from] ?? this.#reader.cachedBlock(number);
  }

  async load(number: number, limit: number): Promise<DataBlock> {
    const reader = this.#reader;
    const count = Math.min(this.#aheadCount, Math.abs(limit - number) + 1);
    this.#aheadCount = Math.min(2 * this.#aheadCount, READ_AHEAD_BYTES / DATA_BLOCK_BYTES);
    if (count === 1) return reader.loadBlock(number);
    const [from, to] = this.#isReverse ? [number - count + 1, number] : [number, number + count - 1];
    const blocks = await reader.readBlocks(from, to);
    blocks.forEach((block, index) => reader.keep(from + index, block.copy()));
    this.#from = from;
    this.#ahead = blocks;
    // Present: `number` lies in from … to.
    return blocks[number - from] as DataBlock;
  }
}

/** Blocks past the cache, forward, by large reads into one buffer that is used again. */
export class StreamedBlocks implements BlockSource {
  readonly #reader: BlockReader;
  #buffer: Uint8Array | undefined;
  #from = 0;
  #blocks: readonly DataBlock[] = [];

  constructor(reader: BlockReader) {
    this.#reader = reader;
  }

  peek(number: number): DataBlock | undefined {
    return this.#blocks[number - this.#from];
  }

  async load(number: number, limit: number): Promise<DataBlock> {
    let sizeBytes = this.#reader.blockBytes(number);
    let to = number;
    while (to < limit && sizeBytes + this.#reader.blockBytes(to + 1) <= STREAM_READ_BYTES) {
      to += 1;
      sizeBytes += this.#reader.blockBytes(to);
    }
    if (this.#buffer === undefined || this.#buffer.length < sizeBytes)
      this.#buffer = new Uint8Array(sizeBytes);
    // The buffer is overwritten from here on, also when the read fails.
    this.#blocks = [];
    this.#blocks = await this.#reader.readBlocks(number, to, this.#buffer);
    this.#from = number;
    return this.#blocks[0] as DataBlock;
  }
}

/** The walk. */
export class SegmentCursor implements PositionedCursor {
  readonly position: ItemPosition = noPosition();
  readonly #source: BlockSource;
  readonly #range: { readonly start: DataView; readonly end: DataView };
  readonly #isReverse: boolean;
  /** Data blocks that hold the range's ends; `#lowest` > `#highest` when the range is empty. */
  readonly #lowest: number;
  readonly #highest: number;
  #block: DataBlock | undefined;
  #nextBlock: number;
  /** Rows of the block that are left: from #row on, #left of them. */
  #row = 0;
  #left = 0;

  constructor(index: SegmentIndex, range: KeyRange, isReverse: boolean, source: BlockSource) {
    this.#source = source;
    this.#isReverse = isReverse;
    this.#range = { start: new KeyProbe(range.start).view, end: new KeyProbe(range.end).view };
    this.#lowest = Math.max(0, index.blockOf(this.#range.start));
    this.#highest = index.blockOf(this.#range.end);
    this.#nextBlock = isReverse ? this.#highest : this.#lowest;
  }

  get key(): Key {
    return keyAt(this.position);
  }

  get seq(): bigint {
    return seqAt(this.position);
  }

  get value(): Uint8Array | undefined {
    return valueAt(this.position);
  }

  nextSync(): boolean | undefined {
    while (this.#left === 0) {
      if (this.#nextBlock < this.#lowest || this.#nextBlock > this.#highest) return false;
      const block = this.#source.peek(this.#nextBlock);
      if (block === undefined) return undefined;
      this.#enter(block);
    }
    // Set: rows are left only after a block was entered.
    (this.#block as DataBlock).pointAt(this.#row, this.position);
    this.#row += this.#isReverse ? -1 : 1;
    this.#left -= 1;
    return true;
  }

  async next(): Promise<boolean> {
    for (;;) {
      const hasItem = this.nextSync();
      if (hasItem !== undefined) return hasItem;
      const limit = this.#isReverse ? this.#lowest : this.#highest;
      // Entered at once: the cache may have let it go by the time somebody looks.
      this.#enter(await this.#source.load(this.#nextBlock, limit));
    }
  }

  #enter(block: DataBlock): void {
    const number = this.#nextBlock;
    const { start, end } = this.#range;
    const from = number === this.#lowest ? block.lowerBound(start, 0) : 0;
    const to = number === this.#highest ? block.upperBound(end, 0) : block.itemCount;
    this.#block = block;
    this.#left = Math.max(0, to - from);
    this.#row = this.#isReverse ? to - 1 : from;
    this.#nextBlock += this.#isReverse ? -1 : 1;
  }
}
