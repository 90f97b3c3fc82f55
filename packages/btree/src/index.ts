export { BTree, type BTreeOptions, TreeSnapshot } from "./btree.ts";
export type { ScanRange, TreeEntry } from "./cursor.ts";
export { TreeCorruptError, type TreeCorruptFacts } from "./errors.ts";
export { TREE_KEY_BYTES_MAX, TREE_LEVEL_MAX, TREE_VALUE_BYTES_MAX } from "./limits.ts";
export type { Branch, Child, Leaf, TreeNode } from "./node.ts";
export { NODE_CACHE_NODES_DEFAULT, NodeCache } from "./node-cache.ts";
export { TREE_NODE_FORMAT, TreeEntryHeader, TreeNodeHeader, decodeNode } from "./node-codec.ts";
export type { NodeReader, NodeWriter } from "./node-ports.ts";
