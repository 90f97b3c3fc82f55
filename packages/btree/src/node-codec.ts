/*
 * Nodes as bytes: the payload of a block of type `treeNode`.
 *
 * A header, then `count` entries without gaps, then nothing. A branch's value is a BlockRef. A payload is a node when:
 * the level is at most TREE_LEVEL_MAX; the reserved byte is zero; a leaf has at least one entry, a branch two; keys
 * and values have allowed lengths; keys strictly rise; the entries end where the payload ends; no child is block 0.
 * Whether the node may stand where it was found is {@link checkPlace}.
 */
import { invariant } from "@holdfast/environment";
import {
  BlockRef,
  type Format,
  type StructCodec,
  compareBytes,
  struct,
  u16,
  u8,
} from "@holdfast/wire-format";
import { TreeCorruptError } from "./errors.ts";
import { TREE_KEY_BYTES_MAX, TREE_LEVEL_MAX, TREE_VALUE_BYTES_MAX } from "./limits.ts";
import { type Child, ENTRY_HEADER_BYTES, NODE_HEADER_BYTES, type TreeNode } from "./node.ts";

/** What stands in front of a node's entries. */
export interface TreeNodeHeader {
  /** Height above the leaves, which have 0. */
  readonly level: number;
  /** Zero. */
  readonly reserved: number;
  /** Number of entries. */
  readonly count: number;
}

/** Layout of {@link TreeNodeHeader}. */
export const TreeNodeHeader: StructCodec<TreeNodeHeader> = struct("TreeNodeHeader", {
  level: u8,
  reserved: u8,
  count: u16,
});

/** What stands in front of an entry's key; the key's bytes and the value's follow. */
export interface TreeEntryHeader {
  /** Bytes of the key, 0 … 64. */
  readonly keyLength: number;
  /** Bytes of the value, 0 … 1024; in a branch the size of a `BlockRef`. */
  readonly valueLength: number;
}

/** Layout of {@link TreeEntryHeader}. */
export const TreeEntryHeader: StructCodec<TreeEntryHeader> = struct("TreeEntryHeader", {
  keyLength: u8,
  valueLength: u16,
});

/** The layout of nodes, for the format hash of a volume. */
export const TREE_NODE_FORMAT: Format = {
  signature: `TreeNode{${TreeNodeHeader.signature},${TreeEntryHeader.signature},${BlockRef.signature}}`,
};

/** Offset of `valueLength` in an entry's header: it follows the key's length. */
const VALUE_LENGTH_OFFSET: number = u8.sizeBytes;

/** Where a node stands, as its parent says. */
export interface Place {
  /** The level it must have; undefined for a root, whose level nobody knows. */
  readonly level: number | undefined;
  /** Least key it may hold; a branch begins with exactly this key. */
  readonly lower: Uint8Array;
  /** The key that it and everything below it stays before; undefined at the right edge. */
  readonly upper: Uint8Array | undefined;
}

/**
 * A node as the payload of its block.
 *
 * @param refOf - The reference to a child, which was written before.
 */
export function encodeNode(node: TreeNode, refOf: (child: Child) => BlockRef): Uint8Array {
  const payload = new Uint8Array(node.bytes);
  const view = new DataView(payload.buffer);
  TreeNodeHeader.write(view, 0, { level: node.level, reserved: 0, count: node.keys.length });
  let offset = NODE_HEADER_BYTES;
  node.keys.forEach((key, index) => {
    const value =
      node.type === "leaf"
        ? (node.values[index] as Uint8Array)
        : BlockRef.encode(refOf(node.children[index] as Child));
    u8.write(view, offset, key.length);
    u16.write(view, offset + VALUE_LENGTH_OFFSET, value.length);
    payload.set(key, offset + ENTRY_HEADER_BYTES);
    payload.set(value, offset + ENTRY_HEADER_BYTES + key.length);
    offset += ENTRY_HEADER_BYTES + key.length + value.length;
  });
  invariant(offset === payload.length, "a node's bytes are the sum of its entries");
  return payload;
}

/**
 * The node in the payload of block `address`; its keys and values are views into the payload.
 *
 * @throws {@link TreeCorruptError} `ERR_HOLDFAST_TREE_CORRUPT` when the payload is no node.
 */
export function decodeNode(payload: Uint8Array, address: bigint): TreeNode {
  if (payload.length < NODE_HEADER_BYTES) throw new TreeCorruptError(address, "shorter than a header");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const { level, reserved, count } = TreeNodeHeader.read(view, 0);
  if (level > TREE_LEVEL_MAX) throw new TreeCorruptError(address, `level ${level}`);
  if (reserved !== 0) throw new TreeCorruptError(address, "a reserved byte is set");
  if (count < (level === 0 ? 1 : 2))
    throw new TreeCorruptError(address, `${count} entries on level ${level}`);
  const keys: Uint8Array[] = [];
  const values: Uint8Array[] = [];
  let offset = NODE_HEADER_BYTES;
  for (let index = 0; index < count; index += 1) {
    if (offset + ENTRY_HEADER_BYTES > payload.length)
      throw new TreeCorruptError(address, "entries beyond its end");
    const keyLength = u8.read(view, offset);
    const valueLength = u16.read(view, offset + VALUE_LENGTH_OFFSET);
    const keyStart = offset + ENTRY_HEADER_BYTES;
    const valueStart = keyStart + keyLength;
    offset = valueStart + valueLength;
    if (offset > payload.length) throw new TreeCorruptError(address, "entries beyond its end");
    checkLengths(address, level, keyLength, valueLength);
    const key = payload.subarray(keyStart, valueStart);
    const previous = keys[index - 1];
    if (previous !== undefined && compareBytes(previous, key) >= 0)
      throw new TreeCorruptError(address, "keys out of order");
    keys.push(key);
    values.push(payload.subarray(valueStart, offset));
  }
  if (offset !== payload.length) throw new TreeCorruptError(address, "bytes behind its entries");
  if (level === 0) return { type: "leaf", level: 0, keys, values, bytes: offset };
  return { type: "branch", level, keys, children: decodeChildren(address, values), bytes: offset };
}

/**
 * Checks that a node may stand where it was found: cheap, so done on each visit, cached or not.
 *
 * @throws {@link TreeCorruptError} `ERR_HOLDFAST_TREE_CORRUPT`
 */
export function checkPlace(node: TreeNode, place: Place, address: bigint): void {
  if (place.level !== undefined && node.level !== place.level)
    throw new TreeCorruptError(address, `level ${node.level} where ${place.level} belongs`);
  const first = node.keys[0] as Uint8Array;
  const order = compareBytes(place.lower, first);
  if (order > 0 || (node.type === "branch" && order !== 0))
    throw new TreeCorruptError(address, "its first key is not the one its parent names");
  const last = node.keys.at(-1) as Uint8Array;
  if (place.upper !== undefined && compareBytes(last, place.upper) >= 0)
    throw new TreeCorruptError(address, "a key beyond its parent's bounds");
}

function checkLengths(address: bigint, level: number, keyLength: number, valueLength: number): void {
  if (keyLength > TREE_KEY_BYTES_MAX) throw new TreeCorruptError(address, `a key of ${keyLength} bytes`);
  if (level === 0 ? valueLength > TREE_VALUE_BYTES_MAX : valueLength !== BlockRef.sizeBytes)
    throw new TreeCorruptError(address, `a value of ${valueLength} bytes`);
}

function decodeChildren(address: bigint, values: readonly Uint8Array[]): readonly BlockRef[] {
  return values.map((value) => {
    const ref = BlockRef.decode(value);
    if (ref.address === 0n) throw new TreeCorruptError(address, "a child at block 0");
    return ref;
  });
}
