/*
 * Write sequence numbers: the fencing token of a WRITE grant, and the `seq` of items written under it.
 *
 * (term << 40) | counter. They rise over terms without being stored, because a term is won at most once and is
 * greater than every term before it.
 */
import { invariant } from "@holdfast/environment";

/** Bits of a write sequence number below the term. */
export const WRITE_SEQ_COUNTER_BITS = 40n;

const COUNTER_LIMIT = 1n << WRITE_SEQ_COUNTER_BITS;

/** The write sequence number of the grant that `counter` numbers within its term, from 1. */
export function writeSeqOf(term: bigint, counter: bigint): bigint {
  invariant(counter > 0n && counter < COUNTER_LIMIT, "a term has fewer than 2^40 write grants");
  return (term << WRITE_SEQ_COUNTER_BITS) | counter;
}

/** The term in which a write sequence number was given. */
export function termOfWriteSeq(writeSeq: bigint): bigint {
  return writeSeq >> WRITE_SEQ_COUNTER_BITS;
}
