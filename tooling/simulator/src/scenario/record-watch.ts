/*
 * Watches the commit records of a volume as they land: they form one chain.
 *
 * That (term, seq) is on the device proves that (term, seq − 1) was committed: a server writes the next record only
 * after the check of the one before. That (term, seq) itself is committed, and what a winner adopted, is taken from the
 * servers' logs: they say so before they answer anybody.
 */
import { BLOCK_BYTES, HoldfastError } from "@holdfast/environment";
import { type CommitRecord, placeOf, type QuorumRegion, readRecord, type SlotPlace } from "@holdfast/quorum";
import { BlockType, hash128, openBlock } from "@holdfast/wire-format";
import { CommitChain } from "../judge/commit-chain.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { Counters } from "./counters.ts";

/** What a watch works with. */
export interface RecordWatchOptions {
  readonly region: QuorumRegion;
  readonly counters: Counters;
  /** Told of each record that is known to be committed, in the order of the servers' words. */
  readonly onCommitted: (record: CommitRecord) => void;
  /** Told what the servers' words revealed. */
  readonly complain: (message: string) => void;
  readonly note: (process: string, what: () => string) => void;
}

/** Landed records of one term that are kept until the server says that they are committed. */
const RECORDS_KEPT = 4n;

/** Judges landing commit records. */
export class RecordWatch {
  readonly #options: RecordWatchOptions;
  readonly #chain = new CommitChain();
  readonly #winners = new Map<bigint, bigint>();
  readonly #landed = new Map<bigint, Map<bigint, CommitRecord>>();

  constructor(options: RecordWatchOptions) {
    this.#options = options;
  }

  /** Judges one landing write; pieces of torn records are nobody's record. */
  judge(write: LandingWrite): string | undefined {
    const place = this.#placeOf(write.firstBlock);
    if (place === undefined) return undefined;
    const { term } = place;
    if (place.kind !== "record") {
      this.#options.note(write.processId, () => `${place.kind.toUpperCase()} of term ${term} lands`);
      return undefined;
    }
    const winner = this.#winners.get(term);
    if (winner === undefined || (write.rid !== undefined && write.rid !== winner))
      return `a record of term ${term} by ${write.rid ?? "a stranger"}, which ${winner ?? "nobody"} has won`;
    const record = this.#open(write);
    this.#options.note(write.processId, () => {
      const seq = record === undefined ? `(${term}, ?), a piece of it,` : `(${term}, ${record.seq})`;
      return `record ${seq} lands in half ${place.half}, copy ${place.copy}`;
    });
    return record === undefined ? undefined : this.#judgeRecord(record);
  }

  /** Takes what a member logged. */
  heard(facts: object): void {
    const { event, term, seq, rid, adoptedTerm, adoptedSeq } = facts as Readonly<Record<string, unknown>>;
    if (typeof term !== "bigint") return;
    if (event === "commit.recorded" && typeof seq === "bigint") this.#acknowledged(term, seq);
    // It is logged behind the opening commit and before anybody is answered.
    if (event === "server.opened") this.#acknowledged(term, 1n);
    if (event !== "election.won") return;
    if (typeof rid !== "bigint" || typeof adoptedTerm !== "bigint" || typeof adoptedSeq !== "bigint") return;
    this.#options.counters.add("term won");
    const former = this.#winners.get(term);
    if (former !== undefined) this.#complain(`term ${term} was won by ${former} and by ${rid}`);
    this.#winners.set(term, rid);
    this.#complain(this.#chain.adopted({ term, fromTerm: adoptedTerm, fromSeq: adoptedSeq }));
  }

  #judgeRecord(record: CommitRecord): string | undefined {
    const { term, seq, writer, payload } = record;
    this.#options.counters.add("record landed");
    const digest = hash128(payload).join();
    const complaint = this.#chain.landed({ term, seq, writer, digest });
    const ofTerm = this.#landed.get(term) ?? new Map<bigint, CommitRecord>();
    this.#landed.set(term, ofTerm);
    ofTerm.set(seq, { ...record, payload: payload.slice() });
    ofTerm.delete(seq - RECORDS_KEPT);
    return complaint ?? (seq > 1n ? this.#chain.acknowledged(term, seq - 1n) : undefined);
  }

  #acknowledged(term: bigint, seq: bigint): void {
    this.#complain(this.#chain.acknowledged(term, seq));
    const record = this.#landed.get(term)?.get(seq);
    if (record !== undefined) this.#options.onCommitted(record);
  }

  #complain(complaint: string | undefined): void {
    if (complaint !== undefined) this.#options.complain(complaint);
  }

  /** What of a term belongs at a block; undefined outside the term slots. */
  #placeOf(block: bigint): SlotPlace | undefined {
    const { region } = this.#options;
    const count = 2n * BigInt(region.termsMax);
    const isSlot = [region.slotsBlock, region.recordsBlock, region.recordsCopyBlock].some(
      (first) => block >= first && block < first + count,
    );
    return isSlot ? placeOf(region, block) : undefined;
  }

  #open(write: LandingWrite): CommitRecord | undefined {
    if (write.blockCount !== 1 || write.bytes.length !== BLOCK_BYTES) return undefined;
    const { fsid } = this.#options.region;
    try {
      return readRecord(
        openBlock(write.bytes, { fsid, address: write.firstBlock, types: [BlockType.record] }),
      );
    } catch (error) {
      // A block that is no record of this volume.
      if (error instanceof HoldfastError) return undefined;
      throw error;
    }
  }
}
