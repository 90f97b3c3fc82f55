/*
 * Where a walk gets its nodes from: memory, the cache, the device.
 *
 * Every node from the device is checked against its place, so each step down lowers the level by exactly one and
 * narrows the bounds: no chain of blocks, however malformed, makes a walk longer than the root's level, and since
 * nodes are never empty and bounds never overlap, no block can be met twice in one scan without an error.
 */
import type { BlockRef } from "@holdfast/wire-format";
import { type Branch, type Child, type TreeNode, isNode } from "./node.ts";
import type { NodeCache } from "./node-cache.ts";
import { type Place, checkPlace, decodeNode } from "./node-codec.ts";
import type { NodeReader } from "./node-ports.ts";

/** The least key. */
const EMPTY_KEY: Uint8Array = new Uint8Array(0);

/** Where a root stands. */
export const ROOT_PLACE: Place = { level: undefined, lower: EMPTY_KEY, upper: undefined };

/** Where child `index` of a branch stands. */
export function placeOf(branch: Branch, index: number, place: Place): Place {
  return {
    level: branch.level - 1,
    lower: branch.keys[index] as Uint8Array,
    upper: branch.keys[index + 1] ?? place.upper,
  };
}

/** Gives nodes for references. */
export class NodeSource {
  readonly #reader: NodeReader;
  readonly #cache: NodeCache;

  constructor(reader: NodeReader, cache: NodeCache) {
    this.#reader = reader;
    this.#cache = cache;
  }

  /**
   * The node without waiting, or undefined when it must be {@link read}.
   *
   * @throws {@link TreeCorruptError} when it may not stand at `place`.
   */
  peek(child: Child, place: Place): TreeNode | undefined {
    if (isNode(child)) return child;
    const node = this.#cache.get(child);
    if (node !== undefined) checkPlace(node, place, child.address);
    return node;
  }

  /**
   * Fetches a node that is not in memory.
   *
   * @throws {@link TreeCorruptError} when it is no node or may not stand at `place`; whatever the reader throws.
   */
  async read(child: Child, place: Place): Promise<TreeNode> {
    if (isNode(child)) return child;
    const node = decodeNode(await this.#reader.read(child), child.address);
    checkPlace(node, place, child.address);
    this.#cache.set(child, node);
    return node;
  }

  /** Remembers what a flush has written. */
  keep(ref: BlockRef, node: TreeNode): void {
    this.#cache.set(ref, node);
  }
}
