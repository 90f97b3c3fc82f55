import { type BlockRef, equalBytes } from "@holdfast/wire-format";
import type { TreeNode } from "./node.ts";

/** Nodes that a tree of its own keeps in memory when it is given no cache: 1 MiB of blocks. */
export const NODE_CACHE_NODES_DEFAULT = 256;

interface CachedNode {
  readonly ref: BlockRef;
  readonly node: TreeNode;
}

/**
 * Nodes as the device holds them, the least recently used dropped first; one may serve several trees of one volume.
 *
 * A node is found only by its whole reference, so a block that was freed and written again is never mistaken for
 * what it held before. Dirty nodes are not here: trees hold those themselves.
 */
export class NodeCache {
  readonly #limitNodes: number;
  // A Map keeps the order of insertion; a hit is inserted again, so the first entry is the least recently used.
  readonly #nodes: Map<bigint, CachedNode> = new Map();

  /** @throws RangeError when the limit is not a positive integer. */
  constructor(limitNodes: number) {
    if (!Number.isInteger(limitNodes) || limitNodes < 1)
      throw new RangeError(`a cache cannot hold ${limitNodes} nodes`);
    this.#limitNodes = limitNodes;
  }

  /** Nodes held now. */
  get nodeCount(): number {
    return this.#nodes.size;
  }

  /** The node that `ref` names, if it is here. */
  get(ref: BlockRef): TreeNode | undefined {
    const cached = this.#nodes.get(ref.address);
    if (cached === undefined || cached.ref.seq !== ref.seq || !equalBytes(cached.ref.hash, ref.hash))
      return undefined;
    this.#nodes.delete(ref.address);
    this.#nodes.set(ref.address, cached);
    return cached.node;
  }

  /** Keeps a node, in place of an older one of the same block. */
  set(ref: BlockRef, node: TreeNode): void {
    this.#nodes.delete(ref.address);
    this.#nodes.set(ref.address, { ref, node });
    if (this.#nodes.size <= this.#limitNodes) return;
    for (const oldest of this.#nodes.keys()) {
      this.#nodes.delete(oldest);
      return;
    }
  }
}
