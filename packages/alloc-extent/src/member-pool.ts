/*
 * The free blocks of one member, and what to ask the server for or to give back.
 *
 * Below the low mark the pool asks for more, above the high mark it gives back; between the two it talks to
 * nobody. At most one request is outstanding; whatever the answer is, a caller that still finds too little uses
 * what there is, so a server with only small extents left is not drained for one request.
 *
 * A member gives back only extents on which no I/O of its own is outstanding and which no committed state of its own
 * still needs: put an extent here after that commit, not before.
 */
import { invariant } from "@holdfast/environment";
import type { Extent } from "./extent.ts";
import { ExtentSet } from "./extent-set.ts";
import { MEMBER_GRANT_BLOCKS_MAX } from "./limits.ts";

/** When a pool asks and when it gives back, in blocks. */
export interface PoolMarks {
  /** With fewer than this it asks for more. */
  readonly lowBlocks: number;
  /** What is more than this it gives back. */
  readonly highBlocks: number;
  /** How many it asks for. */
  readonly refillBlocks: number;
}

/** Four segments of 4 MiB at least, 256 MiB at most, 64 MiB at a time. */
export const DEFAULT_POOL_MARKS: PoolMarks = {
  lowBlocks: 4096,
  highBlocks: MEMBER_GRANT_BLOCKS_MAX,
  refillBlocks: 16_384,
};

/** A member's own free blocks, in memory. */
export class MemberPool {
  readonly #marks: PoolMarks;
  readonly #free: ExtentSet = new ExtentSet();
  #isAsking = false;

  /** @throws RangeError when a refill from below the low mark could exceed the high mark. */
  constructor(marks: PoolMarks = DEFAULT_POOL_MARKS) {
    if (
      marks.lowBlocks < 0 ||
      marks.refillBlocks < 1 ||
      marks.lowBlocks + marks.refillBlocks > marks.highBlocks
    )
      throw new RangeError("low mark and refill together must not exceed the high mark");
    this.#marks = marks;
  }

  /** Blocks in the pool. */
  get freeBlocks(): number {
    return this.#free.blockCount;
  }

  /** The extents in the pool, in order. */
  extents(): readonly Extent[] {
    return [...this.#free.extents()];
  }

  /**
   * Takes an extent of at most `blocks`: from the smallest that is long enough, else the longest. Callers use the
   * length they got. Undefined when the pool is empty.
   */
  take(blocks: number): Extent | undefined {
    if (!Number.isSafeInteger(blocks) || blocks < 1) throw new RangeError(`${blocks} blocks cannot be taken`);
    const found = this.#free.bestFit(blocks);
    if (found === undefined) return undefined;
    const taken = { start: found.start, lengthBlocks: Math.min(found.lengthBlocks, blocks) };
    this.#free.remove(taken);
    return taken;
  }

  /** Puts an extent in. @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_OVERLAP` when a block of it is here. */
  put(extent: Extent): void {
    this.#free.add(extent);
  }

  /**
   * How many blocks to ask the server for now; 0 for none, or while an answer is outstanding. Whoever gets a number
   * asks, and tells {@link answered}.
   *
   * @param wantedBlocks - Length of one extent that is needed, if one is.
   */
  ask(wantedBlocks = 0): number {
    if (this.#isAsking) return 0;
    const isShort = (this.#free.bestFit(wantedBlocks)?.lengthBlocks ?? 0) < wantedBlocks;
    if (!isShort && this.freeBlocks >= this.#marks.lowBlocks) return 0;
    this.#isAsking = true;
    return Math.max(this.#marks.refillBlocks, wantedBlocks);
  }

  /** The server's answer to {@link ask}: an extent, or undefined when it had none or the request failed. */
  answered(extent: Extent | undefined): void {
    invariant(this.#isAsking, "an answer follows a request");
    this.#isAsking = false;
    if (extent !== undefined) this.#free.add(extent);
  }

  /**
   * Takes out an extent to give back to the server, the smallest first; undefined when the pool is not above its high
   * mark. If the server did not take it, {@link put} it back.
   */
  giveBack(): Extent | undefined {
    const excess = this.freeBlocks - this.#marks.highBlocks;
    if (excess <= 0) return undefined;
    const smallest = this.#free.bestFit(1);
    invariant(smallest !== undefined, "a pool above its mark is not empty");
    const given = { start: smallest.start, lengthBlocks: Math.min(smallest.lengthBlocks, excess) };
    this.#free.remove(given);
    return given;
  }

  /** Takes out everything: what a member that leaves gives back. */
  drain(): readonly Extent[] {
    const all = this.extents();
    for (const extent of all) this.#free.remove(extent);
    return all;
  }
}
