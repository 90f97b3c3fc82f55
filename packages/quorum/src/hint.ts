/*
 * Hints: what voters tell one another through the device. Nothing but liveness hangs on them.
 *
 * Each voter writes a random block of the region at every heartbeat, so no block is anybody's and nothing need be
 * configured. A hint that is overwritten, lost or torn costs time.
 */
import {
  BlockError,
  BlockType,
  flag,
  openBlock,
  type StructCodec,
  sealBlock,
  struct,
  text,
  u53,
  u64,
} from "@holdfast/wire-format";
import { RECORD_ADDRESS_BYTES_MAX } from "./record.ts";
import type { QuorumRegion } from "./region.ts";

/** What a voter says of itself. */
export interface Hint {
  /** The voter. */
  readonly rid: bigint;
  /** The latest server's term it knows of; 0: none. */
  readonly term: bigint;
  /** Grows with each hint of this voter. A hint is alive while its counter changes; nobody's clock is compared. */
  readonly counter: number;
  /** True: it heard the server within the election time-out, or is the server. */
  readonly reachesServer: boolean;
  /** True: it has won `term` and not resigned. */
  readonly isServing: boolean;
  /** Where it listens. */
  readonly address: string;
}

/** Layout of a hint's payload. The voter stands in the block's header. */
export const HintBody: StructCodec<Omit<Hint, "rid">> = struct("HintBody", {
  term: u64,
  counter: u53,
  reachesServer: flag,
  isServing: flag,
  address: text(RECORD_ADDRESS_BYTES_MAX),
});

/**
 * The block that holds a hint.
 *
 * @param block - Any block of the hints.
 * @throws RangeError when the address is longer than `RECORD_ADDRESS_BYTES_MAX` bytes.
 */
export function sealHint(region: QuorumRegion, block: bigint, hint: Hint): Uint8Array {
  const { rid: writer, ...body } = hint;
  const { fsid, generation } = region;
  const seq = BigInt(generation);
  const identity = { fsid, address: block, term: 0n, writer, seq, type: BlockType.hint };
  return sealBlock(identity, HintBody.encode(body));
}

/** The hint in a block, or undefined when there is none of this generation that can be read. */
export function readHint(region: QuorumRegion, address: bigint, block: Uint8Array): Hint | undefined {
  try {
    const types = [BlockType.hint];
    const { header, payload } = openBlock(block, { fsid: region.fsid, address, types });
    if (header.seq !== BigInt(region.generation)) return undefined;
    const { term, counter, reachesServer, isServing, address: listens } = HintBody.decode(payload);
    return { rid: header.writer, term, counter, reachesServer, isServing, address: listens };
  } catch (error) {
    // A lost hint costs time only.
    if (error instanceof BlockError || error instanceof RangeError) return undefined;
    throw error;
  }
}
