/*
 * What a member remembers of committed items, so that it need not read segments: values, keys known to be absent,
 * and lock ranges of which it has every item.
 *
 * The cache is a row of generations, newest first, each an item table. Items read go into the newest; a memtable
 * that was written out becomes a generation as it is, without a copy, if it is large. When the bytes exceed the
 * limit the oldest generation goes; an item found there first moves to the newest (second chance).
 *
 * Nothing is ever removed singly. Instead a lock range has a stamp, `validFrom`, and a row counts only if its own is not
 * lower. Rows carry their stamp in the place of the `seq`, which a clean item does not need; the rows of an adopted
 * memtable have one stamp, that of their adoption. Dropping a range and ending a flush raise the present stamp.
 *
 * Who reads a segment takes a stamp first ({@link ReadCache.stamp}) and hands it in with the result: if since then a
 * flush ended, the range was dropped, then what was read may be older than what was forgotten, and is not kept
 * (the gap that scoutfs had: a reader brought back an item whose deletion had been written and forgotten).
 */
import type { Key, KeyRange } from "@holdfast/wire-format";
import { LAST_KEY, FIRST_KEY, compareBytes } from "@holdfast/wire-format";
import { ItemTable, hashKey } from "./item-table.ts";
import type { CachedRange, LockRanges } from "./lock-ranges.ts";

/** Default limit of the cache, 64 MiB. */
export const READ_CACHE_BYTES_MAX: number = 64 * 1024 * 1024;

/** Generations looked through before a read goes to the segments; more would cost more than they save. */
export const CACHE_GENERATIONS_MAX = 6;

/** The part of the cache that one scan may fill: the rest keeps what single reads asked for. */
const SCAN_SHARE = 1 / 4;

/** Rows of a flushed memtable that are copied rather than adopted: so few do not make a generation. */
const ADOPT_ROWS_MIN = 4096;

interface Generation {
  /** Counts up. */
  readonly number: number;
  readonly table: ItemTable;
  /** Stamp of all rows; undefined: each row has its own. */
  readonly stamp: number | undefined;
}

/** Answer of a lookup that knows nothing of the key; undefined would say that it is absent. */
export const UNKNOWN: unique symbol = Symbol("unknown");

/** What a lookup in memory says of a key: its value, undefined for "it is absent", or {@link UNKNOWN}. */
export type Lookup = Uint8Array | undefined | typeof UNKNOWN;

/** The read cache of one member. */
export class ReadCache {
  readonly #bytesMax: number;
  #generations: Generation[] = [];
  #generationCount = 0;
  #stamp = 1;
  #flushedAt = 0;
  /** Ranges dropped that are no lock range drop everything older than this. */
  #floor = 0;

  /** @param bytesMax - Limit of the bytes in it; 0 keeps nothing. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#begin();
  }

  /** The present moment; take it, with no await in between, before the manifest that is read from. */
  get stamp(): number {
    return this.#stamp;
  }

  /** Raises the present stamp: what is cached or being read now is older than what it returns. */
  nextStamp(): number {
    this.#stamp += 1;
    return this.#stamp;
  }

  /** Bytes in the cache. */
  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const { table } of this.#generations) sizeBytes += table.sizeBytes;
    return sizeBytes;
  }

  /** What is known of `key`, which lies in `range`. @param hash - Its {@link hashKey}. */
  find(key: Key, range: CachedRange, hash: number = hashKey(key)): Lookup {
    const validFrom = Math.max(range.validFrom, this.#floor);
    for (let index = 0; index < this.#generations.length; index += 1) {
      const { table, stamp } = this.#generations[index] as Generation;
      const row = table.find(key, hash);
      if (row < 0 || (stamp ?? Number(table.seqAt(row))) < validFrom) continue;
      const value = table.valueAt(row);
      if (index > 1 && index === this.#generations.length - 1) this.#insert(key, value);
      return value;
    }
    return this.isComplete(range) ? undefined : UNKNOWN;
  }

  /** True if a read that began at `stamp` may be kept. */
  accepts(range: CachedRange, stamp: number): boolean {
    return stamp >= range.validFrom && stamp >= this.#floor && stamp >= this.#flushedAt;
  }

  /** Keeps what was read of `key`; `value` undefined: it is absent. @param stamp - Taken before the read began. */
  add(key: Key, value: Uint8Array | undefined, range: CachedRange, stamp: number): void {
    if (this.accepts(range, stamp)) this.#insert(key, value);
  }

  /** Bytes of items that one scan may keep here. */
  get scanBytesMax(): number {
    return this.#bytesMax * SCAN_SHARE;
  }

  /** True if every item of a lock range is here. */
  isComplete(range: CachedRange): boolean {
    const oldest = this.#generations.at(-1);
    return oldest !== undefined && range.completeFrom >= oldest.number && range.completeFrom !== Infinity;
  }

  /** Keeps all items of a lock range, read as of `stamp`: whatever else is asked of it is absent. */
  addRange(
    items: readonly { readonly key: Key; readonly value: Uint8Array }[],
    range: CachedRange,
    stamp: number,
  ): void {
    // A cache that keeps nothing cannot tell what is absent.
    if (this.#bytesMax === 0 || this.isComplete(range) || !this.accepts(range, stamp)) return;
    const from = this.#newest().number;
    for (const { key, value } of items) this.#insert(key, value);
    range.completeFrom = from;
  }

  /** Takes over what a memtable holds, whose items are in the manifest from now on. */
  adopt(table: ItemTable): void {
    this.#flushedAt = this.nextStamp();
    if (table.rowCount < ADOPT_ROWS_MIN) {
      const cursor = table.wholeCursor({ start: FIRST_KEY, end: LAST_KEY });
      while (cursor.nextSync()) this.#insert(cursor.key, cursor.value);
      return;
    }
    this.#generations.unshift({ number: this.#nextNumber(), table, stamp: this.#stamp });
    this.#begin();
  }

  /** Forgets a range: a lock range, or, at the price of everything else, any other. */
  drop(range: KeyRange, ranges: LockRanges): void {
    const known = ranges.of(range.start);
    const isLockRange =
      compareBytes(known.range.start, range.start) === 0 && compareBytes(known.range.end, range.end) === 0;
    if (isLockRange) {
      known.validFrom = this.nextStamp();
      known.completeFrom = Infinity;
    } else {
      this.#floor = this.nextStamp();
      this.#generations = [];
      this.#begin();
    }
  }

  #insert(key: Key, value: Uint8Array | undefined): void {
    if (this.#bytesMax === 0) return;
    const { table } = this.#newest();
    table.put(key, BigInt(this.#stamp), value);
    if (table.sizeBytes * CACHE_GENERATIONS_MAX > this.#bytesMax) this.#begin();
    else this.#trim();
  }

  #newest(): Generation {
    return this.#generations[0] ?? this.#begin();
  }

  #begin(): Generation {
    const generation = { number: this.#nextNumber(), table: new ItemTable(), stamp: undefined };
    this.#generations.unshift(generation);
    this.#trim();
    return generation;
  }

  #trim(): void {
    while (
      this.#generations.length > 1 &&
      (this.#generations.length > CACHE_GENERATIONS_MAX || this.sizeBytes > this.#bytesMax)
    ) {
      this.#generations.pop();
    }
  }

  #nextNumber(): number {
    this.#generationCount += 1;
    return this.#generationCount;
  }
}
