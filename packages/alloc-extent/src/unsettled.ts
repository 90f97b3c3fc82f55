/*
 * Blocks that wait for a commit.
 *
 * The last committed record may still reach a block that the tree being built has dropped; a crash before the next
 * record brings it back to life. So what is freed (or granted) while commit N is being prepared waits until the record
 * of commit N is durable. While that record is being written, changes go on, for commit N + 1: two generations.
 */
import { invariant } from "@holdfast/environment";
import { ExtentError } from "./errors.ts";
import type { Extent } from "./extent.ts";
import { ExtentSet } from "./extent-set.ts";

/** Two generations of blocks, of which the older is settled by the commit in flight. */
export class UnsettledBlocks {
  /** Came since the last `commitStarted`. */
  #pending: ExtentSet = new ExtentSet();
  /** Came before it; undefined when no commit is in flight. */
  #committing: ExtentSet | undefined;
  #commitCount = 0;

  /** Blocks that wait. */
  get blockCount(): number {
    return this.#pending.blockCount + (this.#committing?.blockCount ?? 0);
  }

  /** True when a block of the extent waits. */
  overlaps(extent: Extent): boolean {
    return this.#pending.overlaps(extent) || this.#committing?.overlaps(extent) === true;
  }

  /** The parts of an extent that do not wait, in order. */
  gapsIn(extent: Extent): readonly Extent[] {
    const gaps = this.#pending.gapsIn(extent);
    const committing = this.#committing;
    return committing === undefined ? gaps : gaps.flatMap((gap) => committing.gapsIn(gap));
  }

  /** @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_OVERLAP` when a block of it waits already. */
  add(extent: Extent): void {
    if (this.overlaps(extent))
      throw new ExtentError("ERR_HOLDFAST_EXTENT_OVERLAP", extent, "waits for a commit already");
    this.#pending.add(extent);
  }

  /** What came so far belongs to the commit that begins now. */
  commitStarted(): void {
    invariant(this.#committing === undefined, "one commit is in flight at a time");
    this.#committing = this.#pending;
    this.#pending = new ExtentSet();
    this.#commitCount += 1;
  }

  /** The record is durable: returns the blocks that wait no longer. */
  commitDone(): ExtentSet {
    const settled = this.#committing;
    invariant(settled !== undefined, "a commit that is done was started");
    this.#committing = undefined;
    return settled;
  }

  /** What waits for the next commit, to return to within the same commit; O(1). */
  snapshot(): UnsettledSnapshot {
    const [pending, committing, commitCount] = [this.#pending.clone(), this.#committing, this.#commitCount];
    return { pending, committing, commitCount };
  }

  /**
   * Forgets what came since the snapshot.
   *
   * @returns What was settled since: the commit that was in flight may have been done in the middle of a transaction
   * for the next, and stays done.
   */
  restore(snapshot: UnsettledSnapshot): ExtentSet {
    invariant(snapshot.commitCount === this.#commitCount, "no commit starts in the middle of a transaction");
    this.#pending = snapshot.pending.clone();
    return this.#committing === undefined && snapshot.committing !== undefined
      ? snapshot.committing
      : new ExtentSet();
  }
}

/** State of {@link UnsettledBlocks} within one commit. */
export interface UnsettledSnapshot {
  readonly pending: ExtentSet;
  /** What the commit in flight settles; never changed. */
  readonly committing: ExtentSet | undefined;
  readonly commitCount: number;
}
