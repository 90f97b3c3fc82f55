/*
 * Sees what elections and commit records go through: by what lands in the slots, and by what servers log.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import { DeposedError, placeOf, type QuorumRegion, readSlot, recordBlock, halfOf } from "@holdfast/quorum";
import type { Counters } from "../scenario/counters.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { Medium } from "../world/medium.ts";

/** What it works with. */
export interface ElectionWatchOptions {
  readonly region: QuorumRegion;
  readonly counters: Counters;
  readonly medium: Medium;
}

/** What happened in one term. */
interface TermSeen {
  winner: bigint | undefined;
  readonly losers: Set<bigint>;
  readonly claimants: Set<bigint>;
  readonly announcers: Set<bigint>;
  confirmedSeq: bigint;
}

/** Counts what elections and commit records go through. */
export class ElectionWatch {
  readonly #options: ElectionWatchOptions;
  readonly #terms: Map<bigint, TermSeen> = new Map();
  #newestWon = 0n;

  constructor(options: ElectionWatchOptions) {
    this.#options = options;
  }

  /** A write lands among the slots. */
  landed({ firstBlock, bytes }: LandingWrite): void {
    const { region, counters } = this.#options;
    if (!isSlot(region, firstBlock)) return;
    const { kind, term } = placeOf(region, firstBlock);
    const slot = bytes.length === BLOCK_BYTES ? readSlot(region, firstBlock, bytes) : undefined;
    const seen = this.#term(term);
    if (slot?.state === "mark") {
      if (slot.mark.isVoid) counters.add("term-marked-void");
      else if (kind === "x") seen.claimants.add(slot.writer);
      else seen.announcers.add(slot.writer);
    }
    if (kind !== "record") return;
    if (slot === undefined) counters.add("record-torn");
    if (term < this.#newestWon) counters.add("record-landed-late");
    if (slot?.state === "record" && slot.record.address === "") counters.add("server-resigned");
  }

  /** A candidate won a term and goes on from a record. */
  won(rid: bigint, { term, adoptedTerm, adoptedSeq }: Readonly<Record<string, bigint>>): void {
    if (term === undefined || adoptedTerm === undefined || adoptedSeq === undefined) return;
    const { counters } = this.#options;
    const former = this.#term(adoptedTerm);
    if (adoptedSeq > former.confirmedSeq && former.winner !== undefined)
      counters.add("unconfirmed-record-adopted");
    if (!this.#areCopiesAlike(adoptedTerm, adoptedSeq)) counters.add("adopted-from-one-copy");
    this.#term(term).winner = rid;
    if (term > this.#newestWon) this.#newestWon = term;
    const before = this.#terms.get(term - 1n);
    if (before !== undefined && before.losers.size > 1 && before.winner === undefined)
      counters.add("term-lost-by-all");
    for (const old of this.#terms.keys()) if (old + TERMS_KEPT < term) this.#terms.delete(old);
  }

  /** A candidate lost a term. One that yielded had not claimed it. */
  lost(rid: bigint, term: bigint): void {
    const seen = this.#term(term);
    if (!seen.claimants.has(rid)) return;
    seen.losers.add(rid);
    this.#options.counters.add(seen.announcers.has(rid) ? "term-lost-by-x" : "term-lost-by-y");
  }

  /** A record passed its check. */
  confirmed(term: bigint, seq: bigint): void {
    this.#term(term).confirmedSeq = seq;
    const next = this.#terms.get(term + 1n);
    if (next !== undefined && next.claimants.size > 0 && next.announcers.size === 0)
      this.#options.counters.add("claimed-not-announced");
  }

  /** A server ended for this reason. */
  ended(error: unknown): void {
    if (!(error instanceof DeposedError)) return;
    if (error.facts.by > error.facts.term + 1n) this.#options.counters.add("deposed-past-claims");
  }

  #term(term: bigint): TermSeen {
    const known = this.#terms.get(term);
    if (known !== undefined) return known;
    const fresh: TermSeen = {
      winner: undefined,
      losers: new Set(),
      claimants: new Set(),
      announcers: new Set(),
      confirmedSeq: 0n,
    };
    this.#terms.set(term, fresh);
    return fresh;
  }

  /** True if both copies hold a record of this number. */
  #areCopiesAlike(term: bigint, seq: bigint): boolean {
    const { region, medium } = this.#options;
    return ([0, 1] as const).every((copy) => {
      const block = recordBlock(region, term, copy) + BigInt(halfOf(seq));
      const bytes = new Uint8Array(BLOCK_BYTES);
      medium.read(Number(block) * BLOCK_BYTES, bytes);
      const slot = readSlot(region, block, bytes);
      return slot.state === "record" && slot.record.seq === seq;
    });
  }
}

/** Older terms are not asked for any more. */
const TERMS_KEPT = 64n;

function isSlot(
  { slotsBlock, recordsBlock, recordsCopyBlock, termsMax }: QuorumRegion,
  block: bigint,
): boolean {
  const count = 2n * BigInt(termsMax);
  return [slotsBlock, recordsBlock, recordsCopyBlock].some(
    (first) => block >= first && block < first + count,
  );
}
