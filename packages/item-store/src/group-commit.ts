/*
 * Group commit: transactions queue, and whatever waits when the journal is free becomes one entry.
 *
 * For each group, in this order: write the journal entry durably; check that this member was not evicted before the
 * write was done; put the items into the memtable; tell the transactions. The order of the queue is the order in
 * the journal and the order of effect, and nobody reads what was not acknowledged.
 *
 * The first failure of a write or a check is the last thing that happens here: the outcome of that group is unknown, and
 * what queues behind it was certainly not written. A transaction that finds no room in the journal because the volume is
 * full is refused alone, before anything of it is written.
 */
import type { BrokenRules, Mutex } from "@holdfast/environment";
import type { Key } from "@holdfast/wire-format";
import { CommitQueueFullError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Memtables } from "./memtables.ts";
import { isShortOfSpace } from "./shortage.ts";

/** Items of one group, 1 MiB, unless a single transaction is longer: bounds how long the first of a group waits. */
export const GROUP_BYTES_MAX = 1_048_576;

/** Default limit of what may queue for the journal, 64 MiB. */
export const COMMIT_QUEUE_BYTES_MAX: number = 64 * 1024 * 1024;

/** One write: a value, or without one the deletion of the key. */
export interface Operation {
  readonly key: Key;
  readonly value?: Uint8Array | undefined;
}

/** A transaction ready to be committed; its locks are held until `done` is called. */
export interface Submission {
  /** Unchanged until `done`; who lets go of them earlier puts copies in their place. */
  operations: readonly Operation[];
  /** `seq` of each operation. */
  readonly seqs: readonly bigint[];
  /** Bytes that the operations take in a journal entry. */
  readonly itemsBytes: number;
  /** True if no operation has a value: then it may use what is kept for deletions. */
  readonly isDeletesOnly: boolean;
  /** Called once: without an error when the transaction is durable, checked and applied. */
  done(error?: unknown): void;
}

/** What the commit works with. */
export interface GroupCommitOptions {
  readonly journal: Journal;
  readonly memtables: Memtables;
  /** Taken for each group; who takes it in between sees no group half done. */
  readonly turn: Mutex;
  readonly queueBytesMax: number;
  readonly brokenRules: BrokenRules;
  checkCommitted(): Promise<void>;
  /** Told once when a group failed. */
  failed(error: unknown): void;
}

interface Queued {
  readonly submission: Submission;
  /** Its place in the order of effect, from 1. */
  readonly position: number;
}

/** The queue before the journal of one store. */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #queue: Queued[] = [];
  #group: Queued[] = [];
  #queuedBytes = 0;
  #position = 0;
  readonly #waiters: { readonly position: number; readonly resolve: () => void }[] = [];
  #isPumping = false;
  #failure: unknown;
  #closed: Error | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Transactions submitted so far: a position in the order of effect. */
  get position(): number {
    return this.#position;
  }

  /**
   * Appends a transaction to the order of effect.
   *
   * @throws {@link CommitQueueFullError} `ERR_HOLDFAST_COMMIT_QUEUE_FULL`: nothing was queued, try again later. After
   *   {@link close} what that was given.
   */
  submit(submission: Submission): void {
    if (this.#closed !== undefined) throw this.#closed;
    const { queueBytesMax } = this.#options;
    if (this.#queuedBytes > 0 && this.#queuedBytes + submission.itemsBytes > queueBytesMax)
      throw new CommitQueueFullError(this.#queuedBytes, queueBytesMax);
    this.#position += 1;
    this.#queuedBytes += submission.itemsBytes;
    this.#queue.push({ submission, position: this.#position });
    if (this.#failure !== undefined) this.fail(this.#failure);
    else if (!this.#isPumping) {
      this.#isPumping = true;
      void this.#pump();
    }
  }

  /**
   * Takes nothing any more; what is in the queue goes on. A transaction that still waits for its locks when the store is
   * closed must not reach a journal that nobody will replay.
   */
  close(error: Error): void {
    this.#closed ??= error;
  }

  /** Takes a transaction out again that is in no group yet; false when it is too late. */
  withdraw(submission: Submission): boolean {
    const index = this.#queue.findIndex((queued) => queued.submission === submission);
    if (index < 0) return false;
    this.#finish(this.#queue.splice(index, 1));
    return true;
  }

  /** Resolves when every transaction up to `position` is applied, withdrawn or failed. */
  settled(position: number): Promise<void> {
    if (this.#settledPosition() >= position) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ position, resolve }));
  }

  /** Fails everything that waits, now and later. */
  fail(error: unknown): void {
    this.#failure ??= error;
    const failed = [...this.#group, ...this.#queue];
    this.#group = [];
    this.#queue = [];
    this.#finish(failed);
    for (const { submission } of failed) submission.done(this.#failure);
  }

  async #pump(): Promise<void> {
    // One turn of the microtask queue: whoever submits in the same breath joins the first group.
    await Promise.resolve();
    try {
      while (this.#queue.length > 0) await this.#options.turn.run(() => this.#commitGroup());
    } catch (error) {
      this.#options.failed(error);
      this.fail(error);
    }
    this.#isPumping = false;
  }

  async #commitGroup(): Promise<void> {
    const { journal, memtables, brokenRules } = this.#options;
    await this.#makeRoom();
    const group = this.#takeGroup();
    if (group.length === 0) return;
    await journal.append();
    if (!brokenRules.has("journal-check")) await this.#options.checkCommitted();
    // While it waited the store may have failed, and then this group was told so already.
    if (this.#failure !== undefined) return;
    for (const { submission } of group)
      submission.operations.forEach(({ key, value }, index) =>
        memtables.active.put(key, submission.seqs[index] ?? 0n, value),
      );
    this.#group = [];
    memtables.applied();
    this.#finish(group);
    for (const { submission } of group) submission.done();
  }

  /** Makes room for the first of the queue, or refuses it. */
  async #makeRoom(): Promise<void> {
    const submission = this.#queue[0]?.submission;
    if (submission === undefined) return;
    try {
      await this.#options.memtables.makeRoom(submission.itemsBytes, submission.isDeletesOnly);
    } catch (error) {
      if (!isShortOfSpace(error)) throw error;
      // Gone if it was cancelled meanwhile.
      if (this.withdraw(submission)) submission.done(error);
    }
  }

  /** Moves the first transactions of the queue that fit one entry into the group and builds the entry. */
  #takeGroup(): readonly Queued[] {
    const { journal, memtables } = this.#options;
    let [count, itemsBytes, isDeletesOnly] = [0, 0, true];
    for (const { submission } of this.#queue) {
      const together = itemsBytes + submission.itemsBytes;
      isDeletesOnly &&= submission.isDeletesOnly;
      if ((count > 0 && together > GROUP_BYTES_MAX) || !memtables.hasRoom(together, isDeletesOnly)) break;
      itemsBytes = together;
      count += 1;
    }
    this.#group = this.#queue.splice(0, count);
    journal.entry.begin(itemsBytes);
    for (const { submission } of this.#group)
      submission.operations.forEach(({ key, value }, index) =>
        journal.entry.add(key, submission.seqs[index] ?? 0n, value),
      );
    return this.#group;
  }

  /** The groups and the queue are in order, so the first that is left tells what lies behind. */
  #settledPosition(): number {
    const first = this.#group[0] ?? this.#queue[0];
    return first === undefined ? this.#position : first.position - 1;
  }

  /** Counts transactions that have left group and queue, and wakes who waited for them. */
  #finish(finished: readonly Queued[]): void {
    for (const { submission } of finished) this.#queuedBytes -= submission.itemsBytes;
    if (this.#waiters.length === 0) return;
    const settled = this.#settledPosition();
    for (let index = this.#waiters.length - 1; index >= 0; index -= 1) {
      const waiter = this.#waiters[index];
      if (waiter === undefined || waiter.position > settled) continue;
      this.#waiters.splice(index, 1);
      waiter.resolve();
    }
  }
}
