/*
 * How free extents stand in their tree: each twice, so that both neighbours in place and neighbours in length are one
 * step away. Numbers in keys are big-endian, so that the order of the bytes is the order of the numbers.
 *
 *   ORDER      KEY                                         VALUE
 *   by start   01, start u64                               length u64, little-endian
 *   by length  02, length u64, start u64                   empty
 */
import { type Format, type StructCodec, struct, u53 } from "@holdfast/wire-format";
import type { TreeEntry } from "@holdfast/btree";
import { FreeSpaceCorruptError } from "./errors.ts";
import { type Extent, checkExtent } from "./extent.ts";
import { BLOCK_NUMBER_END } from "./limits.ts";

const BY_START = 1;
const BY_LENGTH = 2;
const START_KEY_BYTES = 9;
const LENGTH_KEY_BYTES = 17;

interface FreeExtentValue {
  readonly lengthBlocks: number;
}

const FreeExtentValue: StructCodec<FreeExtentValue> = struct("FreeExtent", { lengthBlocks: u53 });

/** The layout of the free-space tree, for the format hash of a volume. */
export const FREE_SPACE_FORMAT: Format = {
  signature: `FreeSpace{1,start:u64be=>${FreeExtentValue.signature};2,length:u64be,start:u64be=>}`,
};

/** The value of an empty entry. */
export const NO_VALUE: Uint8Array = new Uint8Array(0);

/** Block number behind every other, as the end of a range of keys. */
export const LAST_BLOCK: bigint = BLOCK_NUMBER_END - 1n;

/** Key of the extent that starts at `start`. */
export function startKey(start: bigint): Uint8Array {
  const key = new Uint8Array(START_KEY_BYTES);
  key[0] = BY_START;
  new DataView(key.buffer).setBigUint64(1, start);
  return key;
}

/** Key of an extent in the order of lengths. */
export function lengthKey(lengthBlocks: number, start: bigint): Uint8Array {
  const key = new Uint8Array(LENGTH_KEY_BYTES);
  const view = new DataView(key.buffer);
  key[0] = BY_LENGTH;
  view.setBigUint64(1, BigInt(lengthBlocks));
  view.setBigUint64(9, start);
  return key;
}

/** Value of an extent in the order of starts. */
export function startValue(extent: Extent): Uint8Array {
  return FreeExtentValue.encode({ lengthBlocks: extent.lengthBlocks });
}

/**
 * The extent in an entry by start, or undefined for an entry of the other order.
 *
 * @throws {@link FreeSpaceCorruptError} `ERR_HOLDFAST_FREE_SPACE_CORRUPT` when the entry is malformed.
 */
export function extentByStart(entry: TreeEntry | undefined): Extent | undefined {
  if (entry === undefined || entry.key[0] !== BY_START) return undefined;
  return decoded("by start", () => {
    const start = wordOf(entry.key, 1, START_KEY_BYTES);
    return { start, lengthBlocks: FreeExtentValue.decode(entry.value).lengthBlocks };
  });
}

/** The extent in an entry by length, or undefined for an entry of the other order. @throws as {@link extentByStart}. */
export function extentByLength(entry: TreeEntry | undefined): Extent | undefined {
  if (entry === undefined || entry.key[0] !== BY_LENGTH) return undefined;
  return decoded("by length", () => {
    if (entry.value.length > 0) throw new RangeError("a value where none belongs");
    const lengthBlocks = Number(wordOf(entry.key, 1, LENGTH_KEY_BYTES));
    return { start: wordOf(entry.key, 9, LENGTH_KEY_BYTES), lengthBlocks };
  });
}

function wordOf(key: Uint8Array, offset: number, keyBytes: number): bigint {
  if (key.length !== keyBytes) throw new RangeError(`a key of ${key.length} bytes`);
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getBigUint64(offset);
}

function decoded(order: string, decode: () => Extent): Extent {
  try {
    const extent = decode();
    checkExtent(extent);
    return extent;
  } catch (cause) {
    throw new FreeSpaceCorruptError(`an entry ${order} is malformed`, { cause });
  }
}
