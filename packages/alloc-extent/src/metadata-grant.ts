/*
 * The blocks a server may write metadata to.
 *
 * Grant, commit, then use: a server writes only to extents that one of its own committed records grants to it. A server
 * that was deposed without noticing can then write nowhere but into blocks that its successor leaves alone. And
 * nothing that a committed record reaches is overwritten: a block that this commit frees is used again only when the
 * commit is recorded, and only if it is one of our own grants. A predecessor's block stays in quarantine with the
 * rest of its grants, for a late write of that server may still arrive.
 *
 * This is where the trees of the metadata get their blocks, the free-space tree included (see free-space.ts).
 */
import { type BrokenRules, NO_BROKEN_RULES } from "@holdfast/environment";
import { ExtentError, GrantExhaustedError } from "./errors.ts";
import { type Extent, checkExtent } from "./extent.ts";
import { ExtentSet } from "./extent-set.ts";
import { UnsettledBlocks, type UnsettledSnapshot } from "./unsettled.ts";

/** Name of the rule that a test run may break: metadata goes only to what a committed record grants. */
const RULE = "metadata-outside-grant";
const REUSE_RULE = "freed-nodes-wait";

/** A grant at one moment within one commit, for {@link MetadataGrant.restore}; opaque. */
export interface MetadataGrantSnapshot {
  readonly grants: ExtentSet;
  readonly available: ExtentSet;
  readonly unsettled: UnsettledSnapshot;
}

/** The grants of one server in one term. A new term begins with none. */
export class MetadataGrant {
  readonly #isRuleBroken: boolean;
  readonly #isReuseHasty: boolean;
  readonly #unsettled: UnsettledBlocks = new UnsettledBlocks();
  #grants: ExtentSet = new ExtentSet();
  #available: ExtentSet = new ExtentSet();

  constructor(brokenRules: BrokenRules = NO_BROKEN_RULES) {
    this.#isRuleBroken = brokenRules.has(RULE);
    this.#isReuseHasty = brokenRules.has(REUSE_RULE);
  }

  /** Blocks that can be allocated now. */
  get availableBlocks(): number {
    return this.#available.blockCount;
  }

  /** Blocks that become available with commits begun or to be begun. */
  get pendingBlocks(): number {
    return this.#unsettled.blockCount;
  }

  /** Blocks granted in this term, whatever their use. */
  get grantedBlocks(): number {
    return this.#grants.blockCount;
  }

  /** Everything granted in this term: what the record being prepared lists, so that a successor can quarantine it. */
  grants(): readonly Extent[] {
    return [...this.#grants.extents()];
  }

  /** True if a block is granted in this term, whatever its use. */
  holds(block: bigint): boolean {
    return this.#grants.has(block);
  }

  /** What is granted and unused: what a server that leaves cleanly may hand over. */
  unused(): readonly Extent[] {
    return [...this.#available.extents()];
  }

  /**
   * Takes unused blocks out of the grants, for good: what a server that leaves gives back to free space.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_ABSENT` when a block of it is in use, or no grant of ours.
   */
  giveUp(extent: Extent): void {
    this.#available.remove(extent);
    this.#grants.remove(extent);
  }

  /**
   * Adds an extent that was taken out of free space in the commit being prepared; usable when that is recorded.
   *
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_OVERLAP` when a block of it is granted already;
   * `ERR_HOLDFAST_EXTENT_INVALID`.
   */
  addGrant(extent: Extent): void {
    checkExtent(extent);
    this.#grants.add(extent);
    if (this.#isRuleBroken) this.#available.add(extent);
    else this.#unsettled.add(extent);
  }

  /**
   * The lowest block that is available.
   *
   * @throws {@link GrantExhaustedError} `ERR_HOLDFAST_GRANT_EXHAUSTED`; compare {@link availableBlocks} with what a
   * flush needs before it begins.
   */
  allocate(): bigint {
    const block = this.#available.takeFirstBlock();
    if (block === undefined) throw new GrantExhaustedError(this.grantedBlocks, this.pendingBlocks);
    return block;
  }

  /**
   * Takes back a block that the commit being prepared no longer reaches; available when that is recorded.
   *
   * @returns False when it is not one of our grants and stays in quarantine.
   * @throws {@link ExtentError} `ERR_HOLDFAST_EXTENT_OVERLAP` when it is not in use: freed twice.
   */
  free(block: bigint): boolean {
    if (!this.#grants.has(block)) return false;
    const extent = { start: block, lengthBlocks: 1 };
    if (this.#available.has(block))
      throw new ExtentError("ERR_HOLDFAST_EXTENT_OVERLAP", extent, "is freed twice");
    if (this.#isReuseHasty) this.#available.add(extent);
    else this.#unsettled.add(extent);
    return true;
  }

  /** The record of the commit that was prepared is about to be written. */
  commitStarted(): void {
    this.#unsettled.commitStarted();
  }

  /** The record is durable. */
  commitDone(): void {
    for (const extent of this.#unsettled.commitDone().extents()) this.#available.add(extent);
  }

  /** Everything now, to return to within the same commit; O(1). */
  snapshot(): MetadataGrantSnapshot {
    return {
      grants: this.#grants.clone(),
      available: this.#available.clone(),
      unsettled: this.#unsettled.snapshot(),
    };
  }

  /**
   * Makes everything what it was; what a commit has settled meanwhile stays settled. Not possible once a commit has
   * started since, and wrong after a flush that failed: its writes may still arrive, so the blocks it took are lost
   * for this term.
   */
  restore(snapshot: MetadataGrantSnapshot): void {
    const settled = this.#unsettled.restore(snapshot.unsettled);
    this.#grants = snapshot.grants.clone();
    this.#available = snapshot.available.clone();
    for (const extent of settled.extents()) this.#available.add(extent);
  }
}
