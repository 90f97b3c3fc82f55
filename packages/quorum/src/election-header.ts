/*
 * The head of a device that holds an election and nothing else: how many terms there are, and their generation.
 *
 *   block 0, 1              this header, twice
 *   block 2 …               hints
 *   then                    X and Y of each term
 *   then                    records, copy 0
 *   then                    records, copy 1
 *
 * A renewal writes it four times: "renewing" into both copies, and, when the slots are new, the next generation into both.
 * The copy that is further on counts, so whatever a crash leaves of the two says the truth.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import {
  BlockError,
  BlockType,
  flag,
  openBlock,
  type StructCodec,
  sealBlock,
  struct,
  u16,
  u32,
} from "@holdfast/wire-format";
import type { FormattedBlock } from "./format.ts";
import type { QuorumRegion } from "./region.ts";

/** What the header says. */
export interface ElectionHeader {
  /** Terms of each generation. */
  readonly termsMax: number;
  /** Blocks of hints. */
  readonly hintsCount: number;
  /** Generation of the term slots. */
  readonly generation: number;
  /** True: a renewal of this generation has begun and is to be run to its end before anything else. */
  readonly isRenewing: boolean;
}

/** Layout of the header's payload. */
export const ElectionHeader: StructCodec<ElectionHeader> = struct("ElectionHeader", {
  termsMax: u32,
  hintsCount: u16,
  generation: u32,
  isRenewing: flag,
});

/** Blocks of a device that hold its header. */
export const ELECTION_HEADER_BLOCKS = 2;

/** Blocks of hints: a dozen candidates seldom overwrite each other's. */
const HINTS_COUNT = 16;
/** Terms of a device that is large enough: 96 MiB of it. */
const TERMS_MAX = 4096;
/** X, Y, and two halves of the record in two copies. */
const BLOCKS_PER_TERM = 6;

/** As many terms as a device has room for, at most 4,096; below 2 it is too small. */
export function termsFor(sizeBytes: bigint): number {
  const fixed = ELECTION_HEADER_BLOCKS + HINTS_COUNT;
  const terms = Math.floor((Number(sizeBytes / BigInt(BLOCK_BYTES)) - fixed) / BLOCKS_PER_TERM);
  return Math.min(TERMS_MAX, terms);
}

/** The header of a new device. */
export function newElectionHeader(termsMax: number): ElectionHeader {
  return { termsMax, hintsCount: HINTS_COUNT, generation: 0, isRenewing: false };
}

/** Where everything stands. */
export function electionRegion(fsid: bigint, header: ElectionHeader): QuorumRegion {
  const { termsMax, hintsCount, generation } = header;
  const perArea = 2n * BigInt(termsMax);
  const slotsBlock = BigInt(ELECTION_HEADER_BLOCKS + hintsCount);
  return {
    fsid,
    hintsBlock: BigInt(ELECTION_HEADER_BLOCKS),
    hintsCount,
    slotsBlock,
    termsMax,
    termBase: BigInt(termsMax) * BigInt(generation),
    generation,
    recordsBlock: slotsBlock + perArea,
    recordsCopyBlock: slotsBlock + 2n * perArea,
  };
}

/** Both copies of the header, to be written one after the other, each durably. */
export function sealElectionHeader(fsid: bigint, header: ElectionHeader): readonly FormattedBlock[] {
  return Array.from({ length: ELECTION_HEADER_BLOCKS }, (_, index) => {
    const address = BigInt(index);
    const identity = { fsid, address, term: 0n, writer: 0n, seq: 0n, type: BlockType.election };
    return { address, block: sealBlock(identity, ElectionHeader.encode(header)) };
  });
}

/** A header and the identity of its device. */
export interface FoundElection {
  readonly fsid: bigint;
  readonly header: ElectionHeader;
}

/** What the copies say, the one that is further on where they differ; undefined: none of them is a header. */
export function readElectionHeader(copies: readonly Uint8Array[]): FoundElection | undefined {
  let newest: FoundElection | undefined;
  for (const [index, block] of copies.entries()) {
    const found = readCopy(block, BigInt(index));
    if (found !== undefined && (newest === undefined || stepOf(found) > stepOf(newest))) newest = found;
  }
  return newest;
}

function stepOf({ header }: FoundElection): number {
  return 2 * header.generation + (header.isRenewing ? 1 : 0);
}

function readCopy(block: Uint8Array, address: bigint): FoundElection | undefined {
  // The identity is what is to be learnt, so the block's own is taken.
  const fsid = new DataView(block.buffer, block.byteOffset, block.length).getBigUint64(8, true);
  try {
    const { payload } = openBlock(block, { fsid, address, types: [BlockType.election] });
    return { fsid, header: ElectionHeader.decode(payload) };
  } catch (error) {
    if (error instanceof BlockError || error instanceof RangeError) return undefined;
    throw error;
  }
}
