import type { CommitRecord } from "./record.ts";

/**
 * The server's role in one term, as a driver offers it over `Commit` and `Check`.
 *
 * The first error is the last word: whatever is asked afterwards is refused with it, and nothing more is written.
 */
export interface Leadership {
  /** The term; nobody else has won it, or will. */
  readonly term: bigint;
  /** The record this term goes on from. */
  readonly adopted: CommitRecord;
  /**
   * Commits a payload. One at a time: the caller gathers what comes meanwhile; a second call is a bug.
   *
   * @param address - Where this server listens; empty: it resigns with this commit.
   * @returns The record's number within the term.
   * @throws `DeposedError` `ERR_HOLDFAST_DEPOSED`: the outcome is unknown, the role is over.
   * @throws `RecordWriteError` `ERR_HOLDFAST_RECORD_WRITE`: the same.
   * @throws `DeviceStalledError` `ERR_HOLDFAST_DEVICE_STALLED`: the same; the device has not answered in time.
   * @throws RangeError when the payload or the address is too long; nothing has happened.
   */
  commit(payload: Uint8Array, address: string): Promise<bigint>;
  /**
   * Resolves when a reading that began after this call has seen no later term (rule E8).
   *
   * @throws `DeposedError`, `RecordWriteError` or `DeviceStalledError`: the role is over.
   */
  check(): Promise<void>;
}
