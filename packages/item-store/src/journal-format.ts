/*
 * The journal's bytes: entries, each one group commit, one behind the other in one half of the region.
 *
 * An entry starts at a block, takes whole blocks of 4 KiB, and is one write. All integers little-endian.
 *
 *   OFFSET  SIZE  MEANING
 *        0     4  CRC-32C of bytes 4 … 63+length
 *        4     4  magic "HFJ1"
 *        8     8  fsid
 *       16     8  rid of the member whose journal it is
 *       24     8  epoch, from 1; odd epochs stand in the first half, even ones in the second
 *       32     4  index of the entry in its epoch, from 0
 *       36     4  length: bytes of items behind the header
 *       40     4  count of items
 *       44     4  checksum of the entry before it in this epoch; 0 for the first
 *       48    16  zero
 *       64     …  items: key 32 bytes, seq u64, length of the value u32 (0xffffffff: tombstone), the value
 *
 * An entry is valid if its checksum, magic, fsid and rid are right, its items fill `length` exactly, and it names
 * the epoch, the index and the predecessor that its place wants. So neither a torn write, nor what an earlier epoch
 * or an earlier owner of the blocks left there, is ever taken for an entry.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import {
  KEY_BYTES,
  type Key,
  type StructCodec,
  bytes,
  crc32c,
  struct,
  u32,
  u64,
} from "@holdfast/wire-format";
import { ITEM_VALUE_BYTES_MAX } from "./item-table.ts";

/** "HFJ1", little-endian. */
export const JOURNAL_MAGIC = 0x314a4648;

/** Bytes of an item beside its value. */
export const JOURNAL_ITEM_BYTES: number = KEY_BYTES + 8 + 4;

/** Longest entry with its header, 4 MiB: bounds a transaction, and what a replay takes for a length. */
export const JOURNAL_ENTRY_BYTES_MAX: number = 4 * 1024 * 1024;

const TOMBSTONE = 0xffff_ffff;

/** What stands before the items of an entry. */
export interface JournalEntryHeader {
  /** CRC-32C of everything behind it. */
  readonly checksum: number;
  /** {@link JOURNAL_MAGIC}. */
  readonly magic: number;
  readonly fsid: bigint;
  /** Whose journal it is. */
  readonly rid: bigint;
  /** From 1. */
  readonly epoch: bigint;
  /** From 0 in each epoch. */
  readonly index: number;
  /** Bytes of items. */
  readonly length: number;
  readonly itemCount: number;
  /** Checksum of the entry before, 0 for the first. */
  readonly previous: number;
  /** Zero. */
  readonly reserved: Uint8Array;
}

/** Layout of the header. */
export const JournalEntryHeader: StructCodec<JournalEntryHeader> = struct("JournalEntryHeader", {
  checksum: u32,
  magic: u32,
  fsid: u64,
  rid: u64,
  epoch: u64,
  index: u32,
  length: u32,
  itemCount: u32,
  previous: u32,
  reserved: bytes(16),
});

/** Where an entry stands: what its header must say. */
export interface EntryPlace {
  readonly fsid: bigint;
  readonly rid: bigint;
  readonly epoch: bigint;
  readonly index: number;
  readonly previous: number;
}

/** One valid entry found in a half. */
export interface FoundEntry {
  readonly header: JournalEntryHeader;
  /** Where its items start in the half, in bytes. */
  readonly itemsOffset: number;
}

/** What a half of a journal holds. */
export interface ParsedHalf {
  /** Epoch of its entries, 0 if it has none. */
  readonly epoch: bigint;
  readonly entries: readonly FoundEntry[];
  /** Blocks that the valid entries take. */
  readonly usedBlocks: number;
  /** Block behind the valid entries that holds another entry newer than `sinceEpoch`: proof of damage before it. */
  readonly strayBlock: number | undefined;
}

const RESERVED = new Uint8Array(16);
const HEADER_BYTES = JournalEntryHeader.sizeBytes;

/** Bytes that an item takes in an entry. */
export function itemSizeBytes(value: Uint8Array | undefined): number {
  return JOURNAL_ITEM_BYTES + (value?.length ?? 0);
}

/** Blocks that an entry with so many bytes of items takes. */
export function entrySizeBlocks(itemsBytes: number): number {
  return Math.ceil((HEADER_BYTES + itemsBytes) / BLOCK_BYTES);
}

/** Builds entries, one after another, in a buffer that it keeps. */
export class EntryBuilder {
  #bytes: Uint8Array = new Uint8Array(BLOCK_BYTES);
  #view: DataView = new DataView(this.#bytes.buffer);
  #end = HEADER_BYTES;
  #itemCount = 0;

  /** Begins an entry whose items take `itemsBytes`; what was built before is gone. */
  begin(itemsBytes: number): void {
    const sizeBytes = entrySizeBlocks(itemsBytes) * BLOCK_BYTES;
    if (sizeBytes > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.min(2 * sizeBytes, Math.max(sizeBytes, JOURNAL_ENTRY_BYTES_MAX)));
      this.#view = new DataView(this.#bytes.buffer);
    }
    this.#end = HEADER_BYTES;
    this.#itemCount = 0;
  }

  /** Adds an item. */
  add(key: Key, seq: bigint, value: Uint8Array | undefined): void {
    const offset = this.#end;
    this.#bytes.set(key, offset);
    this.#view.setBigUint64(offset + KEY_BYTES, seq, true);
    this.#view.setUint32(offset + KEY_BYTES + 8, value === undefined ? TOMBSTONE : value.length, true);
    if (value !== undefined) this.#bytes.set(value, offset + JOURNAL_ITEM_BYTES);
    this.#end = offset + itemSizeBytes(value);
    this.#itemCount += 1;
  }

  /** The sealed entry, whole blocks: a view, true until the next {@link begin}. */
  finish(place: EntryPlace): { readonly block: Uint8Array; readonly checksum: number } {
    const sizeBytes = entrySizeBlocks(this.#end - HEADER_BYTES) * BLOCK_BYTES;
    const block = this.#bytes.subarray(0, sizeBytes);
    block.fill(0, this.#end);
    const length = this.#end - HEADER_BYTES;
    const header = { magic: JOURNAL_MAGIC, ...place, length, itemCount: this.#itemCount };
    JournalEntryHeader.write(this.#view, 0, { checksum: 0, ...header, reserved: RESERVED });
    const checksum = crc32c(block, 4, this.#end);
    this.#view.setUint32(0, checksum, true);
    return { block, checksum };
  }
}

/**
 * Finds the entries of one half: the first says the epoch, each next must follow it; the first that does not ends
 * the epoch. Never throws, whatever the bytes are.
 *
 * Entries are written one at a time, each only when the one before was on stable storage. So an entry of an epoch
 * after `sinceEpoch` that stands behind the end proves that something before it was whole once: see `strayBlock`.
 */
export function parseJournalHalf(
  half: Uint8Array,
  owner: { readonly fsid: bigint; readonly rid: bigint },
  sinceEpoch: bigint,
): ParsedHalf {
  const entries: FoundEntry[] = [];
  let [offset, previous, epoch] = [0, 0, 0n];
  for (;;) {
    const header = openEntry(half, offset, owner);
    if (header === undefined || header.index !== entries.length || header.previous !== previous) break;
    if (header.epoch === 0n || (entries.length > 0 && header.epoch !== epoch)) break;
    entries.push({ header, itemsOffset: offset + HEADER_BYTES });
    previous = header.checksum;
    epoch = header.epoch;
    offset += entrySizeBlocks(header.length) * BLOCK_BYTES;
  }
  const isOld = entries.length > 0 && epoch <= sinceEpoch;
  return {
    epoch,
    entries,
    usedBlocks: offset / BLOCK_BYTES,
    strayBlock: isOld ? undefined : findStray(half, offset, owner, sinceEpoch),
  };
}

/** Calls `visit` for each item of a valid entry, in order; keys and values are views into `half`. */
export function visitItems(
  half: Uint8Array,
  entry: FoundEntry,
  visit: (key: Key, seq: bigint, value: Uint8Array | undefined) => void,
): void {
  const view = new DataView(half.buffer, half.byteOffset, half.byteLength);
  let offset = entry.itemsOffset;
  for (let item = 0; item < entry.header.itemCount; item += 1) {
    const length = view.getUint32(offset + KEY_BYTES + 8, true);
    const start = offset + JOURNAL_ITEM_BYTES;
    const end = length === TOMBSTONE ? start : start + length;
    const value = length === TOMBSTONE ? undefined : half.subarray(start, end);
    visit(half.subarray(offset, offset + KEY_BYTES), view.getBigUint64(offset + KEY_BYTES, true), value);
    offset = end;
  }
}

function openEntry(
  half: Uint8Array,
  offset: number,
  owner: { readonly fsid: bigint; readonly rid: bigint },
): JournalEntryHeader | undefined {
  if (offset + BLOCK_BYTES > half.length) return undefined;
  const view = new DataView(half.buffer, half.byteOffset, half.byteLength);
  if (view.getUint32(offset + 4, true) !== JOURNAL_MAGIC) return undefined;
  const header = JournalEntryHeader.read(view, offset);
  const end = offset + HEADER_BYTES + header.length;
  const isOurs = header.fsid === owner.fsid && header.rid === owner.rid;
  if (!isOurs || end > half.length || HEADER_BYTES + header.length > JOURNAL_ENTRY_BYTES_MAX)
    return undefined;
  if (crc32c(half, offset + 4, end) !== header.checksum) return undefined;
  return itemsFill(view, offset + HEADER_BYTES, end, header.itemCount) ? header : undefined;
}

function itemsFill(view: DataView, start: number, end: number, itemCount: number): boolean {
  let offset = start;
  for (let item = 0; item < itemCount; item += 1) {
    if (offset + JOURNAL_ITEM_BYTES > end) return false;
    const length = view.getUint32(offset + KEY_BYTES + 8, true);
    if (length !== TOMBSTONE && length > ITEM_VALUE_BYTES_MAX) return false;
    offset += JOURNAL_ITEM_BYTES + (length === TOMBSTONE ? 0 : length);
  }
  return offset === end;
}

function findStray(
  half: Uint8Array,
  from: number,
  owner: { readonly fsid: bigint; readonly rid: bigint },
  sinceEpoch: bigint,
): number | undefined {
  for (let offset = from; offset < half.length; offset += BLOCK_BYTES) {
    const header = openEntry(half, offset, owner);
    if (header !== undefined && header.epoch > sinceEpoch) return offset / BLOCK_BYTES;
  }
  return undefined;
}
