/*
 * The free blocks of a volume, in a copy-on-write tree.
 *
 * When a block may be handed out. An extent that is given back enters the tree at once, and so the record of the commit
 * being prepared: a crash cannot leak it. But the last record may still reach it, so until that commit is recorded
 * it is *unsettled*: free, counted, and not handed out. The set of unsettled blocks is in memory alone; a successor
 * needs none, because whatever the tree of a committed record holds is settled by that record.
 *
 * No recursion. The tree is itself made of blocks, and changing it takes and frees some. Those come from a MetadataGrant,
 * never from here: a grant is an extent that was allocated here in an earlier commit. So a flush of this tree
 * changes nothing in it, and `dirtyNodeCount` says before the flush how many granted blocks it takes.
 *
 * What is handed out. The smallest free extent with a settled run of the wanted length; else the longest settled
 * run there is. Among extents of equal length, and within an extent, the first choice is at the cursor, which moves
 * behind each allocation and wraps at the end: free blocks are used again as late as possible, so that readers of older
 * roots seldom meet a block that was used again.
 *
 * Cost: O(log n) tree steps, plus one step per extent with unsettled blocks that an allocation must pass over.
 * One operation at a time; each is atomic, on an error nothing has changed.
 */
import type { BTree, TreeSnapshot } from "@holdfast/btree";
import { invariant } from "@holdfast/environment";
import { type StructCodec, struct, u53, u64 } from "@holdfast/wire-format";
import { ExtentError, FreeSpaceCorruptError } from "./errors.ts";
import { type Extent, checkExtent, extentBetween, extentCovers, extentEnd } from "./extent.ts";
import {
  LAST_BLOCK,
  NO_VALUE,
  extentByLength,
  extentByStart,
  lengthKey,
  startKey,
  startValue,
} from "./free-space-keys.ts";
import { UnsettledBlocks, type UnsettledSnapshot } from "./unsettled.ts";

/** What a record keeps of free space beside the tree's root. */
export interface FreeSpaceCounters {
  /** Blocks in the tree. */
  readonly freeBlocks: number;
  /** Extents in the tree. */
  readonly extentCount: number;
  /** Where the next allocation looks first. */
  readonly cursor: bigint;
}

/** Layout of {@link FreeSpaceCounters}. */
export const FreeSpaceCounters: StructCodec<FreeSpaceCounters> = struct("FreeSpaceCounters", {
  freeBlocks: u53,
  extentCount: u53,
  cursor: u64,
});

/** Counters of an empty tree. */
export const NO_FREE_SPACE: FreeSpaceCounters = { freeBlocks: 0, extentCount: 0, cursor: 0n };

/** Free space at one moment within one commit, for {@link FreeSpace.restore}; opaque. */
export interface FreeSpaceSnapshot {
  readonly tree: TreeSnapshot;
  readonly counters: FreeSpaceCounters;
  readonly unsettled: UnsettledSnapshot;
}

/** A free extent and the run of it that an allocation would get. */
interface Candidate {
  readonly extent: Extent;
  readonly run: Extent;
}

/** The server's allocator. */
export class FreeSpace {
  readonly #tree: BTree;
  readonly #bounds: Extent;
  readonly #unsettled: UnsettledBlocks = new UnsettledBlocks();
  #counters: FreeSpaceCounters;
  #isBusy = false;

  /**
   * @param tree - The tree of a committed record; nobody else changes it.
   * @param bounds - The blocks of the volume that are managed here; anything else is refused.
   * @param counters - The counters of the same record; {@link NO_FREE_SPACE} for an empty tree.
   */
  constructor(tree: BTree, bounds: Extent, counters: FreeSpaceCounters) {
    checkExtent(bounds);
    this.#tree = tree;
    this.#bounds = bounds;
    this.#counters = counters;
  }

  /** What the record of the commit being prepared keeps beside the tree's root. */
  get counters(): FreeSpaceCounters {
    return this.#counters;
  }

  /** Free blocks, the unsettled included. */
  get freeBlocks(): number {
    return this.#counters.freeBlocks;
  }

  /** Free blocks that become allocatable only with a commit. */
  get unsettledBlocks(): number {
    return this.#unsettled.blockCount;
  }

  /**
   * Takes blocks out of free space. They may be used once the commit that takes them is recorded.
   *
   * @param blocks - How many are wanted, at least 1.
   * @returns An extent of at most that length: callers use the length they got. Undefined when nothing is settled
   * and free; then a commit may help.
   * @throws RangeError when `blocks` is no positive integer; whatever reading the tree throws.
   */
  allocate(blocks: number): Promise<Extent | undefined> {
    if (!Number.isSafeInteger(blocks) || blocks < 1)
      throw new RangeError(`${blocks} blocks cannot be allocated`);
    return this.#atomically(async () => {
      const found = await this.#find(blocks);
      if (found === undefined) return undefined;
      const run = { start: found.run.start, lengthBlocks: Math.min(found.run.lengthBlocks, blocks) };
      await this.#cut(found.extent, run);
      const end = extentEnd(run);
      const cursor = end < extentEnd(this.#bounds) ? end : this.#bounds.start;
      this.#counters = { ...this.#counters, cursor };
      return run;
    });
  }

  /**
   * Gives blocks back; they are allocatable after the commit being prepared.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_INVALID` outside the bounds, `ERR_HOLDFAST_EXTENT_OVERLAP` when
   * a block is free already; whatever reading the tree throws.
   */
  add(extent: Extent): Promise<void> {
    return this.#atomically(async () => {
      checkExtent(extent, this.#bounds);
      const left = extentByStart(await this.#tree.floor(startKey(extentEnd(extent) - 1n)));
      if (left !== undefined && extentEnd(left) > extent.start)
        throw new ExtentError(
          "ERR_HOLDFAST_EXTENT_OVERLAP",
          extent,
          `is free already, from block ${left.start} on`,
        );
      const right = extentByStart(await this.#tree.ceiling(startKey(extentEnd(extent))));
      let union = extent;
      if (left !== undefined && extentEnd(left) === extent.start) {
        await this.#delete(left);
        union = extentBetween(left.start, extentEnd(union));
      }
      if (right !== undefined && right.start === extentEnd(extent)) {
        await this.#delete(right);
        union = extentBetween(union.start, extentEnd(right));
      }
      await this.#insert(union);
      this.#unsettled.add(extent);
    });
  }

  /**
   * Takes exactly these blocks out of free space.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_ABSENT` when one of them is not free, or not settled;
   * `ERR_HOLDFAST_EXTENT_INVALID`; whatever reading the tree throws.
   */
  remove(extent: Extent): Promise<void> {
    return this.#atomically(async () => {
      checkExtent(extent, this.#bounds);
      const outer = extentByStart(await this.#tree.floor(startKey(extent.start)));
      if (outer === undefined || !extentCovers(outer, extent))
        throw new ExtentError("ERR_HOLDFAST_EXTENT_ABSENT", extent, "is not free, in part or whole");
      if (this.#unsettled.overlaps(extent))
        throw new ExtentError("ERR_HOLDFAST_EXTENT_ABSENT", extent, "is free, but waits for a commit");
      await this.#cut(outer, extent);
    });
  }

  /** The tree is flushed and its root goes into a record: what comes from now on belongs to the commit after it. */
  commitStarted(): void {
    this.#unsettled.commitStarted();
  }

  /** The record is durable: what was given back before {@link commitStarted} is allocatable. */
  commitDone(): void {
    this.#unsettled.commitDone();
  }

  /** Everything now, to return to within the same commit; O(1). */
  snapshot(): FreeSpaceSnapshot {
    return { tree: this.#tree.snapshot(), counters: this.#counters, unsettled: this.#unsettled.snapshot() };
  }

  /** Makes everything what it was, the tree included; O(1). Not possible once a commit has started since. */
  restore(snapshot: FreeSpaceSnapshot): void {
    invariant(!this.#isBusy, "free space is not restored in the middle of an operation");
    this.#unsettled.restore(snapshot.unsettled);
    this.#tree.restore(snapshot.tree);
    this.#counters = snapshot.counters;
  }

  /** The free extents in the order of their blocks, the unsettled included. */
  async *extents(): AsyncGenerator<Extent, void, void> {
    for await (const entry of this.#tree.scan({ from: startKey(0n), to: startKey(LAST_BLOCK) })) {
      const extent = extentByStart(entry);
      if (extent !== undefined) yield extent;
    }
  }

  /**
   * Reads everything and checks that both orders and the counters agree.
   *
   * @throws {@link FreeSpaceCorruptError} `ERR_HOLDFAST_FREE_SPACE_CORRUPT`
   */
  async verify(): Promise<void> {
    let [freeBlocks, extentCount, lengthCount, end] = [0, 0, 0, this.#bounds.start - 1n];
    for await (const entry of this.#tree.scan()) {
      const extent = extentByStart(entry);
      if (extent === undefined) {
        if (extentByLength(entry) === undefined) throw new FreeSpaceCorruptError("an entry of neither order");
        lengthCount += 1;
        continue;
      }
      const where = `the extent at ${extent.start}`;
      if (extent.start <= end) throw new FreeSpaceCorruptError(`${where} overlaps or touches the one before`);
      if (!extentCovers(this.#bounds, extent)) throw new FreeSpaceCorruptError(`${where} is out of bounds`);
      if ((await this.#tree.get(lengthKey(extent.lengthBlocks, extent.start))) === undefined)
        throw new FreeSpaceCorruptError(`${where} is missing in the order of lengths`);
      freeBlocks += extent.lengthBlocks;
      extentCount += 1;
      end = extentEnd(extent);
    }
    if (lengthCount !== extentCount)
      throw new FreeSpaceCorruptError(`${extentCount} extents by start, ${lengthCount} by length`);
    const counted = this.#counters;
    if (extentCount !== counted.extentCount || freeBlocks !== counted.freeBlocks) {
      const said = `counted ${counted.freeBlocks} in ${counted.extentCount}`;
      throw new FreeSpaceCorruptError(`${freeBlocks} blocks in ${extentCount} extents, ${said}`);
    }
  }

  /** The smallest extent with a settled run of `blocks`; else the longest settled run. */
  async #find(blocks: number): Promise<Candidate | undefined> {
    let best: Candidate | undefined;
    const first = await this.#firstStart();
    let shortest = extentByLength(await this.#tree.ceiling(lengthKey(blocks, 0n)));
    while (shortest !== undefined) {
      const { lengthBlocks } = shortest;
      for (const [from, to] of [[first, LAST_BLOCK] as const, [0n, first - 1n] as const]) {
        if (to < from) continue;
        const range = { from: lengthKey(lengthBlocks, from), to: lengthKey(lengthBlocks, to) };
        for await (const entry of this.#tree.scan(range)) {
          best = longer(best, this.#candidate(extentByLength(entry), blocks));
          if (best !== undefined && best.run.lengthBlocks >= blocks) return best;
        }
      }
      shortest = extentByLength(await this.#tree.ceiling(lengthKey(lengthBlocks + 1, 0n)));
    }
    const shorter = { from: lengthKey(0, 0n), to: lengthKey(blocks - 1, LAST_BLOCK), isReverse: true };
    for await (const entry of this.#tree.scan(shorter)) {
      const extent = extentByLength(entry);
      if (extent === undefined || extent.lengthBlocks <= (best?.run.lengthBlocks ?? 0)) break;
      best = longer(best, this.#candidate(extent, blocks));
    }
    return best;
  }

  /** Start of the free extent that the cursor is in; the cursor itself when it is in none. */
  async #firstStart(): Promise<bigint> {
    const { cursor } = this.#counters;
    const extent = extentByStart(await this.#tree.floor(startKey(cursor)));
    return extent !== undefined && extentEnd(extent) > cursor ? extent.start : cursor;
  }

  /** The settled run of an extent that serves best: of the wanted length from the cursor on, of it at all, the longest. */
  #candidate(extent: Extent | undefined, blocks: number): Candidate | undefined {
    if (extent === undefined) return undefined;
    const { cursor } = this.#counters;
    let best: Extent | undefined;
    for (const run of this.#unsettled.gapsIn(extent)) {
      const end = extentEnd(run);
      const behind = cursor > run.start && cursor < end ? extentBetween(cursor, end) : run;
      if (behind.start >= cursor && behind.lengthBlocks >= blocks) return { extent, run: behind };
      const isLonger = best === undefined || run.lengthBlocks > best.lengthBlocks;
      if (isLonger && (best === undefined || best.lengthBlocks < blocks)) best = run;
    }
    return best === undefined ? undefined : { extent, run: best };
  }

  async #cut(outer: Extent, inner: Extent): Promise<void> {
    await this.#delete(outer);
    if (outer.start < inner.start) await this.#insert(extentBetween(outer.start, inner.start));
    if (extentEnd(inner) < extentEnd(outer))
      await this.#insert(extentBetween(extentEnd(inner), extentEnd(outer)));
  }

  // The counters change in these two places and nowhere else.

  async #insert(extent: Extent): Promise<void> {
    await this.#tree.put(startKey(extent.start), startValue(extent));
    await this.#tree.put(lengthKey(extent.lengthBlocks, extent.start), NO_VALUE);
    this.#count(extent.lengthBlocks, 1);
  }

  async #delete(extent: Extent): Promise<void> {
    const isByStart = await this.#tree.delete(startKey(extent.start));
    const isByLength = await this.#tree.delete(lengthKey(extent.lengthBlocks, extent.start));
    if (!isByStart || !isByLength)
      throw new FreeSpaceCorruptError(`the extent at ${extent.start} stands in one order alone`);
    this.#count(-extent.lengthBlocks, -1);
  }

  #count(blocks: number, extents: number): void {
    const freeBlocks = this.#counters.freeBlocks + blocks;
    const extentCount = this.#counters.extentCount + extents;
    if (freeBlocks < 0 || extentCount < 0)
      throw new FreeSpaceCorruptError("the counters say less than the tree holds");
    this.#counters = { ...this.#counters, freeBlocks, extentCount };
  }

  async #atomically<T>(change: () => Promise<T>): Promise<T> {
    invariant(!this.#isBusy, "free space has one operation at a time");
    this.#isBusy = true;
    const [tree, counters] = [this.#tree.snapshot(), this.#counters];
    try {
      return await change();
    } catch (error) {
      this.#tree.restore(tree);
      this.#counters = counters;
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }
}

function longer(a: Candidate | undefined, b: Candidate | undefined): Candidate | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.run.lengthBlocks > a.run.lengthBlocks ? b : a;
}
