/*
 * Blocks of 4 KiB. As damage leaves them: no byte may differ unnoticed. As a liar would seal them, with every checksum
 * right: whoever reads the payload must refuse what cannot be, and end.
 */
import { decodeNode } from "@holdfast/btree";
import { NO_PROCESS, SuperBlock, VolumeState } from "@holdfast/member";
import {
  formatQuorum,
  type QuorumRegion,
  readHint,
  readSlot,
  sealHint,
  sealMark,
  sealRecord,
} from "@holdfast/quorum";
import { SegmentFooter } from "@holdfast/segment";
import {
  BLOCK_PAYLOAD_BYTES,
  BlockHeader,
  BlockType,
  equalBytes,
  openBlock,
  openReferencedBlock,
  refTo,
  resealBlock,
  sealBlock,
} from "@holdfast/wire-format";
import { FindingError, type FuzzTarget, verdictOf } from "../target.ts";
import { FSID, sampleRecord, sampleState, treeNodePayloads } from "./samples.ts";
import { roundTrip } from "./structs.ts";

const REGION: QuorumRegion = {
  fsid: FSID,
  hintsBlock: 1n,
  hintsCount: 16,
  slotsBlock: 20n,
  termsMax: 8,
  recordsBlock: 200n,
  recordsCopyBlock: 400n,
  termBase: 0n,
  generation: 1,
};
const ADDRESS = 77n;

/** The targets of this file. */
export async function blockTargets(): Promise<readonly FuzzTarget[]> {
  const nodes = await treeNodePayloads();
  const state = VolumeState.encode(sampleState());
  const record = REGION.recordsBlock + 4n;
  const mark = REGION.slotsBlock + 4n;
  return [
    damagedBlocks(nodes),
    treeNodes(nodes),
    slot(
      "marks of candidates",
      mark,
      sealMark(REGION, { address: mark, writer: 5n, mark: { claim: 5n, isVoid: false } }),
    ),
    slot("commit records", record, sealRecord(sampleRecord(state), { fsid: FSID, block: record })),
    slot("the first record", REGION.recordsBlock, firstRecord(state)),
    hints(),
    roundTrip("states of a volume under a right checksum", 8, state, VolumeState),
    roundTrip("super blocks under a right checksum", 4, superBlock(), SuperBlock),
    roundTrip(
      "footers of segments under a right checksum",
      4,
      new Uint8Array(SegmentFooter.sizeBytes),
      SegmentFooter,
    ),
  ];
}

/** Damage behind the seal: every difference is noticed. */
function damagedBlocks(payloads: readonly Uint8Array[]): FuzzTarget {
  const identity = { fsid: FSID, address: ADDRESS, term: 3n, writer: 9n, seq: 5n, type: BlockType.treeNode };
  const seeds = payloads.map((payload) => sealBlock(identity, payload));
  const first = seeds[0] ?? new Uint8Array(0);
  const ref = refTo(first);
  const expected = { fsid: FSID, address: ADDRESS, types: [BlockType.treeNode] };
  return {
    name: "damaged blocks",
    weight: 20,
    seeds,
    isFixedLength: true,
    feed: (input) => {
      const verdict = verdictOf(() => openBlock(input, expected));
      if (verdict === "refused") return verdict;
      if (!seeds.some((seed) => equalBytes(seed, input)))
        throw new FindingError("a damaged block was opened");
      const meant = verdictOf(() => openReferencedBlock(input, ref, expected));
      if (meant === "accepted" && !equalBytes(first, input))
        throw new FindingError("another block was taken for the one meant");
      return verdict;
    },
  };
}

/** A payload that no checksum protects any more: wrong counts, lengths, order. */
function treeNodes(payloads: readonly Uint8Array[]): FuzzTarget {
  return {
    name: "tree nodes under a right checksum",
    weight: 20,
    seeds: payloads,
    isFixedLength: false,
    feed: (input) => verdictOf(() => decodeNode(input.subarray(0, BLOCK_PAYLOAD_BYTES), ADDRESS)),
  };
}

/** A block of the term slots: it is a mark, a record, pristine or unreadable, and reading it never throws. */
function slot(name: string, address: bigint, block: Uint8Array): FuzzTarget {
  return {
    name,
    weight: 6,
    seeds: [block],
    isFixedLength: true,
    feed: (input, entropy) => {
      const { state } = readSlot(REGION, address, resealed(input, block, entropy));
      return state === "unreadable" ? "refused" : "accepted";
    },
  };
}

function hints(): FuzzTarget {
  const address = REGION.hintsBlock;
  const block = sealHint(REGION, address, {
    rid: 5n,
    term: 3n,
    counter: 4,
    reachesServer: true,
    isServing: false,
    address: "tcp://127.0.0.1:4000",
  });
  return {
    name: "hints of voters",
    weight: 4,
    seeds: [block],
    isFixedLength: true,
    feed: (input, entropy) =>
      readHint(REGION, address, resealed(input, block, entropy)) === undefined ? "refused" : "accepted",
  };
}

/** Half of the inputs get a right checksum and a right place again, so that what is behind these checks is reached. */
function resealed(input: Uint8Array, original: Uint8Array, entropy: number): Uint8Array {
  if (entropy % 2 === 0) return input;
  const header = BlockHeader.decode(original.subarray(0, BlockHeader.sizeBytes));
  const lied =
    BlockHeader.decode(input.subarray(0, BlockHeader.sizeBytes)).length % (BLOCK_PAYLOAD_BYTES + 1);
  const copy = input.slice();
  resealBlock(header, entropy % 4 === 1 ? lied : header.length, copy);
  return copy;
}

function firstRecord(state: Uint8Array): Uint8Array {
  for (const { address, block } of formatQuorum(REGION, state))
    if (address === REGION.recordsBlock) return block;
  throw new FindingError("a formatted region has no first record");
}

function superBlock(): Uint8Array {
  const content = {
    formatVersion: 1,
    formatHash: 2n,
    fsid: FSID,
    blockCount: 1000n,
    termsMax: 64,
    votes: 2,
    termBase: 0n,
    generation: 1,
    isRenewing: false,
    renewer: 5n,
    renewerProcess: NO_PROCESS,
  };
  return SuperBlock.encode({ ...content, key: new Uint8Array(32).fill(3), label: "fuzz" });
}
