/*
 * Refusals, as numbers on the wire and as errors for the caller.
 */
import { HoldfastError } from "@holdfast/environment";

/** Why a lock message was refused: error numbers of LOCK, INVALIDATE and RECLAIM answers. */
export const LOCK_REFUSALS = {
  /** The bytes are no such message, or break the protocol. */
  malformed: 1,
  /** The range shares keys with a lock of another name, or of the same name and another end. */
  overlap: 2,
  /** The server holds as many locks as it may. */
  tableFull: 3,
  /** The member may not reclaim: no recovery runs, or it is not awaited. */
  noGrace: 4,
  /** The message comes from the server of an earlier term. */
  staleTerm: 5,
  /** The member left or was evicted while its request waited. */
  memberGone: 6,
} as const;

/** Codes of {@link LockError}. */
export type LockErrorCode =
  | "ERR_HOLDFAST_LOCK_CLOSED"
  | "ERR_HOLDFAST_LOCK_OVERLAP"
  | "ERR_HOLDFAST_LOCK_REFUSED"
  | "ERR_HOLDFAST_LOCK_TABLE_FULL";

/** A lock that could not be had. `facts.refusal` is the server's error number, or 0 when it was not asked. */
export class LockError extends HoldfastError<LockErrorCode, { readonly refusal: number }> {
  constructor(
    code: LockErrorCode,
    category: "usage" | "protocol" | "retry",
    message: string,
    refusal: number,
  ) {
    super(code, category, message, { refusal });
  }
}

/** The error for a refusal's number. */
export function lockErrorOf(refusal: number): LockError {
  if (refusal === LOCK_REFUSALS.overlap) {
    return new LockError(
      "ERR_HOLDFAST_LOCK_OVERLAP",
      "usage",
      "the range overlaps a lock with another start or end",
      refusal,
    );
  }
  if (refusal === LOCK_REFUSALS.tableFull) {
    return new LockError("ERR_HOLDFAST_LOCK_TABLE_FULL", "retry", "the server's lock table is full", refusal);
  }
  return new LockError(
    "ERR_HOLDFAST_LOCK_REFUSED",
    "protocol",
    `the lock was refused with error ${refusal}`,
    refusal,
  );
}
