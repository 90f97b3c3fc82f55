/*
 * Walks the sorted runs of a table in key order, forward or backward, the newest row of each key only.
 *
 * The runs are few (log2 of the rows) and each is an array of row numbers, so finding the next row compares one
 * key per run. Everything it looks at never changes, so a cursor is a snapshot.
 */
import { type ItemPosition, type PositionedCursor, compareKeysAt, noPosition } from "@holdfast/segment";
import type { Key, KeyRange } from "@holdfast/wire-format";
import { ROW_STRIDE_BYTES, compareRows } from "./row-order.ts";

/** What a cursor asks of its table. */
export interface TableRows {
  keyAt(row: number): Key;
  seqAt(row: number): bigint;
  valueAt(row: number): Uint8Array | undefined;
  locate(row: number, position: ItemPosition): void;
}

/** The items of a key range of one table, as they were when the cursor was made. */
export class TableCursor implements PositionedCursor {
  /** Where the present item stands. */
  readonly position: ItemPosition = noPosition();
  readonly #table: TableRows;
  readonly #rows: DataView;
  readonly #runs: readonly Uint32Array[];
  readonly #isReverse: boolean;
  /** Per run: the next place to look at, and where to stop (exclusive). */
  readonly #places: Int32Array;
  readonly #stops: Int32Array;
  #row = -1;

  constructor(
    table: TableRows,
    runs: readonly Uint32Array[],
    rows: DataView,
    range: KeyRange,
    isReverse: boolean,
  ) {
    this.#table = table;
    this.#rows = rows;
    this.#runs = runs;
    this.#isReverse = isReverse;
    this.#places = new Int32Array(runs.length);
    this.#stops = new Int32Array(runs.length);
    const [start, last] = [viewOf(range.start), viewOf(range.end)];
    runs.forEach((run, index) => {
      const first = firstPlace(rows, run, start, false);
      const end = Math.max(first, firstPlace(rows, run, last, true));
      this.#places[index] = isReverse ? end - 1 : first;
      this.#stops[index] = isReverse ? first - 1 : end;
    });
  }

  /** Key of the present item: a view, true for ever. */
  get key(): Key {
    return this.#table.keyAt(this.#row);
  }

  /** Its `seq`. */
  get seq(): bigint {
    return this.#table.seqAt(this.#row);
  }

  /** Its value, undefined for a tombstone: a view, true for ever. */
  get value(): Uint8Array | undefined {
    return this.#table.valueAt(this.#row);
  }

  /** Moves to the next item; false behind the last. */
  nextSync(): boolean {
    const before = this.#row;
    for (;;) {
      const run = this.#bestRun();
      if (run < 0) return false;
      const row = this.#take(run);
      if (before >= 0 && this.#hasSameKey(before, row)) continue;
      this.#row = this.#isReverse ? this.#newestOfKey(row) : row;
      this.#table.locate(this.#row, this.position);
      return true;
    }
  }

  /** The same, for users that also walk slower sources. */
  next(): Promise<boolean> {
    return Promise.resolve(this.nextSync());
  }

  /** The run whose next row comes first; −1 when all are at their end. */
  #bestRun(): number {
    let best = -1;
    let bestRow = 0;
    for (let run = 0; run < this.#runs.length; run += 1) {
      const place = this.#places[run] as number;
      if (place === this.#stops[run]) continue;
      const row = (this.#runs[run] as Uint32Array)[place] as number;
      const isFirst =
        best < 0 ||
        (this.#isReverse
          ? compareRows(this.#rows, row, bestRow) > 0
          : compareRows(this.#rows, row, bestRow) < 0);
      if (isFirst) [best, bestRow] = [run, row];
    }
    return best;
  }

  #take(run: number): number {
    const place = this.#places[run] as number;
    this.#places[run] = place + (this.#isReverse ? -1 : 1);
    return (this.#runs[run] as Uint32Array)[place] as number;
  }

  /** Backwards the oldest row of a key comes first; the newest is the last of those that follow. */
  #newestOfKey(first: number): number {
    let row = first;
    for (;;) {
      const run = this.#bestRun();
      if (run < 0) return row;
      const next = (this.#runs[run] as Uint32Array)[this.#places[run] as number] as number;
      if (!this.#hasSameKey(row, next)) return row;
      row = this.#take(run);
    }
  }

  #hasSameKey(a: number, b: number): boolean {
    return compareKeysAt(this.#rows, a * ROW_STRIDE_BYTES, this.#rows, b * ROW_STRIDE_BYTES, 0) === 0;
  }
}

/** First place in `run` whose key is not below `key`, or, if `isAfter`, above it. */
function firstPlace(rows: DataView, run: Uint32Array, key: DataView, isAfter: boolean): number {
  let [low, high] = [0, run.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareKeysAt(rows, (run[middle] as number) * ROW_STRIDE_BYTES, key, 0, 0);
    if (order < 0 || (isAfter && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function viewOf(key: Key): DataView {
  return new DataView(key.buffer, key.byteOffset, key.byteLength);
}
