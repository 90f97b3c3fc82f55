/*
 * The metadata of a volume in the hands of its server: four trees, the free space, and the blocks that the
 * server may write metadata to.
 *
 * The rule (architecture 4): a node is written only to a block that an earlier committed record granted to this
 * server. So an extent taken for metadata in one commit is used from the next on, and enough of it is always
 * taken ahead. The opening commit touches no tree: it takes one of the spares that former commits set aside.
 */
import {
  type Extent,
  FreeSpace,
  type FreeSpaceSnapshot,
  isQuarantineAlarming,
  MetadataGrant,
  type QuarantineEntry,
  quarantineEntry,
  quarantineKey,
  quarantineRange,
  quarantineValue,
  quarantineWith,
  quarantineWithout,
  SERVER_GRANT_BLOCKS_MAX,
} from "@holdfast/alloc-extent";
import { BTree, NodeCache, type TreeSnapshot } from "@holdfast/btree";
import { Manifest } from "@holdfast/compaction";
import { type BlockDevice, type BrokenRules, HoldfastError, invariant } from "@holdfast/environment";
import type { BlockRef } from "@holdfast/wire-format";
import { NodeBatch, NodeStore } from "../volume/node-store.ts";
import type { VolumeSizes } from "../volume/sizes.ts";
import { METADATA_GRANTS_MAX, SPARES_MAX, VolumeState } from "../volume/volume-state.ts";
import { NO_EVIDENCE, UNKNOWN_OWNER } from "./fencing/owner-record.ts";
import { MemberRecords } from "./member-records.ts";

/** What the trees stand on. */
export interface VolumeTreesOptions {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** The server. */
  readonly rid: bigint;
  readonly term: bigint;
  /** The blocks of the volume that belong to extents. */
  readonly data: Extent;
  /** How much is granted and set aside at a time, and what data does not get. */
  readonly sizes: Pick<VolumeSizes, "grantBlocks" | "reserveBlocks">;
  readonly brokenRules: BrokenRules;
}

/** Everything a failed change puts back. */
export interface VolumeTreesSnapshot {
  readonly trees: readonly TreeSnapshot[];
  readonly free: FreeSpaceSnapshot;
  readonly state: VolumeState;
}

/** Codes of {@link NoSpaceError}. */
export type NoSpaceErrorCode = "ERR_HOLDFAST_NO_SPACE" | "ERR_HOLDFAST_SPACE_QUARANTINED";

/** No block is left where this was to be written. */
export class NoSpaceError extends HoldfastError<NoSpaceErrorCode, { readonly blocks: number }> {
  /** @param code - `ERR_HOLDFAST_SPACE_QUARANTINED` when it is the quarantine that holds much of the volume. */
  constructor(blocks: number, what: string, code: NoSpaceErrorCode = "ERR_HOLDFAST_NO_SPACE") {
    const remedy =
      code === "ERR_HOLDFAST_NO_SPACE"
        ? "delete data, or release quarantined space"
        : 'dead members may still write to much of it: confirm their end with "holdfast fence"';
    super(code, "retry", `the volume has no ${blocks} free blocks for ${what}: ${remedy}`, { blocks });
  }
}

/**
 * In the quarantine, the owner of blocks that nobody can write to any more, but that trees reached when that was found
 * out. No member has this rid.
 */
export const NOBODY = 0n;

/** Nodes kept in memory over all trees of a server, about 4 KiB each. */
const NODE_CACHE_COUNT = 4096;

/** Nodes that taking the next grant may change, beside those that have changed already. */
const GRANT_AHEAD_NODES = 8;

/** Blocks kept for the last commit of a server: more than what giving extents back can dirty. */
const RESIGNING_BLOCKS = 24;

/** Runs of unused blocks below which giving them back is not worth an entry. */
const GIVEN_BACK_BLOCKS_MIN = 16;

/** The trees of one server. */
export class VolumeTrees {
  readonly members: MemberRecords;
  readonly manifest: Manifest;
  readonly free: FreeSpace;
  readonly #options: VolumeTreesOptions;
  readonly #trees: {
    readonly free: BTree;
    readonly manifest: BTree;
    readonly members: BTree;
    readonly quarantine: BTree;
  };
  readonly #metadata: MetadataGrant;
  #state: VolumeState;
  #isStateDirty = false;
  #seq = 1n;
  #isResigning = false;
  #droppedElsewhere = 0;

  constructor(options: VolumeTreesOptions, opened: VolumeState) {
    const { device, fsid, data, brokenRules } = options;
    this.#options = options;
    this.#state = opened;
    const reader = new NodeStore(device, fsid);
    const cache = new NodeCache(NODE_CACHE_COUNT);
    const open = (root: BlockRef): BTree => new BTree(root, reader, { cache });
    this.#trees = {
      free: open(opened.freeRoot),
      manifest: open(opened.manifestRoot),
      members: open(opened.membersRoot),
      quarantine: open(opened.quarantineRoot),
    };
    this.members = new MemberRecords(this.#trees.members);
    this.manifest = new Manifest(this.#trees.manifest);
    this.free = new FreeSpace(this.#trees.free, data, opened.free);
    this.#metadata = new MetadataGrant(brokenRules);
    for (const extent of opened.metadataGrants) this.#metadata.addGrant(extent);
    this.#metadata.commitStarted();
    this.#metadata.commitDone();
  }

  /** The state as it would be committed, but for roots of trees that have changed. */
  get state(): VolumeState {
    return this.#state;
  }

  /** Changes counters and lists of the state. */
  amend(change: Partial<VolumeState>): void {
    this.#state = { ...this.#state, ...change };
    this.#isStateDirty = true;
  }

  /**
   * Makes sure that a commit could hold what has changed.
   *
   * @throws RangeError when the state does not fit a record.
   * @throws {@link NoSpaceError} `ERR_HOLDFAST_NO_SPACE` when more nodes have changed than blocks are granted for them.
   */
  checkFits(): void {
    if (this.#isStateDirty) VolumeState.encode(this.#state);
    const needed = this.#dirtyNodes + GRANT_AHEAD_NODES;
    if (needed > this.#metadata.availableBlocks) throw new NoSpaceError(needed, "the metadata of one change");
  }

  /** True if a commit has something to write. */
  get isDirty(): boolean {
    return this.#isStateDirty || Object.values(this.#trees).some((tree) => tree.isChanged);
  }

  /** True if the next change should wait for a commit, since half of the granted blocks are spoken for. */
  get isCrowded(): boolean {
    return this.#dirtyNodes * 2 > this.#metadata.availableBlocks;
  }

  /** What {@link restore} goes back to. */
  snapshot(): VolumeTreesSnapshot {
    const { free, manifest, members, quarantine } = this.#trees;
    return {
      trees: [free, manifest, members, quarantine].map((tree) => tree.snapshot()),
      free: this.free.snapshot(),
      state: this.#state,
    };
  }

  /** Undoes every change since the snapshot; no commit may lie between. */
  restore(snapshot: VolumeTreesSnapshot): void {
    const { free, manifest, members, quarantine } = this.#trees;
    [free, manifest, members, quarantine].forEach((tree, index) => {
      const saved = snapshot.trees[index];
      invariant(saved !== undefined, "a snapshot holds one entry per tree");
      tree.restore(saved);
    });
    this.free.restore(snapshot.free);
    this.#state = snapshot.state;
  }

  /**
   * Takes free blocks for `what`; the extent may be shorter than asked.
   *
   * @throws {@link NoSpaceError} `ERR_HOLDFAST_NO_SPACE` when nothing is free.
   */
  async take(blocks: number, what: string): Promise<Extent> {
    const extent = await this.free.allocate(blocks);
    if (extent === undefined) throw new NoSpaceError(blocks, what);
    return extent;
  }

  /**
   * Takes free blocks for a member's data. What joining, replaying and compacting need stays: a volume that is full of
   * data can still be opened, read, and made emptier.
   *
   * @throws {@link NoSpaceError} `ERR_HOLDFAST_NO_SPACE` when only the reserve is free, `ERR_HOLDFAST_SPACE_QUARANTINED`
   * when besides so much is in quarantine that fencing would help.
   */
  takeForData(blocks: number, what: string): Promise<Extent> {
    const spareBlocks = this.free.freeBlocks - this.#options.sizes.reserveBlocks;
    if (spareBlocks < 1) throw new NoSpaceError(blocks, what, this.#shortage);
    return this.take(Math.min(blocks, spareBlocks), what);
  }

  /** Puts an extent where nobody allocates until its owner is confirmed dead; under {@link NOBODY}, until no tree reaches it. */
  async quarantine(extent: Extent, owner: bigint, term: bigint): Promise<void> {
    if (owner !== NOBODY && this.#options.brokenRules.has("quarantine")) return this.free.add(extent);
    await this.#trees.quarantine.put(
      quarantineKey(owner, extent.start),
      quarantineValue({ extent, owner, term }),
    );
    if (owner === NOBODY) this.amend({ retained: quarantineWith(this.#state.retained, extent) });
    else this.amend({ quarantine: quarantineWith(this.#state.quarantine, extent) });
  }

  /** Takes an entry out of the quarantine; its blocks are the caller's to account for. */
  async unquarantine({ extent, owner }: QuarantineEntry): Promise<void> {
    await this.#trees.quarantine.delete(quarantineKey(owner, extent.start));
    if (owner === NOBODY) this.amend({ retained: quarantineWithout(this.#state.retained, extent) });
    else this.amend({ quarantine: quarantineWithout(this.#state.quarantine, extent) });
  }

  /** The quarantine in the order of owners and blocks: of one owner, from block `from` on, or all of it. */
  async *quarantined(owner?: bigint, from = 0n): AsyncGenerator<QuarantineEntry, void, void> {
    const range = owner === undefined ? {} : { ...quarantineRange(owner), from: quarantineKey(owner, from) };
    for await (const entry of this.#trees.quarantine.scan(range)) yield quarantineEntry(entry);
  }

  /** True if blocks of an owner are in quarantine, or on their way there; of terms above `sinceTerm` alone, if it is given. */
  async isQuarantined(owner: bigint, sinceTerm = -1n): Promise<boolean> {
    for (const orphan of this.#state.orphans)
      if (orphan.owner === owner && orphan.term > sinceTerm && !orphan.isDrained) return true;
    for await (const { term } of this.quarantined(owner)) if (term > sinceTerm) return true;
    return false;
  }

  /**
   * The blocks that trees reach outside this server's own grants, in order. Such a block is never reached again once it is not:
   * nodes are written to own grants alone.
   */
  async reachedElsewhere(): Promise<readonly bigint[]> {
    const blocks: bigint[] = [];
    if (this.#options.brokenRules.has("retain-reached-nodes")) return blocks;
    for (const tree of Object.values(this.#trees)) {
      for await (const block of tree.reachedBlocks()) if (!this.#metadata.holds(block)) blocks.push(block);
    }
    this.#droppedElsewhere = 0;
    return blocks.sort((a, b) => (a < b ? -1 : 1));
  }

  /** Nodes outside own grants that trees have dropped since {@link reachedElsewhere} looked. */
  get droppedElsewhere(): number {
    return this.#droppedElsewhere;
  }

  /** Moves grants of former servers into the quarantine and fills the spares up again. */
  async settle(): Promise<void> {
    const { orphans } = this.#state;
    for (const { start, lengthBlocks, owner, term, isDrained } of orphans)
      await this.quarantine({ start, lengthBlocks }, isDrained ? NOBODY : owner, term);
    for (const { owner, isDrained } of orphans) {
      if (isDrained) await this.#forgetDrained(owner);
      else await this.#knowOwner(owner);
    }
    const { grantBlocks } = this.#options.sizes;
    const spares = [...this.#state.spares];
    while (spares.length < SPARES_MAX) {
      const extent = await this.free.allocate(grantBlocks);
      if (extent === undefined) break;
      if (extent.lengthBlocks * 2 < grantBlocks) {
        // A server could not make its second commit in it: better none than one that ends its reign.
        await this.free.add(extent);
        break;
      }
      spares.push(extent);
    }
    this.amend({ orphans: [], spares });
  }

  /**
   * Gives unused metadata blocks back to free space, since nothing of this server is on its way to them: the next
   * server would have to quarantine them. A few stay for the commit that says so.
   */
  async giveUpGrants(): Promise<void> {
    this.#isResigning = true;
    await this.#forgetDrained(this.#options.rid);
    this.amend({ isResigned: true });
    let keptBlocks = 0;
    for (const unused of this.#metadata.unused()) {
      const kept = Math.max(0, Math.min(unused.lengthBlocks, RESIGNING_BLOCKS - keptBlocks));
      keptBlocks += kept;
      const given = { start: unused.start + BigInt(kept), lengthBlocks: unused.lengthBlocks - kept };
      // Small pieces would make the list of grants too long.
      if (given.lengthBlocks < GIVEN_BACK_BLOCKS_MIN) continue;
      if (this.#metadata.grants().length + 2 > METADATA_GRANTS_MAX) break;
      this.#metadata.giveUp(given);
      await this.free.add(given);
    }
  }

  /**
   * Writes every changed node and gives the state that names them. The record is the caller's.
   *
   * @throws {@link NoSpaceError} when the granted blocks do not suffice; the server must stop then.
   */
  async flush(): Promise<VolumeState> {
    await this.#grantAhead();
    const { device, fsid, rid, term } = this.#options;
    const batch = new NodeBatch(device, { fsid, term, writer: rid });
    const writer = {
      allocate: () => this.#metadata.allocate(),
      write: (address: bigint, seq: bigint, payload: Uint8Array) =>
        Promise.resolve(batch.add(address, seq, payload)),
      free: (ref: BlockRef) => {
        if (!this.#metadata.free(ref.address)) this.#droppedElsewhere += 1;
      },
    };
    // The term above the commit's number: no two nodes ever written share a seq.
    const seq = (term << 40n) | this.#seq;
    this.#seq += 1n;
    const { free, manifest, members, quarantine } = this.#trees;
    const roots = {
      freeRoot: await free.flush(writer, seq),
      manifestRoot: await manifest.flush(writer, seq),
      membersRoot: await members.flush(writer, seq),
      quarantineRoot: await quarantine.flush(writer, seq),
    };
    const state = {
      ...this.#state,
      ...roots,
      metadataGrants: this.#metadata.grants(),
      free: this.free.counters,
    };
    // What this commit frees and grants is settled by its record: from here on, no await before it is marked.
    this.#metadata.commitStarted();
    this.free.commitStarted();
    await batch.write();
    this.#state = state;
    return state;
  }

  /** The record of the last {@link flush} is committed: what it granted and freed may be used. */
  recorded(): void {
    this.#isStateDirty = false;
    this.#metadata.commitDone();
    this.free.commitDone();
  }

  /**
   * A former server's blocks are in quarantine from now on. That it said farewell proves nothing about a reign that ended later;
   * every other evidence does.
   */
  async #knowOwner(rid: bigint): Promise<void> {
    const known = await this.members.owner(rid);
    if (known?.evidence.kind === "farewell")
      return this.members.putOwner(rid, { ...known, evidence: NO_EVIDENCE });
    // Who is a member is known as one, and becomes an owner when it is none any more.
    if (known === undefined && (await this.members.get(rid)) === undefined)
      await this.members.putOwner(rid, UNKNOWN_OWNER);
  }

  /** A server that resigns leaves its name behind, in case it does not get that far. */
  async #forgetDrained(rid: bigint): Promise<void> {
    const first = await this.quarantined(rid).next();
    if (first.done === true) await this.members.removeOwner(rid);
  }

  get #shortage(): NoSpaceErrorCode {
    const isMuch = isQuarantineAlarming(this.#state.quarantine, this.#options.data.lengthBlocks);
    return isMuch ? "ERR_HOLDFAST_SPACE_QUARANTINED" : "ERR_HOLDFAST_NO_SPACE";
  }

  get #dirtyNodes(): number {
    const { free, manifest, members, quarantine } = this.#trees;
    return free.dirtyNodeCount + manifest.dirtyNodeCount + members.dirtyNodeCount + quarantine.dirtyNodeCount;
  }

  /** Takes the next metadata extent while the present ones still hold what this commit and the next need. */
  async #grantAhead(): Promise<void> {
    if (this.#isResigning) return;
    const { grantBlocks } = this.#options.sizes;
    const lowBlocks = grantBlocks / 2;
    const grants = this.#metadata.grants().length;
    if (this.#metadata.availableBlocks - this.#dirtyNodes < lowBlocks && grants < METADATA_GRANTS_MAX) {
      // Later grants are larger, so that the list in the record never fills up.
      const wanted = Math.min(grantBlocks << Math.floor(grants / 8), SERVER_GRANT_BLOCKS_MAX);
      const extent = await this.free.allocate(wanted);
      if (extent !== undefined) this.#metadata.addGrant(extent);
    }
    const needed = this.#dirtyNodes;
    if (needed > this.#metadata.availableBlocks) throw new NoSpaceError(needed, "metadata");
  }
}
