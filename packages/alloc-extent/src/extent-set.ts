/*
 * A set of blocks in memory, kept as extents that never touch: neighbours are one.
 *
 * Searches are O(log n) in the number of extents. A change moves the entries behind it, which for the thousands of
 * extents that a member or one commit deals with is a short move of memory; the millions of a whole volume belong
 * into FreeSpace. Copies share their entries until one of them changes, so a snapshot is O(1).
 */
import { ExtentError } from "./errors.ts";
import { type Extent, checkExtent, extentBetween, extentEnd } from "./extent.ts";

/** Blocks in memory. */
export class ExtentSet {
  // Two columns, sorted: extent i is the blocks from #starts[i] up to, not including, #ends[i].
  #starts: bigint[] = [];
  #ends: bigint[] = [];
  #blockCount = 0;
  #isShared = false;

  /** @throws {@link ExtentError} when two of the extents overlap or one is invalid. */
  constructor(extents: Iterable<Extent> = []) {
    for (const extent of extents) this.add(extent);
  }

  /** Blocks in the set. */
  get blockCount(): number {
    return this.#blockCount;
  }

  /** Extents in the set, neighbours counted as one. */
  get extentCount(): number {
    return this.#starts.length;
  }

  /** True when it holds the block. */
  has(block: bigint): boolean {
    const index = this.#indexAt(block);
    return index >= 0 && block < (this.#ends[index] as bigint);
  }

  /** True when it holds every block of the extent. */
  covers(extent: Extent): boolean {
    const index = this.#indexAt(extent.start);
    return index >= 0 && extentEnd(extent) <= (this.#ends[index] as bigint);
  }

  /** True when it holds a block of the extent. */
  overlaps(extent: Extent): boolean {
    const index = this.#indexAt(extentEnd(extent) - 1n);
    return index >= 0 && extent.start < (this.#ends[index] as bigint);
  }

  /**
   * Adds the blocks of an extent.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_OVERLAP` when it holds one of them: they were freed twice.
   */
  add(extent: Extent): void {
    checkExtent(extent);
    if (this.overlaps(extent))
      throw new ExtentError("ERR_HOLDFAST_EXTENT_OVERLAP", extent, "is there already, in part or whole");
    this.#unshare();
    const end = extentEnd(extent);
    const index = this.#indexAt(extent.start) + 1;
    const joinsLeft = index > 0 && this.#ends[index - 1] === extent.start;
    const joinsRight = this.#starts[index] === end;
    if (joinsLeft && joinsRight) {
      this.#ends.splice(index - 1, 1);
      this.#starts.splice(index, 1);
    } else if (joinsLeft) this.#ends[index - 1] = end;
    else if (joinsRight) this.#starts[index] = extent.start;
    else {
      this.#starts.splice(index, 0, extent.start);
      this.#ends.splice(index, 0, end);
    }
    this.#blockCount += extent.lengthBlocks;
  }

  /**
   * Removes the blocks of an extent.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_ABSENT` when it does not hold all of them.
   */
  remove(extent: Extent): void {
    checkExtent(extent);
    if (!this.covers(extent))
      throw new ExtentError("ERR_HOLDFAST_EXTENT_ABSENT", extent, "is not there, in part or whole");
    this.#unshare();
    const index = this.#indexAt(extent.start);
    const [start, end] = [this.#starts[index] as bigint, this.#ends[index] as bigint];
    const [cutStart, cutEnd] = [extent.start, extentEnd(extent)];
    if (start === cutStart && end === cutEnd) {
      this.#starts.splice(index, 1);
      this.#ends.splice(index, 1);
    } else if (start === cutStart) this.#starts[index] = cutEnd;
    else if (end === cutEnd) this.#ends[index] = cutStart;
    else {
      this.#starts.splice(index + 1, 0, cutEnd);
      this.#ends.splice(index, 0, cutStart);
    }
    this.#blockCount -= extent.lengthBlocks;
  }

  /** Takes out the lowest block, if there is one. */
  takeFirstBlock(): bigint | undefined {
    const block = this.#starts[0];
    if (block !== undefined) this.remove({ start: block, lengthBlocks: 1 });
    return block;
  }

  /** The parts of an extent that are not in the set, in order. */
  gapsIn(extent: Extent): readonly Extent[] {
    if (!this.overlaps(extent)) return [extent];
    const gaps: Extent[] = [];
    const end = extentEnd(extent);
    let position = extent.start;
    for (let index = Math.max(this.#indexAt(position), 0); index < this.#starts.length; index += 1) {
      const [start, stop] = [this.#starts[index] as bigint, this.#ends[index] as bigint];
      if (start >= end) break;
      if (start > position) gaps.push(extentBetween(position, start));
      if (stop > position) position = stop;
    }
    if (position < end) gaps.push(extentBetween(position, end));
    return gaps;
  }

  /** The smallest extent with at least `blocks` blocks, else the largest: O(n). Undefined when the set is empty. */
  bestFit(blocks: number): Extent | undefined {
    let best: Extent | undefined;
    for (const extent of this.extents()) {
      const [length, bestLength] = [extent.lengthBlocks, best?.lengthBlocks ?? 0];
      if (bestLength >= blocks ? length >= blocks && length < bestLength : length > bestLength) best = extent;
    }
    return best;
  }

  /** The extents in order. The set must not change meanwhile. */
  *extents(): Generator<Extent, void, void> {
    for (let index = 0; index < this.#starts.length; index += 1) {
      yield extentBetween(this.#starts[index] as bigint, this.#ends[index] as bigint);
    }
  }

  /** An independent copy, made in O(1); the first change of either costs O(n). */
  clone(): ExtentSet {
    const copy = new ExtentSet();
    copy.#starts = this.#starts;
    copy.#ends = this.#ends;
    copy.#blockCount = this.#blockCount;
    copy.#isShared = true;
    this.#isShared = true;
    return copy;
  }

  /** Index of the last extent that starts at or before the block; -1 when there is none. */
  #indexAt(block: bigint): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as bigint) <= block) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #unshare(): void {
    if (!this.#isShared) return;
    this.#starts = [...this.#starts];
    this.#ends = [...this.#ends];
    this.#isShared = false;
  }
}
