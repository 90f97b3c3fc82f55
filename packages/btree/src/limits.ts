/** Longest key, in bytes. */
export const TREE_KEY_BYTES_MAX = 64;

/** Longest value, in bytes: three entries always fit in one block, which splitting by bytes relies on. */
export const TREE_VALUE_BYTES_MAX = 1024;

/** Highest level a node may have. With the least fan-out of full-size blocks a tree has passed 2^64 entries long before. */
export const TREE_LEVEL_MAX = 31;
