import { sealRecord } from "./record.ts";
import { firstTerm, type QuorumRegion, type RecordHalf, recordBlock, splitterBlock } from "./region.ts";
import { sealMark, sealPristine } from "./slot.ts";

/** One block to write. */
export interface FormattedBlock {
  /** Block number. */
  readonly address: bigint;
  /** 4096 bytes. */
  readonly block: Uint8Array;
}

/**
 * Everything mkfs writes into the region: pristine blocks, and the first term taken and resigned, with the volume's first
 * state as its record. In ascending order within hints, slots, records and the records' copy.
 *
 * @param payload - The first state, at most `RECORD_PAYLOAD_BYTES_MAX` bytes.
 */
export function* formatQuorum(region: QuorumRegion, payload: Uint8Array): Generator<FormattedBlock> {
  yield* formatHintsAndSlots(region);
  const [first, second] = firstRecords(region, payload);
  yield first;
  yield* formatRecordsBehind(region, 0);
  yield second;
  yield* formatRecordsBehind(region, 1);
}

/** Hints and splitters of a new generation: all pristine but the first term's, which is taken. */
export function* formatHintsAndSlots(region: QuorumRegion): Generator<FormattedBlock> {
  yield* pristine(region, region.hintsBlock, BigInt(region.hintsCount));
  const x = splitterBlock(region, firstTerm(region));
  for (const address of [x, x + 1n]) {
    const mark = { claim: 0n, isVoid: false };
    yield { address, block: sealMark(region, { address, writer: 0n, mark }) };
  }
  yield* pristine(region, x + 2n, 2n * BigInt(region.termsMax) - 2n);
}

/** Which half of its term the first record of a generation stands in: never where the generation before it had its own. */
export function firstRecordHalf(region: QuorumRegion): RecordHalf {
  return region.generation % 2 === 0 ? 0 : 1;
}

/** Both copies of the first record of a generation: copy 0, then copy 1. */
export function firstRecords(
  region: QuorumRegion,
  payload: Uint8Array,
): readonly [FormattedBlock, FormattedBlock] {
  const term = firstTerm(region);
  const half = firstRecordHalf(region);
  const record = { term, seq: BigInt(half) + 1n, writer: 0n, address: "", payload };
  const seal = (address: bigint): FormattedBlock => ({
    address,
    block: sealRecord(record, { fsid: region.fsid, block: address }),
  });
  return [
    seal(recordBlock(region, term, 0) + BigInt(half)),
    seal(recordBlock(region, term, 1) + BigInt(half)),
  ];
}

/** One copy's records of a new generation, all pristine, but for the first record. */
export function* formatRecordsBehind(region: QuorumRegion, copy: 0 | 1): Generator<FormattedBlock> {
  const start = recordBlock(region, firstTerm(region), copy);
  const half = BigInt(firstRecordHalf(region));
  yield* pristine(region, start + (1n - half), 1n);
  yield* pristine(region, start + 2n, 2n * BigInt(region.termsMax) - 2n);
}

function* pristine(region: QuorumRegion, start: bigint, count: bigint): Generator<FormattedBlock> {
  for (let address = start; address < start + count; address += 1n)
    yield { address, block: sealPristine(region, address) };
}
