/*
 * Optimistic transactions: read without keeping locks, write into a buffer, validate and commit under locks.
 *
 * At commit all locks are taken in key order, WRITE for what is written, READ for what was only read. Then:
 *
 *   1. Everything that had a place in the order of effect when the transaction last read is applied (settled).
 *   2. What was read is read again and compared by value.
 *   3. If nothing differs, and no local commit touched a watched key since it was watched, the writes get their
 *      place in the order of effect, with no await since that last look.
 *
 * So all reads and writes take effect at that one place: the transaction is serializable. Members that do not share
 * this store are excluded by the locks, local ones by 1 and 3.
 */
import { sleep } from "@holdfast/environment";
import type { LockMode } from "@holdfast/lock-protocol";
import { type Key, equalBytes } from "@holdfast/wire-format";
import { ConflictError } from "./errors.ts";
import type { GroupCommit, Operation } from "./group-commit.ts";
import type { CachedRange, LockRanges } from "./lock-ranges.ts";
import type { StorePorts } from "./ports.ts";
import type { Reads } from "./reads.ts";
import { type HeldLocks, acquireAll, checkedSizeBytes, releaseAll, submit, want } from "./submit.ts";
import { type Watcher, type Watches, keyName } from "./watches.ts";

/** Attempts before a transaction gives up. */
export const TRANSACTION_ATTEMPTS_MAX = 32;

/** Keys that one transaction may read. */
export const TRANSACTION_READS_MAX = 65_536;

/** Attempts without a pause between them; most conflicts are over by then. */
const EAGER_ATTEMPTS = 3;

/** Longest pause between two attempts, in milliseconds; the pauses are random below a bound that doubles up to it. */
const PAUSE_MS_MAX = 32;

/** What the body of a transaction may do. It may run several times, so it should do nothing else. */
export interface Transaction {
  /** The value of `key`, own writes included; undefined if absent. Not to be written to. */
  get(key: Key): Promise<Uint8Array | undefined>;
  /** Writes at commit. The arrays stay unchanged until the transaction has ended. */
  put(key: Key, value: Uint8Array): void;
  /** Deletes at commit. */
  del(key: Key): void;
}

/** What transactions work with. */
export interface TransactionSources {
  readonly ports: StorePorts;
  readonly ranges: LockRanges;
  readonly reads: Reads;
  readonly commits: GroupCommit;
  readonly watches: Watches;
  /** Bytes of items that one entry of the journal takes. */
  readonly itemsBytesMax: number;
  /** Throws if the store has ended. */
  check(): void;
}

/**
 * Runs `body` until its reads hold at commit.
 *
 * @throws {@link ConflictError} `ERR_HOLDFAST_CONFLICT` after {@link TRANSACTION_ATTEMPTS_MAX} attempts; what `body` throws
 *   if what it had read was true.
 */
export async function runTransaction<T>(
  sources: TransactionSources,
  body: (transaction: Transaction) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const { ports, commits } = sources;
  for (let attemptCount = 1; attemptCount <= TRANSACTION_ATTEMPTS_MAX; attemptCount += 1) {
    const attempt = new Attempt(sources, signal);
    try {
      const outcome = await settle(body(attempt));
      if (await attempt.commit(outcome.isDone)) {
        if (outcome.isDone) return outcome.value;
        throw outcome.error;
      }
    } finally {
      attempt.end();
    }
    await commits.settled(commits.position);
    if (attemptCount < EAGER_ATTEMPTS) continue;
    const boundMs = Math.min(PAUSE_MS_MAX, 2 ** (attemptCount - EAGER_ATTEMPTS));
    await sleep(ports.clock, (ports.random.u32() / 2 ** 32) * boundMs, signal);
  }
  throw new ConflictError(TRANSACTION_ATTEMPTS_MAX);
}

type Outcome<T> =
  | { readonly isDone: true; readonly value: T }
  | { readonly isDone: false; readonly error: unknown };

/** What became of the body. Its error counts only if its reads were true, so it is kept until that is known. */
async function settle<T>(running: Promise<T>): Promise<Outcome<T>> {
  try {
    return { isDone: true, value: await running };
  } catch (error) {
    return { isDone: false, error };
  }
}

interface PastRead {
  readonly key: Key;
  readonly range: CachedRange;
  readonly value: Uint8Array | undefined;
}

class Attempt implements Transaction, Watcher {
  isOvertaken = false;
  readonly #sources: TransactionSources;
  readonly #signal: AbortSignal | undefined;
  readonly #reads: Map<string, PastRead> = new Map();
  readonly #watched: Set<string> = new Set();
  readonly #writes: Map<string, Operation> = new Map();
  #readPosition = 0;
  #isEnded = false;

  constructor(sources: TransactionSources, signal: AbortSignal | undefined) {
    this.#sources = sources;
    this.#signal = signal;
  }

  async get(key: Key): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    const { watches, ranges, ports, reads, commits } = this.#sources;
    const name = keyName(key);
    const written = this.#writes.get(name);
    if (written !== undefined) return written.value;
    const known = this.#reads.get(name);
    if (known !== undefined) return known.value;
    if (this.#watched.size >= TRANSACTION_READS_MAX)
      throw new RangeError(`a transaction reads at most ${TRANSACTION_READS_MAX} keys`);
    const ownKey = key.slice();
    this.#watched.add(name);
    watches.watch(name, this);
    this.#readPosition = commits.position;
    const range = ranges.of(ownKey);
    const hold =
      ports.locks.tryAcquire(range.range, "read") ??
      (await ports.locks.acquire(range.range, "read", this.#signal));
    try {
      const value = await reads.get(ownKey, range);
      this.#reads.set(name, { key: ownKey, range, value });
      return value;
    } finally {
      hold.release();
      // The body may have ended without waiting for this read; then nobody else will end the watch.
      if (this.#isEnded) watches.unwatch([name], this);
    }
  }

  put(key: Key, value: Uint8Array): void {
    this.#checkOpen();
    this.#writes.set(keyName(key), { key, value });
  }

  del(key: Key): void {
    this.#checkOpen();
    this.#writes.set(keyName(key), { key });
  }

  /** Validates, and commits the writes if `hasWrites`; false: the reads no longer hold. */
  async commit(hasWrites: boolean): Promise<boolean> {
    const { ranges, ports, commits, watches, itemsBytesMax } = this.#sources;
    this.#sources.check();
    if (this.isOvertaken) return false;
    const operations = hasWrites ? [...this.#writes.values()] : [];
    const itemsBytes = checkedSizeBytes(operations, itemsBytesMax);
    const wanted = new Map<CachedRange, LockMode>();
    for (const { range } of this.#reads.values()) want(wanted, range, "read");
    for (const { key } of operations) want(wanted, ranges.of(key), "write");
    const held = await acquireAll(ports.locks, wanted, this.#signal);
    // Another attempt may have committed while this one was coming back from its await: look once more.
    const isValid = (await this.#validate(held, operations.length > 0)) && !this.isOvertaken;
    if (!isValid || operations.length === 0) {
      releaseAll(held);
      // A commit is checked behind its journal write; reads alone rest on the lease.
      if (ports.lease.isValid) return isValid;
      await ports.lease.valid(this.#signal);
      return false;
    }
    this.end();
    const seqs = operations.map(({ key }) => held.get(ranges.of(key))?.writeSeq ?? 0n);
    const committed = submit(commits, { operations, seqs, itemsBytes, held }, this.#signal);
    watches.touched(operations);
    await committed;
    return true;
  }

  /** Ends the watches; reads and writes fail from now on. Idempotent. */
  end(): void {
    this.#isEnded = true;
    this.#sources.watches.unwatch(this.#watched, this);
  }

  async #validate(held: HeldLocks, hasWrites: boolean): Promise<boolean> {
    try {
      // The lease may have ended while the body ran, however often that runs; what is read again is quickly read.
      if (!hasWrites) await this.#sources.ports.lease.valid(this.#signal);
      await this.#sources.commits.settled(this.#readPosition);
      for (const { key, range, value } of this.#reads.values()) {
        if (this.isOvertaken) return false;
        if (!sameValue(value, await this.#sources.reads.get(key, range))) return false;
      }
      this.#sources.check();
      return !this.isOvertaken;
    } catch (error) {
      releaseAll(held);
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#isEnded) throw new TypeError("the transaction has ended");
    this.#sources.check();
  }
}

function sameValue(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a === b || equalBytes(a, b);
}
