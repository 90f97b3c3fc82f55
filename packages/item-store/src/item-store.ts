/*
 * The item store of one member: ordered items under cluster locks, durable by the member's own journal.
 *
 * Write: take the WRITE locks in key order, append to the group commit (whose order is the order of effect), journal,
 * check, apply, answer; the locks are held until the items are applied. Read: take the READ lock, then memtables, read
 * cache, segments. The lock client calls `invalidate` before it gives a lock away: what is dirty under it is recorded
 * first. Nothing is acknowledged that the replay of this member's journal would not find.
 */
import { Mutex } from "@holdfast/environment";
import type { LockMode } from "@holdfast/lock-protocol";
import { BLOCK_CACHE_BYTES } from "@holdfast/segment";
import type { Key, KeyRange } from "@holdfast/wire-format";
import { StoreClosedError } from "./errors.ts";
import { COMMIT_QUEUE_BYTES_MAX, GroupCommit, type Operation } from "./group-commit.ts";
import { Journal, type JournalRegion, entryItemsBytesMax } from "./journal.ts";
import { type CachedRange, LockRanges } from "./lock-ranges.ts";
import { MEMTABLE_BYTES_MAX, Memtables } from "./memtables.ts";
import type { ScanItem } from "./page.ts";
import type { StorePorts } from "./ports.ts";
import { READ_CACHE_BYTES_MAX, ReadCache, UNKNOWN } from "./read-cache.ts";
import { Reads } from "./reads.ts";
import { type ScanOptions, scanPages } from "./scan.ts";
import { SegmentLookup } from "./segment-lookup.ts";
import { acquireAll, checkedSizeBytes, submit, want } from "./submit.ts";
import { type Transaction, runTransaction } from "./transactions.ts";
import { Watches } from "./watches.ts";

/** Warm reads between two turns of other events: a loop of them must let an invalidation in. */
const WARM_READS_PER_TURN = 1000;

/** Settings of a store, each with its default. */
export interface ItemStoreOptions {
  /** This member's journal; nothing was written to it under this rid. */
  readonly journal: JournalRegion;
  /** Bytes of items gathered before they are written out; default {@link MEMTABLE_BYTES_MAX}. */
  readonly memtableBytesMax?: number | undefined;
  /** Bytes of clean items remembered; default {@link READ_CACHE_BYTES_MAX}. */
  readonly readCacheBytesMax?: number | undefined;
  /** Bytes of segment blocks remembered; default 64 MiB. */
  readonly blockCacheBytesMax?: number | undefined;
  /** Bytes of transactions that may wait for the journal; default {@link COMMIT_QUEUE_BYTES_MAX}. */
  readonly queueBytesMax?: number | undefined;
}

/** What a store uses now. */
export interface ItemStoreStats {
  /** Bytes of items that are in no manifest yet. */
  readonly memtableBytes: number;
  readonly readCacheBytes: number;
  /** The journal's epoch, and the last recorded one. */
  readonly journalEpoch: bigint;
  readonly recordedEpoch: bigint;
}

/** An ordered, transactional item store. Every call rejects with what ended the store once that has happened. */
export class ItemStore {
  readonly #ports: StorePorts;
  readonly #journal: Journal;
  readonly #cache: ReadCache;
  readonly #ranges: LockRanges;
  readonly #segments: SegmentLookup;
  readonly #memtables: Memtables;
  readonly #commits: GroupCommit;
  readonly #reads: Reads;
  readonly #watches: Watches = new Watches();
  readonly #itemsBytesMax: number;
  #failure: unknown;
  #closing: Promise<void> | undefined;
  #isClosed = false;
  #warmReadCount = 0;

  /** @throws RangeError when the journal's halves are too small or too great. */
  constructor(ports: StorePorts, options: ItemStoreOptions) {
    const { device, fsid, rid } = ports;
    const turn = new Mutex();
    this.#ports = ports;
    this.#journal = new Journal({ device, fsid, rid, region: options.journal });
    this.#itemsBytesMax = entryItemsBytesMax(options.journal);
    const cache = new ReadCache(options.readCacheBytesMax ?? READ_CACHE_BYTES_MAX);
    this.#cache = cache;
    this.#ranges = new LockRanges(() => cache.nextStamp());
    this.#segments = new SegmentLookup(device, fsid, options.blockCacheBytesMax ?? BLOCK_CACHE_BYTES);
    const failed = (error: unknown): void => this.#fail(error);
    this.#memtables = new Memtables({
      ports,
      journal: this.#journal,
      cache,
      turn,
      bytesMax: options.memtableBytesMax ?? MEMTABLE_BYTES_MAX,
      failed,
      check: () => this.#checkEnded(),
    });
    this.#commits = new GroupCommit({
      journal: this.#journal,
      memtables: this.#memtables,
      turn,
      queueBytesMax: options.queueBytesMax ?? COMMIT_QUEUE_BYTES_MAX,
      brokenRules: ports.brokenRules,
      checkCommitted: () => ports.checkCommitted(),
      failed,
    });
    this.#reads = new Reads(ports, this.#memtables, cache, this.#segments);
  }

  /**
   * The value of `key`; undefined if there is none.
   *
   * @returns Not to be written to: it may be cached.
   * @throws {@link CancelledError} `ERR_HOLDFAST_CANCELLED`; {@link ManifestDamagedError} `ERR_HOLDFAST_MANIFEST_DAMAGED`;
   *   {@link StoreClosedError} `ERR_HOLDFAST_STORE_CLOSED`; {@link DeviceError}.
   */
  async get(key: Key, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    this.#check();
    this.#warmReadCount += 1;
    if (this.#warmReadCount % WARM_READS_PER_TURN === 0) await this.#ports.clock.yield();
    const range = this.#ranges.of(key);
    const { locks, lease } = this.#ports;
    for (;;) {
      const hold =
        locks.tryAcquire(range.range, "read") ?? (await locks.acquire(range.range, "read", signal));
      try {
        const value = await this.#reads.get(key, range);
        this.#check();
        // Looked at after the data was fetched: a pause in between may have outlived the lease.
        if (lease.isValid) return value;
      } finally {
        hold.release();
      }
      await lease.valid(signal);
    }
  }

  /** The same without waiting: undefined if that takes a lock or a block that is not here. For warm paths. */
  tryGet(key: Key): { readonly value: Uint8Array | undefined } | undefined {
    this.#check();
    const range = this.#ranges.of(key);
    const hold = this.#ports.locks.tryAcquire(range.range, "read");
    if (hold === undefined) return undefined;
    const value = this.#reads.tryGet(key, range);
    hold.release();
    return value === UNKNOWN || !this.#ports.lease.isValid ? undefined : { value };
  }

  /**
   * Writes all operations, or none; resolves when that is durable and everybody will see it. Of several writes to one key
   * the last counts. The arrays stay unchanged until then.
   *
   * @throws {@link CancelledError} `ERR_HOLDFAST_CANCELLED`, which may come when the write is already under way;
   *   {@link TransactionTooLargeError} `ERR_HOLDFAST_TRANSACTION_TOO_LARGE`; {@link ValueTooLongError}
   *   `ERR_HOLDFAST_VALUE_TOO_LONG`; {@link CommitQueueFullError} `ERR_HOLDFAST_COMMIT_QUEUE_FULL`: try again;
   *   `ERR_HOLDFAST_NO_SPACE` or `ERR_HOLDFAST_SPACE_FRAGMENTED` on a full volume: nothing of it was written, delete or
   *   wait, and try again; {@link JournalWriteError} `ERR_HOLDFAST_JOURNAL_WRITE`: outcome unknown, the store has ended.
   */
  async transact(operations: readonly Operation[], signal?: AbortSignal): Promise<void> {
    this.#check();
    if (operations.length === 0) return;
    const itemsBytes = checkedSizeBytes(operations, this.#itemsBytesMax);
    const wanted = new Map<CachedRange, LockMode>();
    const ranges = operations.map(({ key }) => this.#ranges.of(key));
    for (const range of ranges) want(wanted, range, "write");
    const held = await acquireAll(this.#ports.locks, wanted, signal);
    const seqs = ranges.map((range) => held.get(range)?.writeSeq ?? 0n);
    const committed = submit(this.#commits, { operations, seqs, itemsBytes, held }, signal);
    this.#watches.touched(operations);
    await committed;
  }

  /**
   * Runs `run` so that all its reads and writes happen as if at one moment; it may run several times.
   *
   * @throws {@link ConflictError} `ERR_HOLDFAST_CONFLICT` when others were faster in every attempt; otherwise as
   *   {@link transact}, and whatever `run` throws.
   */
  async transaction<T>(run: (tx: Transaction) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#check();
    const sources = {
      ports: this.#ports,
      ranges: this.#ranges,
      reads: this.#reads,
      commits: this.#commits,
      watches: this.#watches,
      itemsBytesMax: this.#itemsBytesMax,
      check: () => this.#check(),
    };
    return await runTransaction(sources, run, signal);
  }

  /**
   * The items of a range in key order, page by page. Items that share their first 11 bytes are seen as of one moment.
   *
   * @throws RangeError when the range leaves one dataset.
   */
  async *scan(range: KeyRange, options: ScanOptions = {}): AsyncGenerator<readonly ScanItem[]> {
    this.#check();
    const sources = {
      ports: this.#ports,
      memtables: this.#memtables,
      cache: this.#cache,
      segments: this.#segments,
      check: () => this.#check(),
    };
    yield* scanPages(sources, range, this.#ranges.within(range), options);
  }

  /**
   * Resolves when everything acknowledged before the call is in segments of a committed manifest.
   *
   * @throws `ERR_HOLDFAST_NO_SPACE` or `ERR_HOLDFAST_SPACE_FRAGMENTED` when the volume stays full; the store goes on
   *   trying, and nothing is lost.
   */
  async flush(): Promise<void> {
    this.#checkFailure();
    await this.#memtables.flush();
  }

  /**
   * Makes ready for a lock to fall to mode `to`: resolves when what is dirty under `range` is recorded; if `to` is NULL
   * nothing of the range is remembered any more. Nobody at this member holds the lock meanwhile.
   */
  async invalidate(range: KeyRange, to: LockMode): Promise<void> {
    this.#checkFailure();
    await this.#memtables.flushRange(range);
    if (to === "null") this.#cache.drop(range, this.#ranges);
  }

  /**
   * Writes everything out and refuses further calls. Idempotent.
   *
   * @throws `ERR_HOLDFAST_NO_SPACE` or `ERR_HOLDFAST_SPACE_FRAGMENTED` when the volume stays full: the store has ended,
   *   and what it could not write out is in its journal, for the server to replay when this member is evicted.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Ends the store at once with `error`: everything that waits, and every later call, rejects with it. Idempotent. */
  fail(error: Error): void {
    this.#fail(error);
  }

  /** What the store uses now. */
  stats(): ItemStoreStats {
    return {
      memtableBytes: this.#memtables.sizeBytes,
      readCacheBytes: this.#cache.sizeBytes,
      journalEpoch: this.#journal.epoch,
      recordedEpoch: this.#journal.recordedEpoch,
    };
  }

  async #close(): Promise<void> {
    this.#commits.close(new StoreClosedError());
    await this.#commits.settled(this.#commits.position);
    this.#checkFailure();
    try {
      await this.#memtables.flush();
    } catch (error) {
      // Of a full volume nobody may write to it after the answer: what is left is in the journal.
      this.#fail(error);
      throw error;
    }
    this.#isClosed = true;
    await this.#memtables.ended();
    this.#segments.forget();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#commits.fail(error);
    void this.#memtables.ended();
  }

  #check(): void {
    this.#checkFailure();
    if (this.#closing !== undefined) throw new StoreClosedError();
  }

  /** For what goes on in the background: it does so until a close is done. */
  #checkEnded(): void {
    this.#checkFailure();
    if (this.#isClosed) throw new StoreClosedError();
  }

  #checkFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
