/*
 * A cache of data blocks with a limit in bytes, shared by any number of readers.
 *
 * Replacement is second chance (Corbató, 1968): a hit only sets a flag; when room is needed, the oldest block goes
 * unless its flag is set, which costs it the flag and sends it to the back of the queue.
 */
import type { DataBlock } from "./data-block.ts";

/** Default limit of a cache: 64 MiB. */
export const BLOCK_CACHE_BYTES = 67_108_864;

/** A block in the cache. */
export interface CachedBlock {
  readonly block: DataBlock;
  /** Set by every hit. */
  isUsed: boolean;
  /** Called when the block leaves the cache to make room. */
  readonly evicted: () => void;
}

/** The cache. */
export class BlockCache {
  /** Most bytes it holds. */
  readonly limitBytes: number;
  readonly #queue: Set<CachedBlock> = new Set();
  #usedBytes = 0;

  constructor(limitBytes: number = BLOCK_CACHE_BYTES) {
    this.limitBytes = limitBytes;
  }

  /** Bytes it holds now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes a block in; false when it is longer than the whole cache. */
  insert(entry: CachedBlock): boolean {
    const sizeBytes = entry.block.view.byteLength;
    if (sizeBytes > this.limitBytes) return false;
    for (const oldest of this.#queue) {
      if (this.#usedBytes + sizeBytes <= this.limitBytes) break;
      this.#queue.delete(oldest);
      if (oldest.isUsed) {
        oldest.isUsed = false;
        this.#queue.add(oldest);
      } else {
        this.#usedBytes -= oldest.block.view.byteLength;
        oldest.evicted();
      }
    }
    this.#queue.add(entry);
    this.#usedBytes += sizeBytes;
    return true;
  }

  /** Takes a block out without calling `evicted`. Idempotent. */
  remove(entry: CachedBlock): void {
    if (this.#queue.delete(entry)) this.#usedBytes -= entry.block.view.byteLength;
  }
}
