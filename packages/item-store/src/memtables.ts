/*
 * The memtables: the active one takes what is committed, the frozen one is being written out.
 *
 * An epoch is one memtable and one half of the journal. Freezing ends an epoch: the next one starts with an empty
 * table in the other half. A frozen table stays readable, and counts as dirty, until its segments are recorded: only
 * then do the manifest and the read cache have its items, and only then may its half of the journal be written again.
 * At most one table is frozen, so whoever needs room while one is waits for it: that is the back-pressure.
 *
 * Freezing happens between two groups of the commit, in the turn they share, so that every group of an epoch is
 * in that epoch's table.
 */
import { type Mutex, invariant } from "@holdfast/environment";
import type { Key, KeyRange } from "@holdfast/wire-format";
import { ItemTable } from "./item-table.ts";
import type { Journal } from "./journal.ts";
import type { StorePorts } from "./ports.ts";
import { type Lookup, type ReadCache, UNKNOWN } from "./read-cache.ts";
import { writeSegments } from "./write-segments.ts";

/** Default bytes of items in the active table from which on it is written out: 16 MiB. */
export const MEMTABLE_BYTES_MAX: number = 16 * 1024 * 1024;

/** What the memtables work with. */
export interface MemtableOptions {
  readonly ports: StorePorts;
  readonly journal: Journal;
  readonly cache: ReadCache;
  /** The turn that groups of the commit take. */
  readonly turn: Mutex;
  readonly bytesMax: number;
  /** Told once when a flush failed: nothing can be written any more. */
  failed(error: unknown): void;
  /** Throws if the store has ended. */
  check(): void;
}

interface Frozen {
  readonly table: ItemTable;
  readonly epoch: bigint;
  readonly recorded: Promise<void>;
}

/** The memtables of one store and their way into segments. */
export class Memtables {
  readonly #options: MemtableOptions;
  #active: ItemTable = new ItemTable();
  #frozen: Frozen | undefined;

  constructor(options: MemtableOptions) {
    this.#options = options;
  }

  /** The table that committed items go into. */
  get active(): ItemTable {
    return this.#active;
  }

  /** The tables that hold what is in no manifest yet, newest first. */
  get tables(): readonly ItemTable[] {
    return this.#frozen === undefined ? [this.#active] : [this.#active, this.#frozen.table];
  }

  /** Bytes of items in no manifest yet. */
  get sizeBytes(): number {
    return this.#active.sizeBytes + (this.#frozen?.table.sizeBytes ?? 0);
  }

  /** The newest unrecorded version of `key`. */
  find(key: Key): Lookup {
    const row = this.#active.find(key);
    if (row >= 0) return this.#active.valueAt(row);
    const frozen = this.#frozen?.table;
    if (frozen === undefined) return UNKNOWN;
    const frozenRow = frozen.find(key);
    return frozenRow >= 0 ? frozen.valueAt(frozenRow) : UNKNOWN;
  }

  /** Resolves when everything that is committed now is recorded. */
  async flush(): Promise<void> {
    if (this.#active.rowCount > 0) await this.#flushThrough(this.#options.journal.epoch);
    else if (this.#frozen !== undefined) await this.#frozen.recorded;
  }

  /** Resolves when everything that is committed now in `range` is recorded; at once if that is nothing. */
  async flushRange(range: KeyRange): Promise<void> {
    if (this.#active.hasIn(range)) await this.#flushThrough(this.#options.journal.epoch);
    else if (this.#frozen?.table.hasIn(range) === true) await this.#frozen.recorded;
  }

  /** In the turn: makes an entry with so many bytes of items fit the journal, waiting for a flush if need be. */
  async makeRoom(itemsBytes: number): Promise<void> {
    if (this.#options.journal.hasRoom(itemsBytes)) return;
    if (this.#frozen !== undefined) await this.#frozen.recorded;
    this.#freeze();
  }

  /** In the turn, after a group was applied: starts a flush if it is time and none is under way. */
  applied(): void {
    const isDue = this.#active.sizeBytes >= this.#options.bytesMax || this.#options.journal.isNearlyFull;
    if (isDue && this.#frozen === undefined) this.#freeze();
  }

  async #flushThrough(epoch: bigint): Promise<void> {
    const { journal, turn } = this.#options;
    while (journal.recordedEpoch < epoch) {
      if (this.#frozen !== undefined) {
        await this.#frozen.recorded;
        continue;
      }
      // Another flush, or the commit itself, may have frozen this epoch while the turn was awaited.
      await turn.run(async () => {
        this.#options.check();
        if (this.#frozen === undefined && journal.epoch === epoch) this.#freeze();
      });
    }
  }

  #freeze(): void {
    invariant(this.#frozen === undefined, "one memtable is frozen at a time");
    invariant(this.#active.rowCount > 0, "an empty epoch is not recorded");
    const table = this.#active;
    const { journal } = this.#options;
    const epoch = journal.epoch;
    this.#active = new ItemTable();
    journal.rotate();
    const recorded = this.#record(table, epoch);
    this.#frozen = { table, epoch, recorded };
    // Nobody may be waiting; the failure reaches everybody through the store.
    recorded.catch((error: unknown) => this.#options.failed(error));
  }

  async #record(table: ItemTable, epoch: bigint): Promise<void> {
    const { ports, journal, cache } = this.#options;
    const segments = await writeSegments(table, ports);
    await ports.recordSegments(segments, epoch);
    // No await from here on: a reader sees the items in the frozen table, or in cache and manifest.
    cache.adopt(table);
    journal.recorded(epoch);
    this.#frozen = undefined;
  }
}
