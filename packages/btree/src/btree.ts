/*
 * A copy-on-write B+tree under one root.
 *
 * Nothing on the device is ever overwritten: a flush writes each changed node to a fresh block and names a new root;
 * the old root stays readable until the blocks it alone reaches are used again, which the caller allows only after
 * the commit that drops it. In memory nodes never change either, so a snapshot is the state itself, taken in O(1).
 *
 * One writer at a time: `put`, `delete`, `flush` and `restore` must not overlap (a broken invariant otherwise). Reads
 * may overlap with everything: each works to its end on the root it began with. A scan that outlives a commit may
 * meet a block that was freed and used again; the reader finds that out (`ERR_HOLDFAST_BLOCK_STALE`), and the scan
 * is begun anew from the newer root.
 *
 * Cost: a read visits one node per level; a change copies one node per level, in memory. n entries of b bytes make
 * trees of log(n) to the base of about 4000/b levels.
 */
import { invariant } from "@holdfast/environment";
import { BLOCK_PAYLOAD_BYTES, BlockRef, equalBytes } from "@holdfast/wire-format";
import { type ScanRange, TreeCursor, type TreeEntry } from "./cursor.ts";
import { type Change, type TreeState, applyChange } from "./edit.ts";
import { flushState } from "./flush.ts";
import { TREE_KEY_BYTES_MAX, TREE_VALUE_BYTES_MAX } from "./limits.ts";
import {
  type Child,
  ENTRY_HEADER_BYTES,
  NODE_HEADER_BYTES,
  entryBytes,
  floorIndex,
  lowerBound,
} from "./node.ts";
import { NODE_CACHE_NODES_DEFAULT, NodeCache } from "./node-cache.ts";
import type { NodeReader, NodeWriter } from "./node-ports.ts";
import { NodeSource, ROOT_PLACE, placeOf } from "./node-source.ts";
import { reachedBlocks } from "./reached-blocks.ts";

/** Least {@link BTreeOptions.payloadBytesMax}: room for keys of 5 bytes. */
const PAYLOAD_BYTES_MIN = 164;

/** Settings of one tree. */
export interface BTreeOptions {
  /** Clean nodes in memory; to be shared by the trees of one volume. A cache of its own without it. */
  readonly cache?: NodeCache;
  /**
   * Longest payload of a node, 164 … 4032 bytes. Small ones make deep trees of few entries, for
   * tests. The same for the whole life of a tree.
   */
  readonly payloadBytesMax?: number;
}

/** The whole state of a tree at one moment, for {@link BTree.restore}; opaque. */
export class TreeSnapshot {
  readonly #tree: BTree;
  readonly #state: TreeState;

  /** @internal */
  constructor(tree: BTree, state: TreeState) {
    this.#tree = tree;
    this.#state = state;
  }

  /** @internal */
  stateFor(tree: BTree): TreeState {
    invariant(tree === this.#tree, "a snapshot belongs to one tree");
    return this.#state;
  }
}

/** An ordered map of byte keys to byte values, kept in blocks. */
export class BTree {
  readonly #source: NodeSource;
  readonly #payloadBytesMax: number;
  #state: TreeState;
  #isWriting = false;

  /**
   * @param root - The root that a flush returned; `NO_BLOCK` for an empty tree.
   * @throws RangeError when an option is out of range.
   */
  constructor(root: BlockRef, reader: NodeReader, options: BTreeOptions = {}) {
    const payloadBytesMax = options.payloadBytesMax ?? BLOCK_PAYLOAD_BYTES;
    if (payloadBytesMax < PAYLOAD_BYTES_MIN || payloadBytesMax > BLOCK_PAYLOAD_BYTES)
      throw new RangeError(`a node cannot have ${payloadBytesMax} bytes`);
    this.#source = new NodeSource(reader, options.cache ?? new NodeCache(NODE_CACHE_NODES_DEFAULT));
    this.#payloadBytesMax = payloadBytesMax;
    this.#state = {
      root: root.address === 0n ? undefined : root,
      dirtyNodeCount: 0,
      replaced: undefined,
      flushedRoot: root,
    };
  }

  /** The root on the device, of the last flush; what changed since is not in it. */
  get root(): BlockRef {
    return this.#state.flushedRoot;
  }

  /** Blocks that a flush now would allocate. */
  get dirtyNodeCount(): number {
    return this.#state.dirtyNodeCount;
  }

  /** True when a flush now would change the root: something was written or deleted since the last. */
  get isChanged(): boolean {
    return this.#state.dirtyNodeCount > 0 || this.#state.replaced !== undefined;
  }

  /**
   * The value at a key: a view, not to be written to.
   *
   * @throws {@link TreeCorruptError} `ERR_HOLDFAST_TREE_CORRUPT`, and whatever the reader throws.
   */
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    let child: Child | undefined = this.#state.root;
    if (child === undefined) return undefined;
    let place = ROOT_PLACE;
    for (;;) {
      const node = this.#source.peek(child, place) ?? (await this.#source.read(child, place));
      if (node.type === "leaf") {
        const index = lowerBound(node.keys, key);
        const found = node.keys[index];
        return found !== undefined && equalBytes(found, key) ? node.values[index] : undefined;
      }
      const index = floorIndex(node.keys, key);
      place = placeOf(node, index, place);
      child = node.children[index] as Child; // floorIndex: the root begins with the least key there is
    }
  }

  /** The entry with the least key that is not before `key`. @throws as {@link get}. */
  ceiling(key: Uint8Array): Promise<TreeEntry | undefined> {
    return new TreeCursor(this.#source, this.#state.root, { from: key }).next();
  }

  /** The entry with the greatest key that is not after `key`. @throws as {@link get}. */
  floor(key: Uint8Array): Promise<TreeEntry | undefined> {
    return new TreeCursor(this.#source, this.#state.root, { to: key, isReverse: true }).next();
  }

  /**
   * The entries of a range in order, as they are at the time of this call.
   *
   * @throws as {@link get}, at any step.
   */
  scan(range: ScanRange = {}): AsyncGenerator<TreeEntry, void, void> {
    return entriesOf(new TreeCursor(this.#source, this.#state.root, range));
  }

  /**
   * The blocks of the device that hold nodes of this tree, as it is at the time of this call, in no order. Reads branches only.
   *
   * @throws as {@link get}, at any step.
   */
  reachedBlocks(): AsyncGenerator<bigint, void, void> {
    return reachedBlocks(this.#state.root, this.#source);
  }

  /**
   * Sets the value at a key; both are copied.
   *
   * @throws RangeError when the key or the value is longer than the tree allows (64 and 1024 bytes); as {@link get}.
   */
  async put(key: Uint8Array, value: Uint8Array): Promise<void> {
    this.#checkLengths(key, value);
    await this.#change({ key: key.slice(), value: value.slice() });
  }

  /** Deletes a key; false when it was not there. @throws as {@link get}. */
  delete(key: Uint8Array): Promise<boolean> {
    return this.#change({ key, value: undefined });
  }

  /** The state now, to return to; O(1), whatever the tree's size. */
  snapshot(): TreeSnapshot {
    return new TreeSnapshot(this, this.#state);
  }

  /**
   * Makes the tree what it was; O(1). Going back behind a flush is allowed: what it wrote is then written again, to
   * other blocks; the caller sees to the blocks that the flush took and freed.
   */
  restore(snapshot: TreeSnapshot): void {
    invariant(!this.#isWriting, "a tree is not restored while it is being changed");
    this.#state = snapshot.stateFor(this);
  }

  /**
   * Writes every dirty node to a block of its own, children first, then frees the blocks of the nodes they replace.
   *
   * Takes exactly {@link dirtyNodeCount} blocks. If it fails the tree is unchanged and still dirty; the blocks that
   * were allocated may hold anything, or be written later by a delayed write, and must not be allocated again.
   *
   * @param seq - Version of the nodes written; (block, seq) must never occur twice.
   * @returns The new root, `NO_BLOCK` for an empty tree.
   * @throws whatever the writer throws.
   */
  async flush(writer: NodeWriter, seq: bigint): Promise<BlockRef> {
    this.#beginWriting();
    try {
      this.#state = await flushState(this.#state, this.#source, writer, seq);
    } finally {
      this.#isWriting = false;
    }
    return this.#state.flushedRoot;
  }

  async #change(change: Change): Promise<boolean> {
    this.#beginWriting();
    try {
      const state = await applyChange(this.#state, change, this.#source, this.#payloadBytesMax);
      if (state === undefined) return false;
      this.#state = state;
      return true;
    } finally {
      this.#isWriting = false;
    }
  }

  #beginWriting(): void {
    invariant(!this.#isWriting, "a tree has one writer at a time");
    this.#isWriting = true;
  }

  #checkLengths(key: Uint8Array, value: Uint8Array): void {
    const capacity = this.#payloadBytesMax - NODE_HEADER_BYTES;
    const branchKeyBytes = Math.floor(capacity / 4) - ENTRY_HEADER_BYTES - BlockRef.sizeBytes;
    const keyBytesMax = Math.min(TREE_KEY_BYTES_MAX, branchKeyBytes);
    if (key.length > keyBytesMax)
      throw new RangeError(`a key has ${key.length} bytes, ${keyBytesMax} are allowed`);
    const leafValueBytes = Math.floor(capacity / 3) - entryBytes(key.length, 0);
    const valueBytesMax = Math.min(TREE_VALUE_BYTES_MAX, leafValueBytes);
    if (value.length > valueBytesMax)
      throw new RangeError(`a value has ${value.length} bytes, ${valueBytesMax} are allowed`);
  }
}

async function* entriesOf(cursor: TreeCursor): AsyncGenerator<TreeEntry, void, void> {
  for (;;) {
    const entry = await cursor.next();
    if (entry === undefined) return;
    yield entry;
  }
}
