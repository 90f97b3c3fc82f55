/*
 * What a block of the term slots says: nothing yet, a mark of a candidate, a record, or nothing that can be read.
 *
 * Pristine is what mkfs wrote; a block leaves that state once and never returns to it. Everything that is neither
 * pristine nor valid counts as unreadable, and unreadable never counts as pristine: all rules lean on that.
 * A record in the other copy's place is evidence that it was written, and no more: see `record-search.ts`.
 * What an earlier generation of the slots left is unreadable too: its marks and records name other terms, its pristine blocks
 * (and marks) another generation.
 */
import {
  BlockError,
  BlockType,
  flag,
  openBlock,
  type StructCodec,
  sealBlock,
  struct,
  u64,
} from "@holdfast/wire-format";
import { type CommitRecord, readRecord } from "./record.ts";
import { placeOf, type QuorumRegion, recordBlock } from "./region.ts";

/** What stands in a splitter block. The candidate's rid stands in the block's header. */
export interface SplitterMark {
  /** Random number of one attempt. Never used twice, so that a late write of an earlier attempt is not taken for mine. */
  readonly claim: bigint;
  /** True: nobody claims the term; it could not be read, and is marked so that no reader takes it for pristine. */
  readonly isVoid: boolean;
}

/** Layout of a splitter block. */
export const SplitterMark: StructCodec<SplitterMark> = struct("SplitterMark", { claim: u64, isVoid: flag });

/** What a block of the term slots says. */
export type SlotState =
  | { readonly state: "pristine" }
  | { readonly state: "mark"; readonly mark: SplitterMark; readonly writer: bigint }
  | { readonly state: "record"; readonly record: CommitRecord }
  /** The record of this half that was meant for the other copy's place: a device wrote it here. Its writer did issue it. */
  | { readonly state: "misplaced"; readonly record: CommitRecord }
  | { readonly state: "unreadable" };

/** Judges what was read at `address`, a block of the slots or of the records; undefined means the read failed. */
export function readSlot(region: QuorumRegion, address: bigint, block: Uint8Array | undefined): SlotState {
  if (block === undefined) return UNREADABLE;
  const slot = judgeSlot(region, address, block);
  const other = slot.state === "unreadable" ? otherCopyOf(region, address) : undefined;
  if (other === undefined) return slot;
  const meant = judgeSlot(region, other, block);
  return meant.state === "record" ? { state: "misplaced", record: meant.record } : slot;
}

/** The place of the same record in the other copy, for a block of the records. */
function otherCopyOf(region: QuorumRegion, address: bigint): bigint | undefined {
  const place = placeOf(region, address);
  if (place.kind !== "record") return undefined;
  return recordBlock(region, place.term, place.copy === 0 ? 1 : 0) + BigInt(place.half);
}

function judgeSlot(region: QuorumRegion, address: bigint, block: Uint8Array): SlotState {
  try {
    return parseSlot(region, address, block);
  } catch (error) {
    // A damaged block is an answer here, not a failure: the caller decides what it means at its place.
    if (error instanceof BlockError || error instanceof RangeError) return UNREADABLE;
    throw error;
  }
}

/** The block that marks X or Y of a term. */
export function sealMark(
  region: QuorumRegion,
  options: { readonly address: bigint; readonly writer: bigint; readonly mark: SplitterMark },
): Uint8Array {
  const { address, writer, mark } = options;
  const place = placeOf(region, address);
  const type = TYPES[place.kind];
  return sealBlock(
    { fsid: region.fsid, address, term: place.term, writer, seq: BigInt(region.generation), type },
    SplitterMark.encode(mark),
  );
}

/** The block that mkfs writes wherever nothing has happened yet. */
export function sealPristine(region: QuorumRegion, address: bigint): Uint8Array {
  const { fsid, generation } = region;
  const seq = BigInt(generation);
  return sealBlock({ fsid, address, term: 0n, writer: 0n, seq, type: BlockType.pristine }, NOTHING);
}

const TYPES = { x: BlockType.splitterX, y: BlockType.splitterY, record: BlockType.record } as const;
const PRISTINE: SlotState = { state: "pristine" };
const UNREADABLE: SlotState = { state: "unreadable" };
const NOTHING = new Uint8Array(0);

function parseSlot(region: QuorumRegion, address: bigint, block: Uint8Array): SlotState {
  const place = placeOf(region, address);
  const types = [BlockType.pristine, TYPES[place.kind]];
  const opened = openBlock(block, { fsid: region.fsid, address, types });
  const { type, term, seq } = opened.header;
  const isOfGeneration = seq === BigInt(region.generation);
  if (type === BlockType.pristine) return isOfGeneration ? PRISTINE : UNREADABLE;
  if (term !== place.term) return UNREADABLE;
  if (place.kind === "record") {
    const record = readRecord(opened);
    return record === undefined ? UNREADABLE : { state: "record", record };
  }
  if (!isOfGeneration) return UNREADABLE;
  return { state: "mark", mark: SplitterMark.decode(opened.payload), writer: opened.header.writer };
}
