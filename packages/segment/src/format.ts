/*
 * How a segment stands in its extent. docs/formats/segments.md draws it.
 *
 *   data blocks      16 KiB each (more when a large value needs it), whole 4 KiB blocks, one after another
 *   tail             index (one entry per data block), then the filter, padded to whole 4 KiB blocks
 *   footer           one sealed block, the last of the segment
 *
 * A chain of checks makes a lost, misdirected, torn or stale block an error: the manifest keeps the address, the
 * sequence and the 128-bit hash of the footer; the footer keeps the hash of the tail; the index in the tail keeps
 * the CRC-32C of every data block; and each data block names its segment and its own number.
 */
import { BLOCK_BYTES, MIB } from "@holdfast/environment";
import {
  BlockRef,
  type Format,
  HASH128_BYTES,
  KEY_BYTES,
  type Key,
  type StructCodec,
  bytes,
  struct,
  u8,
  u32,
  u64,
} from "@holdfast/wire-format";

/** Blocks of an extent for one full segment: 4 MiB. */
export const SEGMENT_BLOCKS: number = (4 * MIB) / BLOCK_BYTES;

/** The least extent, in blocks, that holds any item: a value of 64 KiB with its data block, tail and footer. */
export const SEGMENT_BLOCKS_MIN = 32;

/** Longest value in bytes. */
export const VALUE_BYTES_MAX = 65_536;

/** A data block is closed before it exceeds this many bytes; only a large value makes it grow beyond. */
export const DATA_BLOCK_BYTES = 16_384;

/** A value of at least this many bytes lets a data block grow instead of closing it half empty. */
export const LARGE_VALUE_BYTES: number = BLOCK_BYTES;

/** Bytes before the values of a data block: segment id u64, block number u32, item count u32. */
export const DATA_HEADER_BYTES = 16;

/**
 * Bytes of a row, one per item, at the end of its data block:
 *
 *   OFFSET  SIZE  MEANING (little-endian but for the key)
 *        0    32  key
 *       32     8  seq
 *       40     4  offset of the value in the data block
 *       44     4  length of the value, or 0xffffffff for a tombstone
 */
export const ROW_BYTES = 48;

/** Where the seq stands in a row. */
export const ROW_SEQ: number = KEY_BYTES;

/** Where the value's offset stands in a row. */
export const ROW_VALUE_OFFSET = 40;

/** Where the value's length stands in a row. */
export const ROW_VALUE_LENGTH = 44;

/** Length that marks a tombstone. */
export const TOMBSTONE = 0xffff_ffff;

/**
 * Bytes of an index entry, one per data block:
 *
 *   OFFSET  SIZE  MEANING (little-endian but for the key)
 *        0    32  first key of the data block
 *       32     4  where it starts, in blocks of 4 KiB from the start of the extent
 *       36     4  its length in blocks of 4 KiB
 *       40     4  items in it
 *       44     4  CRC-32C of all its bytes
 */
export const INDEX_ENTRY_BYTES = 48;

/** A run of 4 KiB blocks on the device. */
export interface SegmentExtent {
  /** Number of the first block. */
  readonly start: bigint;
  /** Blocks in it. */
  readonly lengthBlocks: number;
}

/** Layout of an extent. */
export const SegmentExtent: StructCodec<SegmentExtent> = struct("SegmentExtent", {
  start: u64,
  lengthBlocks: u32,
});

/** What the reference and the footer of a segment both say. */
export interface SegmentSummary {
  /** Identity; never given twice on a volume. */
  readonly id: bigint;
  /** The blocks it uses, all of them; the footer is the last. */
  readonly extent: SegmentExtent;
  /** Smallest key. */
  readonly first: Key;
  /** Greatest key. */
  readonly last: Key;
  /** Items, tombstones included; at least 1. */
  readonly itemCount: number;
  /** Tombstones among them. */
  readonly tombstoneCount: number;
  /** Greatest seq of an item. */
  readonly seqMax: bigint;
}

/** What the manifest keeps of a segment. */
export interface SegmentRef extends SegmentSummary {
  /** The footer block. */
  readonly footer: BlockRef;
  /** Level in the manifest; segments of one level overlap on level 0 only. */
  readonly level: number;
  /** Given by the manifest when a level-0 segment is recorded: the greater is the newer. 0 until then. */
  readonly order: bigint;
  /** Member that wrote it. */
  readonly writer: bigint;
}

/** Layout of a reference to a segment. */
export const SegmentRef: StructCodec<SegmentRef> = struct("SegmentRef", {
  id: u64,
  extent: SegmentExtent,
  footer: BlockRef,
  level: u8,
  order: u64,
  first: bytes(KEY_BYTES),
  last: bytes(KEY_BYTES),
  itemCount: u32,
  tombstoneCount: u32,
  seqMax: u64,
  writer: u64,
});

/** Payload of the footer block, whose `seq` is the segment's id. */
export interface SegmentFooter extends SegmentSummary {
  /** Blocks of 4 KiB that data blocks take; the tail starts behind them. */
  readonly dataBlocks: number;
  /** Entries of the index. */
  readonly indexCount: number;
  /** Bytes of the filter, which stands behind the index. */
  readonly filterBytes: number;
  /** 128-bit hash of the tail, padding included. */
  readonly tailHash: Uint8Array;
}

/** Layout of the footer's payload. */
export const SegmentFooter: StructCodec<SegmentFooter> = struct("SegmentFooter", {
  id: u64,
  extent: SegmentExtent,
  first: bytes(KEY_BYTES),
  last: bytes(KEY_BYTES),
  itemCount: u32,
  tombstoneCount: u32,
  seqMax: u64,
  dataBlocks: u32,
  indexCount: u32,
  filterBytes: u32,
  tailHash: bytes(HASH128_BYTES),
});

/** Everything of a segment that no struct declares, for the format hash: data blocks, rows, index, filter. */
export const SEGMENT_FORMAT: Format = {
  signature:
    "Segment{data:segment u64,number u32,count u32,values,rows(key 32,seq u64,offset u32,length u32);" +
    "index:key 32,start u32,blocks u32,count u32,crc32c u32;filter:split-block bloom 10,key hash 1}",
};

/** Whole 4 KiB blocks that `byteCount` bytes take. */
export function blocksFor(byteCount: number): number {
  return Math.ceil(byteCount / BLOCK_BYTES);
}
