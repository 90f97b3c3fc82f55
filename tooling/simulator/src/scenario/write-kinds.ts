/*
 * What a write is, by what stands in its first block.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import { JOURNAL_MAGIC } from "@holdfast/item-store";
import { BLOCK_MAGIC, BlockHeader, BlockType } from "@holdfast/wire-format";

/** Writes that a fault can wait for. */
export const WRITE_KINDS = [
  "splitter-x",
  "splitter-y",
  /** The first copy of a commit record. */
  "record",
  /** The second copy, far from the first. */
  "record-copy",
  "tree-node",
  "journal",
  "segment-footer",
] as const;

/** One kind of write. */
export type WriteKind = (typeof WRITE_KINDS)[number];

/** The header of a sealed block that is whole and in its place; undefined for anything else. The checksum is not looked at. */
export function sealedHeader(bytes: Uint8Array, offset: number): BlockHeader | undefined {
  if (bytes.length < BLOCK_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(4, true) !== BLOCK_MAGIC) return undefined;
  const header = BlockHeader.read(view, 0);
  return header.address === BigInt(offset / BLOCK_BYTES) ? header : undefined;
}

/** True for an entry of a journal. */
export function isJournalEntry(bytes: Uint8Array): boolean {
  if (bytes.length < BLOCK_BYTES) return false;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4, true) === JOURNAL_MAGIC;
}

/**
 * The kind of a write; undefined for those that no fault waits for.
 *
 * @param deviceBytes - Length of the device: second copies of records stand in its second half.
 */
export function kindOf(bytes: Uint8Array, offset: number, deviceBytes: number): WriteKind | undefined {
  if (isJournalEntry(bytes)) return "journal";
  const type = sealedHeader(bytes, offset)?.type;
  if (type === BlockType.record) return offset * 2 < deviceBytes ? "record" : "record-copy";
  return type === undefined ? undefined : KINDS.get(type);
}

const KINDS: ReadonlyMap<number, WriteKind> = new Map([
  [BlockType.splitterX, "splitter-x"],
  [BlockType.splitterY, "splitter-y"],
  [BlockType.treeNode, "tree-node"],
  [BlockType.segmentFooter, "segment-footer"],
]);
