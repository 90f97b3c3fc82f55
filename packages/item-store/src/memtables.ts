/*
 * The memtables: the active one takes what is committed, the frozen one is being written out.
 *
 * An epoch is one memtable and one half of the journal. Freezing ends an epoch: the next one starts with an empty
 * table in the other half. A frozen table stays readable, and counts as dirty, until its segments are recorded: only
 * then do the manifest and the read cache have its items, and only then may its half of the journal be written again.
 * At most one table is frozen, so whoever needs room while one is waits for it: that is the back-pressure.
 *
 * If the volume has no room for the frozen table, the flush is tried again until it has (see shortage.ts). An eighth of
 * the other half of the journal is kept meanwhile for transactions that only delete, so that a full volume can be emptied.
 *
 * Freezing happens between two groups of the commit, in the turn they share, so that every group of an epoch is
 * in that epoch's table.
 */
import { type Mutex, invariant } from "@holdfast/environment";
import type { Key, KeyRange } from "@holdfast/wire-format";
import { ItemTable } from "./item-table.ts";
import { Admission } from "./admission.ts";
import type { Journal } from "./journal.ts";
import type { StoreExtent, StorePorts, StoreSpace } from "./ports.ts";
import { type Lookup, type ReadCache, UNKNOWN } from "./read-cache.ts";
import { FLUSH_FAILURES_MAX, Shortage } from "./shortage.ts";
import { blocksToWrite, itemsBytesOf, writeSegments } from "./write-segments.ts";

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
  readonly space: CountedSpace;
  readonly epoch: bigint;
  readonly recorded: Promise<void>;
}

/** The blocks that a flush takes from the pool, counted. */
class CountedSpace implements StoreSpace {
  takenBlocks = 0;
  readonly #space: StoreSpace;

  constructor(space: StoreSpace) {
    this.#space = space;
  }

  async take(blocks: number): Promise<StoreExtent> {
    const extent = await this.#space.take(blocks);
    this.takenBlocks += extent.lengthBlocks;
    return extent;
  }

  put(extent: StoreExtent): void {
    this.takenBlocks -= extent.lengthBlocks;
    this.#space.put(extent);
  }
}

/** The memtables of one store and their way into segments. */
export class Memtables {
  readonly #options: MemtableOptions;
  readonly #shortage: Shortage;
  readonly #admission: Admission;
  #active: ItemTable = new ItemTable();
  #frozen: Frozen | undefined;

  constructor(options: MemtableOptions) {
    this.#options = options;
    this.#shortage = new Shortage(options.ports.clock, () => options.check());
    const { space, clock } = options.ports;
    this.#admission = new Admission({ space, clock, check: () => options.check() });
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

  /** The newest unrecorded version of `key`, whose hash is `hash`. */
  find(key: Key, hash: number): Lookup {
    const row = this.#active.find(key, hash);
    if (row >= 0) return this.#active.valueAt(row);
    const frozen = this.#frozen?.table;
    if (frozen === undefined) return UNKNOWN;
    const frozenRow = frozen.find(key, hash);
    return frozenRow >= 0 ? frozen.valueAt(frozenRow) : UNKNOWN;
  }

  /**
   * Resolves when everything that is committed now is recorded.
   *
   * @throws what a full volume says, after {@link FLUSH_FAILURES_MAX} attempts; the flush goes on all the same.
   */
  async flush(): Promise<void> {
    this.#shortage.hurry();
    const wait = (recorded: Promise<void>): Promise<void> =>
      this.#shortage.patiently(recorded, FLUSH_FAILURES_MAX);
    if (this.#active.rowCount > 0) await this.#flushThrough(this.#options.journal.epoch, wait);
    else if (this.#frozen !== undefined) await wait(this.#frozen.recorded);
  }

  /**
   * Resolves when everything that is committed now in `range` is recorded; at once if that is nothing. On a full volume it
   * waits: nobody else may have the range before.
   */
  async flushRange(range: KeyRange): Promise<void> {
    const isInActive = this.#active.hasIn(range);
    if (!isInActive && this.#frozen?.table.hasIn(range) !== true) return;
    this.#shortage.hurry();
    if (isInActive) await this.#flushThrough(this.#options.journal.epoch, (recorded) => recorded);
    else await this.#frozen?.recorded;
  }

  /** The store has ended: what waits for space ends with it. Resolves when no more is asked for. */
  async ended(): Promise<void> {
    this.#shortage.hurry();
    await this.#admission.ended();
  }

  /** True if an entry of such items may be written now. */
  hasRoom(itemsBytes: number, isDeletesOnly: boolean): boolean {
    if (!this.#hasJournalRoom(itemsBytes, isDeletesOnly)) return false;
    return isDeletesOnly || this.#admission.isAdmitted(this.#neededBlocks(itemsBytes));
  }

  #hasJournalRoom(itemsBytes: number, isDeletesOnly: boolean): boolean {
    const { journal } = this.#options;
    const isReserveKept = this.#frozen !== undefined && !isDeletesOnly;
    return journal.hasRoom(itemsBytes, isReserveKept ? journal.reserveBlocks : 0);
  }

  /**
   * In the turn: makes an entry of such items fit the journal, waiting for a flush if need be, and makes sure of the
   * blocks that they will take.
   *
   * @throws what a full volume says, when it has said so often enough.
   */
  async makeRoom(itemsBytes: number, isDeletesOnly: boolean): Promise<void> {
    while (!this.#hasJournalRoom(itemsBytes, isDeletesOnly)) {
      if (this.#frozen !== undefined) await this.#shortage.briefly(this.#frozen.recorded);
      else this.#freeze();
    }
    if (!isDeletesOnly) await this.#admission.admit(this.#neededBlocks(itemsBytes));
  }

  /** Blocks to be at hand for writing everything out, such items included, with spare ones for deletions. */
  #neededBlocks(itemsBytes: number): number {
    const spareBlocks = Math.ceil(this.#options.journal.reserveBlocks);
    const ownBlocks = blocksToWrite(itemsBytesOf(this.#active) + itemsBytes) + spareBlocks;
    if (this.#frozen === undefined) return ownBlocks;
    const { table, space } = this.#frozen;
    return ownBlocks + Math.max(0, blocksToWrite(itemsBytesOf(table)) - space.takenBlocks);
  }

  /** In the turn, after a group was applied: starts a flush if it is time and none is under way. */
  applied(): void {
    const isDue = this.#active.sizeBytes >= this.#options.bytesMax || this.#options.journal.isNearlyFull;
    if (isDue && this.#frozen === undefined) this.#freeze();
  }

  async #flushThrough(epoch: bigint, wait: (recorded: Promise<void>) => Promise<void>): Promise<void> {
    const { journal, turn } = this.#options;
    while (journal.recordedEpoch < epoch) {
      if (this.#frozen !== undefined) {
        await wait(this.#frozen.recorded);
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
    const space = new CountedSpace(this.#options.ports.space);
    const recorded = this.#record(table, epoch, space);
    this.#frozen = { table, space, epoch, recorded };
    // Nobody may be waiting; the failure reaches everybody through the store.
    recorded.catch((error: unknown) => this.#options.failed(error));
  }

  async #record(table: ItemTable, epoch: bigint, space: StoreSpace): Promise<void> {
    const { ports, journal, cache } = this.#options;
    const segments = await this.#shortage.overcome(() => writeSegments(table, { ...ports, space }));
    // Tried again with the same segments: blocks that a server was told of are not given back.
    await this.#shortage.overcome(() => ports.recordSegments(segments, epoch));
    // No await from here on: a reader sees the items in the frozen table, or in cache and manifest.
    cache.adopt(table);
    journal.recorded(epoch);
    this.#frozen = undefined;
  }
}
