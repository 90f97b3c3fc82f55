/*
 * The chain of committed records: what its links look like from outside.
 *
 * Rules: a term has one writer; (term, seq) is written with one content; seq rises by one within a term; what a server
 * acknowledged as committed was written before, and the first record of a later term adopts it or a successor.
 */

/** One commit record as it lands on the device. */
export interface ChainRecord {
  readonly term: bigint;
  /** Within the term, from 1. */
  readonly seq: bigint;
  /** Who wrote it. */
  readonly writer: bigint;
  /** Anything that differs when the content does. */
  readonly digest: string;
}

/** The record that the winner of a term began from. */
export interface Adoption {
  readonly term: bigint;
  readonly fromTerm: bigint;
  readonly fromSeq: bigint;
}

interface TermChain {
  readonly writer: bigint;
  readonly digests: Map<bigint, string>;
  lastSeq: bigint;
  acknowledgedSeq: bigint;
}

/** Watches that committed records form one chain; each method returns a complaint, or undefined. */
export class CommitChain {
  readonly #terms = new Map<bigint, TermChain>();
  readonly #adoptions: Adoption[] = [];

  /** A record, or one more copy of it, landed. Late copies of older records are no offence. */
  landed(record: ChainRecord): string | undefined {
    const { term, seq, writer, digest } = record;
    let chain = this.#terms.get(term);
    if (chain === undefined) {
      chain = { writer, digests: new Map(), lastSeq: seq - 1n, acknowledgedSeq: 0n };
      this.#terms.set(term, chain);
    }
    if (chain.writer !== writer) {
      return `term ${term} has records of two writers, ${chain.writer} and ${writer}`;
    }
    const former = chain.digests.get(seq);
    if (former !== undefined && former !== digest) return `record (${term}, ${seq}) has two contents`;
    if (former === undefined && seq !== chain.lastSeq + 1n) {
      return `record (${term}, ${seq}) follows (${term}, ${chain.lastSeq})`;
    }
    chain.digests.set(seq, digest);
    if (seq > chain.lastSeq) chain.lastSeq = seq;
    return undefined;
  }

  /** A server told somebody that its record is committed. */
  acknowledged(term: bigint, seq: bigint): string | undefined {
    const chain = this.#terms.get(term);
    if (chain === undefined || !chain.digests.has(seq)) {
      return `(${term}, ${seq}) was acknowledged before it was written`;
    }
    if (seq > chain.acknowledgedSeq) chain.acknowledgedSeq = seq;
    const fork = this.#adoptions.find((a) => a.term > term && isBefore(a, term, seq));
    return fork === undefined ? undefined : forked(fork, term, seq);
  }

  /** The winner of a term chose the record that it goes on from. */
  adopted(adoption: Adoption): string | undefined {
    this.#adoptions.push(adoption);
    for (const [term, { acknowledgedSeq }] of this.#terms) {
      if (acknowledgedSeq === 0n || term >= adoption.term) continue;
      if (isBefore(adoption, term, acknowledgedSeq)) return forked(adoption, term, acknowledgedSeq);
    }
    return undefined;
  }
}

function isBefore(adoption: Adoption, term: bigint, seq: bigint): boolean {
  return adoption.fromTerm < term || (adoption.fromTerm === term && adoption.fromSeq < seq);
}

function forked({ term, fromTerm, fromSeq }: Adoption, lostTerm: bigint, lostSeq: bigint): string {
  return `term ${term} goes on from (${fromTerm}, ${fromSeq}), but (${lostTerm}, ${lostSeq}) was acknowledged`;
}
