/*
 * A tree of a committed record, read straight from the simulated medium: no event, no port, no trace of it in the run.
 *
 * Nodes are copy-on-write, so a reference names one content for ever: what was decoded for one commit serves the
 * next, and only new nodes are read. Each is verified against the reference of its parent, so a committed record that
 * reaches a lost, torn or overwritten block is an error here, long before a member meets it.
 */
import { decodeNode, type TreeNode } from "@holdfast/btree";
import { BLOCK_BYTES } from "@holdfast/environment";
import { type BlockRef, BlockType, openReferencedBlock } from "@holdfast/wire-format";
import type { Medium } from "../world/medium.ts";

/** What a tree held at one commit. */
export interface TreeImage<Item> {
  /** Blocks of its nodes. */
  readonly nodes: readonly bigint[];
  /** What its entries say, in the order of their keys. */
  readonly items: readonly Item[];
}

interface CachedNode<Item> {
  readonly children: readonly BlockRef[];
  readonly items: readonly Item[];
}

/** A reader of one tree. */
export class MediumTree<Item> {
  readonly #medium: Medium;
  readonly #fsid: bigint;
  readonly #decode: (key: Uint8Array, value: Uint8Array) => Item | undefined;
  #cache: Map<string, CachedNode<Item>> = new Map();
  #root: BlockRef | undefined;
  #image: TreeImage<Item> = { nodes: [], items: [] };

  /** @param decode - What an entry says; entries of which it gives undefined are left out. */
  constructor(
    source: { readonly medium: Medium; readonly fsid: bigint },
    decode: (key: Uint8Array, value: Uint8Array) => Item | undefined,
  ) {
    this.#medium = source.medium;
    this.#fsid = source.fsid;
    this.#decode = decode;
  }

  /**
   * What the tree under `root` holds.
   *
   * @throws {@link BlockError} or {@link TreeCorruptError} when it is not on the medium.
   */
  imageOf(root: BlockRef): TreeImage<Item> {
    if (this.#root?.address === root.address && this.#root.seq === root.seq) return this.#image;
    const reached: Map<string, CachedNode<Item>> = new Map();
    const image = { nodes: [], items: [] };
    if (root.address !== 0n) this.#walk(root, image, reached);
    this.#cache = reached;
    this.#root = root;
    this.#image = image;
    return image;
  }

  #walk(
    ref: BlockRef,
    image: { nodes: bigint[]; items: Item[] },
    reached: Map<string, CachedNode<Item>>,
  ): void {
    const name = `${ref.address}/${ref.seq}`;
    const node = this.#cache.get(name) ?? this.#read(ref);
    reached.set(name, node);
    image.nodes.push(ref.address);
    for (const item of node.items) image.items.push(item);
    for (const child of node.children) this.#walk(child, image, reached);
  }

  #read(ref: BlockRef): CachedNode<Item> {
    const bytes = new Uint8Array(BLOCK_BYTES);
    this.#medium.readTruth(Number(ref.address) * BLOCK_BYTES, bytes);
    const expected = { fsid: this.#fsid, types: [BlockType.treeNode] };
    return this.#decoded(decodeNode(openReferencedBlock(bytes, ref, expected).payload, ref.address));
  }

  #decoded(node: TreeNode): CachedNode<Item> {
    if (node.type === "branch") {
      // A decoded node refers to nothing but blocks; only nodes of an unflushed tree hold others in memory.
      return { children: node.children.filter((child): child is BlockRef => !("type" in child)), items: [] };
    }
    const items: Item[] = [];
    node.keys.forEach((key, index) => {
      const value = node.values[index];
      const item = value === undefined ? undefined : this.#decode(key, value);
      if (item !== undefined) items.push(item);
    });
    return { children: [], items };
  }
}
