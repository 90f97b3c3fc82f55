/*
 * Nodes in memory, and how they divide.
 *
 * A node is never changed once it is made. Whoever changes a tree makes new nodes along one path; everything else
 * is shared with every snapshot and every scan that still looks at the old root.
 *
 * A branch names its children by the least key each may hold: child i holds keys from keys[i] up to, not including,
 * keys[i + 1]. Its own keys[0] is the key its parent names it by, and the empty key in the root, so a key found
 * anywhere can be checked against the bounds that lead to it. A branch has at least two children.
 *
 * Sizes. C = bytes a node may hold beside its header. A leaf's entry takes at most C/3, a branch's at most C/4
 * (the tree refuses longer ones). Two nodes joined that exceed C, or one that an entry made exceed it, divide in
 * the middle into parts of at least (C - C/3)/2 = C/3 and at most C/2 + C/3: both fit, and neither is underfull,
 * which means below C/4. Parts of a branch hold at least 3C/8, so at least two children.
 */
import { BlockRef, compareBytes } from "@holdfast/wire-format";

/** Bytes in front of a node's entries. */
export const NODE_HEADER_BYTES = 4;

/** Bytes of an entry beside its key and value. */
export const ENTRY_HEADER_BYTES = 3;

/** What a branch refers to: a node on the device, or one in memory that no flush has written yet. */
export type Child = BlockRef | TreeNode;

/** A node of level 0: keys and their values, in the order of the keys. */
export interface Leaf {
  readonly type: "leaf";
  readonly level: 0;
  readonly keys: readonly Uint8Array[];
  readonly values: readonly Uint8Array[];
  /** Length of its payload. */
  readonly bytes: number;
}

/** A node above: the least key of each child and the child. */
export interface Branch {
  readonly type: "branch";
  readonly level: number;
  readonly keys: readonly Uint8Array[];
  readonly children: readonly Child[];
  /** Length of its payload. */
  readonly bytes: number;
}

/** A node. */
export type TreeNode = Leaf | Branch;

/** A node together with the key its parent will name it by. */
export interface Piece {
  readonly key: Uint8Array;
  readonly node: TreeNode;
}

/** True for a node that is only in memory. */
export function isNode(child: Child): child is TreeNode {
  return "type" in child;
}

/** Bytes that an entry takes in a node's payload. */
export function entryBytes(keyBytes: number, valueBytes: number): number {
  return ENTRY_HEADER_BYTES + keyBytes + valueBytes;
}

/** Index of the first key that is not before `key`; the count of keys when all are. */
export function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as Uint8Array, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the last key that is not after `key`; -1 when all are. */
export function floorIndex(keys: readonly Uint8Array[], key: Uint8Array): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as Uint8Array, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The leaf with one entry set; `isPresent` tells whether the key already stands at `index`. */
export function withEntry(
  leaf: Leaf,
  at: { readonly index: number; readonly isPresent: boolean },
  key: Uint8Array,
  value: Uint8Array,
): Leaf {
  const { index, isPresent } = at;
  if (!isPresent) {
    return {
      ...leaf,
      keys: leaf.keys.toSpliced(index, 0, key),
      values: leaf.values.toSpliced(index, 0, value),
      bytes: leaf.bytes + entryBytes(key.length, value.length),
    };
  }
  const growth = value.length - (leaf.values[index] as Uint8Array).length;
  return { ...leaf, values: leaf.values.with(index, value), bytes: leaf.bytes + growth };
}

/** The leaf without the entry at `index`. */
export function withoutEntry(leaf: Leaf, index: number): Leaf {
  return {
    ...leaf,
    keys: leaf.keys.toSpliced(index, 1),
    values: leaf.values.toSpliced(index, 1),
    bytes: leaf.bytes - sizeAt(leaf, index),
  };
}

/** The branch with `count` children from `index` on replaced by `pieces`. */
export function withChildren(branch: Branch, index: number, count: number, pieces: readonly Piece[]): Branch {
  let bytes = branch.bytes;
  for (let old = index; old < index + count; old += 1) bytes -= sizeAt(branch, old);
  for (const { key } of pieces) bytes += entryBytes(key.length, BlockRef.sizeBytes);
  return {
    ...branch,
    keys: branch.keys.toSpliced(index, count, ...pieces.map(({ key }) => key)),
    children: branch.children.toSpliced(index, count, ...pieces.map(({ node }) => node)),
    bytes,
  };
}

/** Two neighbours of one level as one node, however long. */
export function join(left: TreeNode, right: TreeNode): TreeNode {
  const keys = [...left.keys, ...right.keys];
  const bytes = left.bytes + right.bytes - NODE_HEADER_BYTES;
  if (left.type === "leaf" && right.type === "leaf") {
    return { ...left, keys, values: [...left.values, ...right.values], bytes };
  }
  if (left.type === "branch" && right.type === "branch") {
    return { ...left, keys, children: [...left.children, ...right.children], bytes };
  }
  throw new TypeError("a leaf and a branch cannot be joined");
}

/** The node in two parts whose sizes differ as little as entries allow. */
export function divide(node: TreeNode): readonly [TreeNode, TreeNode] {
  const half = (node.bytes - NODE_HEADER_BYTES) / 2;
  let index = 0;
  let bytes = 0;
  for (; index < node.keys.length - 1; index += 1) {
    const next = sizeAt(node, index);
    if (index > 0 && Math.abs(bytes + next - half) > Math.abs(bytes - half)) break;
    bytes += next;
  }
  const leftBytes = bytes + NODE_HEADER_BYTES;
  const rightBytes = node.bytes - bytes;
  const [leftKeys, rightKeys] = [node.keys.slice(0, index), node.keys.slice(index)];
  if (node.type === "leaf") {
    return [
      { ...node, keys: leftKeys, values: node.values.slice(0, index), bytes: leftBytes },
      { ...node, keys: rightKeys, values: node.values.slice(index), bytes: rightBytes },
    ];
  }
  return [
    { ...node, keys: leftKeys, children: node.children.slice(0, index), bytes: leftBytes },
    { ...node, keys: rightKeys, children: node.children.slice(index), bytes: rightBytes },
  ];
}

/** True when a node that is not the root must be joined with a neighbour. */
export function isUnderfull(node: TreeNode, payloadBytesMax: number): boolean {
  if (node.type === "branch" && node.keys.length < 2) return true;
  return (node.bytes - NODE_HEADER_BYTES) * 4 < payloadBytesMax - NODE_HEADER_BYTES;
}

function sizeAt(node: TreeNode, index: number): number {
  const keyBytes = (node.keys[index] as Uint8Array).length;
  const valueBytes = node.type === "leaf" ? (node.values[index] as Uint8Array).length : BlockRef.sizeBytes;
  return entryBytes(keyBytes, valueBytes);
}
