/*
 * Joining cursors: one after another, or merged by key with the newest version winning.
 *
 * The merge keeps its sources sorted by their current item and moves the one that stepped to its new place. Sources
 * are few and steps mostly small, so that is one or two comparisons an item; nothing is allocated per item.
 */
import { KEY_BYTES, type Key } from "@holdfast/wire-format";
import {
  type ItemCursor,
  type ItemPosition,
  type PositionedCursor,
  keyAt,
  noPosition,
  positioned,
  seqAt,
  valueAt,
} from "./cursor.ts";
import { compareKeysAt } from "./key-probe.ts";

/** How cursors are merged. */
export interface MergeOptions {
  /** True: deleted keys do not appear. False: their tombstones do. */
  readonly dropTombstones: boolean;
  /** True when the cursors walk backwards. */
  readonly isReverse?: boolean;
}

/**
 * Merges sorted cursors into one that shows each key once: the version with the greatest seq, and among equal seqs
 * that of the cursor that comes first.
 *
 * @param cursors - Newest source first; none was stepped yet.
 */
export function mergeCursors(cursors: readonly ItemCursor[], options: MergeOptions): PositionedCursor {
  return new MergeCursor(cursors, options);
}

/** Walks one cursor after another; each is opened when its turn comes. Their ranges rise (or fall) and are disjoint. */
export function concatenateCursors(open: readonly (() => Promise<ItemCursor>)[]): PositionedCursor {
  return new ConcatenatedCursor(open);
}

interface Source {
  readonly cursor: PositionedCursor;
  /** Place in the caller's order; smaller is newer. */
  readonly age: number;
}

class MergeCursor implements PositionedCursor {
  readonly #dropTombstones: boolean;
  readonly #sign: number;
  /** Sources that have not made their first step. */
  #unstarted: Source[];
  /** Sources with a current item, the one to show first at the front. */
  readonly #sources: Source[] = [];
  #mustStep = false;
  readonly #shown: DataView = new DataView(new ArrayBuffer(KEY_BYTES));
  #hasShown = false;
  #position: ItemPosition = noPosition();

  constructor(cursors: readonly ItemCursor[], options: MergeOptions) {
    this.#dropTombstones = options.dropTombstones;
    this.#sign = options.isReverse === true ? -1 : 1;
    this.#unstarted = cursors.map((cursor, age) => ({ cursor: positioned(cursor), age }));
  }

  get position(): ItemPosition {
    return this.#position;
  }

  get key(): Key {
    return keyAt(this.#position);
  }

  get seq(): bigint {
    return seqAt(this.#position);
  }

  get value(): Uint8Array | undefined {
    return valueAt(this.#position);
  }

  nextSync(): boolean | undefined {
    if (this.#unstarted.length > 0) return undefined;
    for (;;) {
      if (this.#mustStep) {
        const hasItem = (this.#sources[0] as Source).cursor.nextSync();
        if (hasItem === undefined) return undefined;
        this.#stepped(hasItem);
      }
      const front = this.#sources[0];
      if (front === undefined) return false;
      // Whatever stands at the front now is used up when the next step begins.
      this.#mustStep = true;
      const { position } = front.cursor;
      if (this.#isShown(position)) continue;
      this.#remember(position);
      if (this.#dropTombstones && position.valueLength < 0) continue;
      this.#position = position;
      return true;
    }
  }

  async next(): Promise<boolean> {
    if (this.#unstarted.length > 0) await this.#start();
    for (;;) {
      const hasItem = this.nextSync();
      if (hasItem !== undefined) return hasItem;
      this.#stepped(await (this.#sources[0] as Source).cursor.next());
    }
  }

  async #start(): Promise<void> {
    const started = await Promise.all(
      this.#unstarted.map(async (source) => ({ source, hasItem: await source.cursor.next() })),
    );
    this.#unstarted = [];
    for (const { source, hasItem } of started) {
      if (!hasItem) continue;
      this.#sources.unshift(source);
      this.#settleFront();
    }
  }

  /** The front source made a step. */
  #stepped(hasItem: boolean): void {
    this.#mustStep = false;
    if (hasItem) this.#settleFront();
    else this.#sources.shift();
  }

  /** Moves the front source behind those that come before it. */
  #settleFront(): void {
    const sources = this.#sources;
    const moved = sources[0] as Source;
    let place = 0;
    for (; place + 1 < sources.length; place += 1) {
      const other = sources[place + 1] as Source;
      if (this.#isBefore(moved, other)) break;
      sources[place] = other;
    }
    sources[place] = moved;
  }

  #isBefore(a: Source, b: Source): boolean {
    const left = a.cursor.position;
    const right = b.cursor.position;
    const order = compareKeysAt(left.row, left.rowOffset, right.row, right.rowOffset, 0);
    if (order !== 0) return order * this.#sign < 0;
    const [leftSeq, rightSeq] = [seqAt(left), seqAt(right)];
    return leftSeq === rightSeq ? a.age < b.age : leftSeq > rightSeq;
  }

  #isShown(position: ItemPosition): boolean {
    return this.#hasShown && compareKeysAt(this.#shown, 0, position.row, position.rowOffset, 0) === 0;
  }

  #remember(position: ItemPosition): void {
    this.#hasShown = true;
    for (let at = 0; at < KEY_BYTES; at += 4)
      this.#shown.setUint32(at, position.row.getUint32(position.rowOffset + at));
  }
}

class ConcatenatedCursor implements PositionedCursor {
  readonly #open: readonly (() => Promise<ItemCursor>)[];
  #opened = 0;
  #current: PositionedCursor | undefined;

  constructor(open: readonly (() => Promise<ItemCursor>)[]) {
    this.#open = open;
  }

  get position(): ItemPosition {
    return this.#current?.position ?? NOWHERE;
  }

  get key(): Key {
    return keyAt(this.position);
  }

  get seq(): bigint {
    return seqAt(this.position);
  }

  get value(): Uint8Array | undefined {
    return valueAt(this.position);
  }

  nextSync(): boolean | undefined {
    const hasItem = this.#current?.nextSync();
    if (hasItem !== false) return hasItem ?? this.#endOrWait();
    this.#current = undefined;
    return this.#endOrWait();
  }

  async next(): Promise<boolean> {
    for (;;) {
      if (this.#current !== undefined) {
        if (await this.#current.next()) return true;
        this.#current = undefined;
      }
      const open = this.#open[this.#opened];
      if (open === undefined) return false;
      const cursor = positioned(await open());
      this.#opened += 1;
      this.#current = cursor;
    }
  }

  /** Nothing can be said without I/O unless everything was walked. */
  #endOrWait(): false | undefined {
    return this.#current === undefined && this.#opened === this.#open.length ? false : undefined;
  }
}

const NOWHERE: ItemPosition = noPosition();
