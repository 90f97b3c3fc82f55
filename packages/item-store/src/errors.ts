/*
 * What can go wrong in an item store, by class. After a "fenced" error, or a journal write that failed, the store
 * is of no further use: every later call fails with that same error.
 */
import { HoldfastError } from "@holdfast/environment";

/** A user key that is empty or has more bytes than fit one key. */
export class KeyTooLongError extends HoldfastError<
  "ERR_HOLDFAST_KEY_TOO_LONG",
  { readonly lengthBytes: number; readonly maxBytes: number }
> {
  constructor(lengthBytes: number, maxBytes: number) {
    super(
      "ERR_HOLDFAST_KEY_TOO_LONG",
      "usage",
      `a user key has 1 to ${maxBytes} bytes, this one has ${lengthBytes}`,
      { lengthBytes, maxBytes },
    );
  }
}

/** A value with more bytes than an item may have. */
export class ValueTooLongError extends HoldfastError<
  "ERR_HOLDFAST_VALUE_TOO_LONG",
  { readonly lengthBytes: number; readonly maxBytes: number }
> {
  constructor(lengthBytes: number, maxBytes: number) {
    super(
      "ERR_HOLDFAST_VALUE_TOO_LONG",
      "usage",
      `a value has at most ${maxBytes} bytes, this one has ${lengthBytes}`,
      { lengthBytes, maxBytes },
    );
  }
}

/** A transaction that does not fit one journal entry, and so could not be atomic. */
export class TransactionTooLargeError extends HoldfastError<
  "ERR_HOLDFAST_TRANSACTION_TOO_LARGE",
  { readonly lengthBytes: number; readonly maxBytes: number }
> {
  constructor(lengthBytes: number, maxBytes: number) {
    super(
      "ERR_HOLDFAST_TRANSACTION_TOO_LARGE",
      "usage",
      `a transaction takes at most ${maxBytes} bytes of journal, this one takes ${lengthBytes}`,
      { lengthBytes, maxBytes },
    );
  }
}

/** More transactions wait for the journal than the store's queue holds. */
export class CommitQueueFullError extends HoldfastError<
  "ERR_HOLDFAST_COMMIT_QUEUE_FULL",
  { readonly queuedBytes: number; readonly maxBytes: number }
> {
  constructor(queuedBytes: number, maxBytes: number) {
    super(
      "ERR_HOLDFAST_COMMIT_QUEUE_FULL",
      "retry",
      `${queuedBytes} bytes of transactions wait for the journal, ${maxBytes} are allowed`,
      { queuedBytes, maxBytes },
    );
  }
}

/** An optimistic transaction whose reads were overtaken again and again. Nothing of it was written. */
export class ConflictError extends HoldfastError<"ERR_HOLDFAST_CONFLICT", { readonly attempts: number }> {
  constructor(attempts: number) {
    super(
      "ERR_HOLDFAST_CONFLICT",
      "conflict",
      `what the transaction had read was changed by others in each of ${attempts} attempts`,
      { attempts },
    );
  }
}

/** A journal write failed: whether the transactions in it survive is unknown. The store is at its end. */
export class JournalWriteError extends HoldfastError<
  "ERR_HOLDFAST_JOURNAL_WRITE",
  { readonly epoch: bigint; readonly block: bigint }
> {
  constructor(epoch: bigint, block: bigint, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_JOURNAL_WRITE",
      "io",
      `writing the journal failed at block ${block} in epoch ${epoch}; the outcome of that commit is unknown`,
      { epoch, block },
      options,
    );
  }
}

/** A journal that lacks what was acknowledged: an entry is damaged that a later one proves to have been whole. */
export class JournalDamagedError extends HoldfastError<
  "ERR_HOLDFAST_JOURNAL_DAMAGED",
  { readonly epoch: bigint; readonly block: bigint }
> {
  constructor(what: string, epoch: bigint, block: bigint) {
    super("ERR_HOLDFAST_JOURNAL_DAMAGED", "corruption", `the journal is damaged: ${what}`, { epoch, block });
  }
}

/** Segments of the newest manifest cannot be read although the manifest is current. */
export class ManifestDamagedError extends HoldfastError<
  "ERR_HOLDFAST_MANIFEST_DAMAGED",
  { readonly version: bigint }
> {
  constructor(version: bigint, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_MANIFEST_DAMAGED",
      "corruption",
      `manifest ${version} is the newest and names a segment that is not on the device`,
      { version },
      options,
    );
  }
}

/** The space given for segments comes in pieces too small for one item, or in too many. Free space mends it. */
export class SpaceFragmentedError extends HoldfastError<
  "ERR_HOLDFAST_SPACE_FRAGMENTED",
  { readonly lengthBlocks: number; readonly wantedBlocks: number }
> {
  constructor(lengthBlocks: number, wantedBlocks: number) {
    super(
      "ERR_HOLDFAST_SPACE_FRAGMENTED",
      "retry",
      `${wantedBlocks} blocks were to be written and only ${lengthBlocks} in a row are free: delete data, or release quarantined space`,
      { lengthBlocks, wantedBlocks },
    );
  }
}

/** A call to a store that was closed. */
export class StoreClosedError extends HoldfastError<"ERR_HOLDFAST_STORE_CLOSED", Record<string, never>> {
  constructor() {
    super("ERR_HOLDFAST_STORE_CLOSED", "usage", "the item store is closed", {});
  }
}
