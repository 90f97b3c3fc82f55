/*
 * The way of a transaction into the order of effect: check its sizes, take its locks in key order, submit it, and hold
 * the locks until it is applied.
 */
import { CancelledError, type HoldfastError } from "@holdfast/environment";
import { covers, type LockMode } from "@holdfast/lock-protocol";
import { KEY_BYTES, compareBytes } from "@holdfast/wire-format";
import { TransactionTooLargeError, ValueTooLongError } from "./errors.ts";
import type { GroupCommit, Operation, Submission } from "./group-commit.ts";
import { ITEM_VALUE_BYTES_MAX } from "./item-table.ts";
import { itemSizeBytes } from "./journal-format.ts";
import type { CachedRange } from "./lock-ranges.ts";
import type { StoreLockHold, StoreLocks } from "./ports.ts";

/** The locks that a transaction holds. */
export type HeldLocks = ReadonlyMap<CachedRange, StoreLockHold>;

/**
 * Bytes that operations take in a journal entry.
 *
 * @throws {@link ValueTooLongError} `ERR_HOLDFAST_VALUE_TOO_LONG`, {@link TransactionTooLargeError}
 *   `ERR_HOLDFAST_TRANSACTION_TOO_LARGE`; RangeError for a key that has not 32 bytes.
 */
export function checkedSizeBytes(operations: readonly Operation[], maxBytes: number): number {
  let sizeBytes = 0;
  for (const { key, value } of operations) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
    if (value !== undefined && value.length > ITEM_VALUE_BYTES_MAX)
      throw new ValueTooLongError(value.length, ITEM_VALUE_BYTES_MAX);
    sizeBytes += itemSizeBytes(value);
  }
  if (sizeBytes > maxBytes) throw new TransactionTooLargeError(sizeBytes, maxBytes);
  return sizeBytes;
}

/** Adds a lock to what is wanted; the stronger mode stays. */
export function want(wanted: Map<CachedRange, LockMode>, range: CachedRange, mode: LockMode): void {
  const already = wanted.get(range);
  if (already === undefined || !covers(already, mode)) wanted.set(range, mode);
}

/**
 * Takes locks in the order of their keys, as everybody does, so that no two wait for each other.
 *
 * @throws what the lock port throws; nothing is held then.
 */
export async function acquireAll(
  locks: StoreLocks,
  wanted: ReadonlyMap<CachedRange, LockMode>,
  signal: AbortSignal | undefined,
): Promise<HeldLocks> {
  const ordered = [...wanted].sort(([a], [b]) => compareBytes(a.range.start, b.range.start));
  const held = new Map<CachedRange, StoreLockHold>();
  try {
    for (const [range, mode] of ordered) {
      const hold = locks.tryAcquire(range.range, mode) ?? (await locks.acquire(range.range, mode, signal));
      held.set(range, hold);
    }
    return held;
  } catch (error) {
    releaseAll(held);
    throw error;
  }
}

/** Lets go of locks. */
export function releaseAll(held: HeldLocks): void {
  for (const hold of held.values()) hold.release();
}

/**
 * Submits operations under locks, which are released when they are applied or failed.
 *
 * A cancelled wait takes them out of the queue if they are in no group yet; otherwise they go on without anybody
 * waiting: whether they were written shows when they are read.
 *
 * @returns Resolves when they are durable, checked and applied.
 * @throws {@link CancelledError} `ERR_HOLDFAST_CANCELLED`; what ended the store.
 */
export function submit(
  commits: GroupCommit,
  transaction: {
    readonly operations: readonly Operation[];
    readonly seqs: readonly bigint[];
    readonly itemsBytes: number;
    readonly held: HeldLocks;
  },
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const submission: Submission = {
      operations: transaction.operations,
      seqs: transaction.seqs,
      itemsBytes: transaction.itemsBytes,
      isDeletesOnly: transaction.operations.every(({ value }) => value === undefined),
      done(error?: HoldfastError) {
        signal?.removeEventListener("abort", onAbort);
        releaseAll(transaction.held);
        if (error === undefined) resolve();
        else reject(error);
      },
    };
    try {
      commits.submit(submission);
    } catch (error) {
      submission.done(error);
      return;
    }
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });

    function onAbort(): void {
      const cancelled = new CancelledError("the commit", { cause: signal?.reason });
      if (commits.withdraw(submission)) submission.done(cancelled);
      else {
        // The caller may reuse its arrays now, and the memtable still needs them.
        submission.operations = submission.operations.map(copyOf);
        reject(cancelled);
      }
    }
  });
}

function copyOf({ key, value }: Operation): Operation {
  return { key: key.slice(), value: value?.slice() };
}
