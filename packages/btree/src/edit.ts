/*
 * Changing a tree: one new path from the leaf up to the root.
 *
 * The whole change is made beside the current state and becomes the tree only when it is complete, so an error while
 * reading a node leaves the tree as it was. What the change costs is counted as it happens: each new node is one
 * block that the next flush must allocate, each node of the device that falls out of the tree one that it frees.
 *
 * A node that became too long divides; one that became too short is joined with a neighbour and, if the two exceed
 * a block, divided again in the middle. A parent is checked in the same way after every change of its children,
 * deletes included, because a new separator can be longer than the old one.
 */
import { invariant } from "@holdfast/environment";
import { BlockRef, equalBytes } from "@holdfast/wire-format";
import { TREE_LEVEL_MAX } from "./limits.ts";
import {
  type Branch,
  type Child,
  type Leaf,
  NODE_HEADER_BYTES,
  type Piece,
  type TreeNode,
  divide,
  entryBytes,
  floorIndex,
  isNode,
  isUnderfull,
  join,
  lowerBound,
  withChildren,
  withEntry,
  withoutEntry,
} from "./node.ts";
import type { Place } from "./node-codec.ts";
import { type NodeSource, ROOT_PLACE, placeOf } from "./node-source.ts";

/** Nodes of the device that are no longer part of the tree, newest first; shared by snapshots. */
interface Replaced {
  readonly ref: BlockRef;
  readonly next: Replaced | undefined;
}

/** Everything a tree is at one moment; never changed. */
export interface TreeState {
  readonly root: Child | undefined;
  /** Nodes in memory that no flush has written. */
  readonly dirtyNodeCount: number;
  readonly replaced: Replaced | undefined;
  /** The root on the device, of the last flush. */
  readonly flushedRoot: BlockRef;
}

/** One node on the way down: what its parent refers to, the node, where it stands, and which child was taken. */
interface Step {
  readonly child: Child;
  readonly node: Branch;
  readonly place: Place;
  readonly index: number;
}

/** What to do at a key: set a value, or delete with undefined. */
export interface Change {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/**
 * The state after one change, or undefined when it changes nothing.
 *
 * @throws {@link TreeCorruptError} and whatever the reader throws.
 */
export function applyChange(
  state: TreeState,
  change: Change,
  source: NodeSource,
  payloadBytesMax: number,
): Promise<TreeState | undefined> {
  return new TreeEdit(state, source, payloadBytesMax).apply(change);
}

class TreeEdit {
  readonly #state: TreeState;
  readonly #source: NodeSource;
  readonly #payloadBytesMax: number;
  #dirtyNodeCount: number;
  #replaced: Replaced | undefined;

  constructor(state: TreeState, source: NodeSource, payloadBytesMax: number) {
    this.#state = state;
    this.#source = source;
    this.#payloadBytesMax = payloadBytesMax;
    this.#dirtyNodeCount = state.dirtyNodeCount;
    this.#replaced = state.replaced;
  }

  async apply(change: Change): Promise<TreeState | undefined> {
    const steps: Step[] = [];
    let child = this.#state.root ?? EMPTY_LEAF;
    let place = ROOT_PLACE;
    let node = this.#source.peek(child, place) ?? (await this.#source.read(child, place));
    while (node.type === "branch") {
      const index = floorIndex(node.keys, change.key);
      steps.push({ child, node, place, index });
      place = placeOf(node, index, place);
      child = node.children[index] as Child;
      node = this.#source.peek(child, place) ?? (await this.#source.read(child, place));
    }
    const leaf = changeLeaf(node, change);
    if (leaf === undefined) return undefined;
    this.#discard(child);
    let pieces = this.#fit(leaf, place.lower);
    for (const step of steps.reverse()) {
      this.#discard(step.child);
      pieces = this.#fit(await this.#replaceChild(step, pieces), step.place.lower);
    }
    return this.#finish(pieces);
  }

  /** The branch with the child it led to replaced, an underfull one joined with a neighbour first. */
  async #replaceChild(step: Step, pieces: readonly Piece[]): Promise<Branch> {
    const { node: branch, index, place } = step;
    const [piece] = pieces;
    if (piece === undefined || pieces.length > 1 || !isUnderfull(piece.node, this.#payloadBytesMax))
      return withChildren(branch, index, 1, pieces);
    const left = Math.max(index - 1, 0);
    const neighbourIndex = index === 0 ? 1 : left;
    const neighbourChild = branch.children[neighbourIndex] as Child; // a branch has at least two children
    const neighbourPlace = placeOf(branch, neighbourIndex, place);
    const neighbour =
      this.#source.peek(neighbourChild, neighbourPlace) ??
      (await this.#source.read(neighbourChild, neighbourPlace));
    this.#discard(neighbourChild);
    this.#discard(piece.node);
    const joined = index === 0 ? join(piece.node, neighbour) : join(neighbour, piece.node);
    return withChildren(branch, left, 2, this.#fit(joined, branch.keys[left] as Uint8Array));
  }

  /** The node in as many new nodes as its length needs: one or two. */
  #fit(node: TreeNode, lower: Uint8Array): readonly Piece[] {
    if (node.bytes <= this.#payloadBytesMax) {
      this.#dirtyNodeCount += 1;
      return [{ key: lower, node }];
    }
    this.#dirtyNodeCount += 2;
    const [left, right] = divide(node);
    invariant(
      left.bytes <= this.#payloadBytesMax && right.bytes <= this.#payloadBytesMax,
      "the halves of a divided node fit into blocks",
    );
    return [
      { key: lower, node: left },
      { key: right.keys[0] as Uint8Array, node: right },
    ];
  }

  #discard(child: Child): void {
    if (child === EMPTY_LEAF) return;
    if (isNode(child)) this.#dirtyNodeCount -= 1;
    else this.#replaced = { ref: child, next: this.#replaced };
  }

  #finish(pieces: readonly Piece[]): TreeState {
    const [first, second] = pieces;
    invariant(first !== undefined, "a changed node leaves at least one piece");
    let root: Child | undefined = first.node;
    if (second !== undefined) {
      root = this.#grow(first.node.level + 1, pieces);
    } else if (first.node.keys.length === 0) {
      this.#dirtyNodeCount -= 1;
      root = undefined;
    } else if (first.node.type === "branch" && first.node.children.length === 1) {
      this.#dirtyNodeCount -= 1;
      root = first.node.children[0];
    }
    return {
      root,
      dirtyNodeCount: this.#dirtyNodeCount,
      replaced: this.#replaced,
      flushedRoot: this.#state.flushedRoot,
    };
  }

  #grow(level: number, pieces: readonly Piece[]): Branch {
    invariant(level <= TREE_LEVEL_MAX, "a tree does not outgrow its levels");
    this.#dirtyNodeCount += 1;
    const keys = pieces.map(({ key }) => key);
    const bytes = keys.reduce(
      (sum, key) => sum + entryBytes(key.length, BlockRef.sizeBytes),
      NODE_HEADER_BYTES,
    );
    return { type: "branch", level, keys, children: pieces.map(({ node }) => node), bytes };
  }
}

/** What stands where an empty tree has no root; never written. */
const EMPTY_LEAF: Leaf = { type: "leaf", level: 0, keys: [], values: [], bytes: NODE_HEADER_BYTES };

function changeLeaf(leaf: Leaf, { key, value }: Change): Leaf | undefined {
  const index = lowerBound(leaf.keys, key);
  const present = leaf.keys[index];
  const isPresent = present !== undefined && equalBytes(present, key);
  if (value === undefined) return isPresent ? withoutEntry(leaf, index) : undefined;
  if (isPresent && equalBytes(leaf.values[index] as Uint8Array, value)) return undefined;
  return withEntry(leaf, { index, isPresent }, key, value);
}
