/*
 * Watches the commit records of a volume as they land: they form one chain.
 *
 * That (term, seq) is on the device proves that (term, seq − 1) was committed: a server writes the next record only
 * after the check of the one before. What a winner adopted is taken from its log, so nothing in the members has to
 * help the judge.
 */
import { BLOCK_BYTES, HoldfastError } from "@holdfast/environment";
import { layoutFor, type SuperBlock } from "@holdfast/member";
import { readRecord, type QuorumRegion } from "@holdfast/quorum";
import { BlockType, hash128, openBlock } from "@holdfast/wire-format";
import { CommitChain } from "../judge/commit-chain.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { Counters } from "./counters.ts";

/** Judges landing commit records. */
export class RecordWatch {
  readonly #region: QuorumRegion;
  readonly #chain = new CommitChain();
  readonly #complaints: string[] = [];
  readonly #counters: Counters | undefined;

  constructor(superBlock: SuperBlock, sizeBytes: bigint, counters: Counters | undefined) {
    this.#region = { fsid: superBlock.fsid, ...layoutFor(sizeBytes, superBlock.termsMax).quorum };
    this.#counters = counters;
  }

  /** What elections revealed. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  /** Judges one landing write; pieces of torn records are nobody's record. */
  judge(write: LandingWrite): string | undefined {
    if (write.blockCount !== 1 || write.bytes.length !== BLOCK_BYTES || !this.#isRecord(write.firstBlock)) {
      return undefined;
    }
    const record = this.#open(write);
    if (record === undefined) return undefined;
    const { term, seq, writer } = record;
    this.#counters?.add("record landed");
    const digest = hash128(record.payload).join();
    const complaint = this.#chain.landed({ term, seq, writer, digest });
    return complaint ?? (seq > 1n ? this.#chain.acknowledged(term, seq - 1n) : undefined);
  }

  /** Takes what a member logged. */
  heard(facts: object): void {
    if (!("event" in facts) || facts.event !== "election.won") return;
    const { term, adoptedTerm, adoptedSeq } = facts as Readonly<Record<string, unknown>>;
    if (typeof term !== "bigint" || typeof adoptedTerm !== "bigint" || typeof adoptedSeq !== "bigint") return;
    this.#counters?.add("term won");
    const complaint = this.#chain.adopted({ term, fromTerm: adoptedTerm, fromSeq: adoptedSeq });
    if (complaint !== undefined) this.#complaints.push(complaint);
  }

  #isRecord(block: bigint): boolean {
    const { recordsBlock, recordsCopyBlock, termsMax } = this.#region;
    const count = 2n * BigInt(termsMax);
    return [recordsBlock, recordsCopyBlock].some((first) => block >= first && block < first + count);
  }

  #open(write: LandingWrite): ReturnType<typeof readRecord> {
    const { fsid } = this.#region;
    try {
      return readRecord(
        openBlock(write.bytes, { fsid, address: write.firstBlock, types: [BlockType.record] }),
      );
    } catch (error) {
      // A block that is no record of this volume: mkfs's pristine ones, for example.
      if (error instanceof HoldfastError) return undefined;
      throw error;
    }
  }
}
