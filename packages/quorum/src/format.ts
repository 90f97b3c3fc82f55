import { sealRecord } from "./record.ts";
import { lastTerm, type QuorumRegion, recordBlock, splitterBlock } from "./region.ts";
import { sealMark, sealPristine } from "./slot.ts";

/** One block to write. */
export interface FormattedBlock {
  /** Block number. */
  readonly address: bigint;
  /** 4096 bytes. */
  readonly block: Uint8Array;
}

/**
 * Everything mkfs writes into the region: pristine blocks, and term 1 taken and resigned, with the volume's first
 * state as its record. In ascending order within hints, slots, records and the records' copy.
 *
 * @param payload - The first state, at most `RECORD_PAYLOAD_BYTES_MAX` bytes.
 */
export function* formatQuorum(region: QuorumRegion, payload: Uint8Array): Generator<FormattedBlock> {
  const blocksCount = 2n * lastTerm(region);
  yield* pristine(region, region.hintsBlock, BigInt(region.hintsCount));
  const x = splitterBlock(region, 1n);
  for (const address of [x, x + 1n]) {
    const mark = { claim: 0n, isVoid: false };
    yield { address, block: sealMark(region, { address, writer: 0n, mark }) };
  }
  yield* pristine(region, x + 2n, blocksCount - 2n);
  for (const copy of [0, 1] as const) {
    const address = recordBlock(region, 1n, copy);
    const record = { term: 1n, seq: 1n, writer: 0n, address: "", payload };
    yield { address, block: sealRecord(record, { fsid: region.fsid, block: address }) };
    yield* pristine(region, address + 1n, blocksCount - 1n);
  }
}

function* pristine(region: QuorumRegion, start: bigint, count: bigint): Generator<FormattedBlock> {
  for (let address = start; address < start + count; address += 1n)
    yield { address, block: sealPristine(region, address) };
}
