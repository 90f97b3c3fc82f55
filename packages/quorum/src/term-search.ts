/*
 * The walk of rule E1: from a term that is known to be touched up to the first pristine one.
 *
 * Touched terms form a prefix, so far away from the start a few probes narrow the place down; what is found by
 * probing is only a better start. Every term from there on is looked at, its splitter and its records.
 */
import { invariant } from "@holdfast/environment";
import {
  type BlockRange,
  type BlocksRead,
  type NextId,
  type ReadBlocks,
  SlotReading,
} from "./block-reading.ts";
import { newestWithin, type RecordFinding } from "./record-search.ts";
import { firstTerm, lastTerm, type QuorumRegion, recordBlock, splitterBlock } from "./region.ts";
import type { SlotState } from "./slot.ts";

/** What a walk met in the terms it looked at. */
export interface TermWindow {
  /** Terms below {@link free} that look pristine to a reader of X and Y, or might: each is marked before it is passed. */
  readonly unmarked: readonly bigint[];
  /** The first pristine term; undefined when there is none up to {@link last}. */
  readonly free: bigint | undefined;
  /** The last term that was looked at. */
  readonly last: bigint;
  /** The highest term that somebody has marked, of those looked at: it and all below it are touched. Undefined: none is. */
  readonly marked: bigint | undefined;
  /** The newest record of the terms below {@link free} that were looked at; none also without a free term. */
  readonly newest: RecordFinding;
  /** True if the first term, which mkfs or a renewal has taken, is still marked: a first sign of whose slots these are. */
  readonly isFirstMarked: boolean;
  /** True: the device gave out no block of these terms, which says nothing about them. */
  readonly isBlind: boolean;
}

/** Terms looked at in one go: enough to pass what a few lost splitters leave behind, small enough for one read. */
const WINDOW_TERMS = 8;

/** Terms below those whose records are read too: what lost splitters leave behind has none, and the newest is just below. */
const RECORD_TERMS_BELOW = 4n;

/** Terms probed at once while far away: three rounds narrow 4,096 terms to one window. */
const PROBE_COUNT = 8n;

const NOTHING_KNOWN: Omit<TermWindow, "last"> = {
  unmarked: [],
  free: undefined,
  marked: undefined,
  newest: { type: "none" },
  isFirstMarked: false,
  isBlind: true,
};

/** Looks for the first pristine term. */
export class TermSearch {
  readonly #region: QuorumRegion;
  readonly #nextId: NextId;
  #low: bigint;
  #high: bigint;
  #probes: readonly bigint[] = [];
  #reading: SlotReading;
  #window: TermWindow | undefined;

  /** @param from - A term that is known to be touched; the first always is. */
  constructor(region: QuorumRegion, nextId: NextId, from: bigint) {
    invariant(from >= firstTerm(region) && from <= lastTerm(region), `term ${from} exists`);
    this.#region = region;
    this.#nextId = nextId;
    this.#low = from;
    this.#high = lastTerm(region) + 1n;
    this.#reading = this.#readWindow();
  }

  /** The read that is wanted first. */
  get request(): ReadBlocks {
    return this.#reading.request;
  }

  /** What was met; only after {@link accept} returned undefined. */
  get window(): TermWindow {
    invariant(this.#window !== undefined, "the walk has come to its end");
    return this.#window;
  }

  /** Takes an answer; returns the next read, or undefined when {@link window} is known. */
  accept(event: BlocksRead): ReadBlocks | undefined {
    const again = this.#reading.accept(event);
    if (again !== undefined) return again;
    if (this.#probes.length === 0) return this.#judgeWindow();
    this.#judgeProbes();
    return this.#readNext();
  }

  #judgeWindow(): ReadBlocks | undefined {
    const last = this.#windowEnd();
    if (this.#windowRanges(this.#low).every((range) => this.#reading.isWithheld(range))) {
      this.#window = { ...NOTHING_KNOWN, last };
      return undefined;
    }
    const unmarked: bigint[] = [];
    let [free, marked]: (bigint | undefined)[] = [];
    for (let term = this.#low; term <= last && free === undefined; term += 1n) {
      const state = this.#judgeTerm(term);
      if (state === "pristine") free = term;
      if (state === "unmarked") unmarked.push(term);
      if (this.#isMarked(term)) marked = term;
    }
    if (free === this.#low && free > firstTerm(this.#region)) return this.#startOver();
    if (free !== undefined || unmarked.length > 0 || last === lastTerm(this.#region)) {
      const newest = this.#newestBelow(free);
      const isFirstMarked = this.#isMarked(firstTerm(this.#region));
      this.#window = { unmarked, free, last, marked, newest, isFirstMarked, isBlind: false };
      return undefined;
    }
    this.#low = last;
    // The window ran past where probes had placed the end: others have been at work since.
    if (this.#high <= last) this.#high = lastTerm(this.#region) + 1n;
    return this.#readNext();
  }

  /** The start was not touched after all: whoever named it was wrong. The first is, since mkfs or the renewal. */
  #startOver(): ReadBlocks {
    this.#low = firstTerm(this.#region);
    this.#high = lastTerm(this.#region) + 1n;
    return this.#readNext();
  }

  #newestBelow(free: bigint | undefined): RecordFinding {
    if (free === undefined) return { type: "none" };
    return newestWithin(this.#region, this.#reading, { top: free - 1n, bottom: this.#recordsBottom() });
  }

  #judgeTerm(term: bigint): "touched" | "pristine" | "unmarked" {
    const splitter = this.#splitterStates(term);
    if (splitter.some(({ state }) => state === "unreadable")) return "unmarked";
    if (splitter.some(({ state }) => state === "mark")) return "touched";
    const records = ([0, 1] as const).flatMap((copy) => {
      const address = recordBlock(this.#region, term, copy);
      return [this.#reading.at(address), this.#reading.at(address + 1n)];
    });
    return records.every(({ state }) => state === "pristine") ? "pristine" : "unmarked";
  }

  #judgeProbes(): void {
    for (const term of this.#probes) if (term > this.#low && this.#isMarked(term)) this.#low = term;
    this.#high = this.#probes.find((term) => term > this.#low) ?? this.#high;
    this.#probes = [];
  }

  #isMarked(term: bigint): boolean {
    return this.#splitterStates(term).some(({ state }) => state === "mark");
  }

  #splitterStates(term: bigint): readonly SlotState[] {
    const x = splitterBlock(this.#region, term);
    return [this.#reading.at(x), this.#reading.at(x + 1n)];
  }

  #readNext(): ReadBlocks {
    const gap = this.#high - this.#low;
    if (gap <= BigInt(WINDOW_TERMS)) {
      this.#reading = this.#readWindow();
      return this.#reading.request;
    }
    const step = gap / (PROBE_COUNT + 1n) > 0n ? gap / (PROBE_COUNT + 1n) : 1n;
    this.#probes = Array.from(
      { length: Number(PROBE_COUNT) },
      (_, index) => this.#low + step * BigInt(index + 1),
    ).filter((term) => term < this.#high);
    const ranges = this.#probes.map((term) => ({ address: splitterBlock(this.#region, term), count: 2 }));
    this.#reading = new SlotReading(this.#region, this.#nextId, ranges);
    return this.#reading.request;
  }

  #readWindow(): SlotReading {
    const ranges = this.#windowRanges(this.#recordsBottom());
    const first = firstTerm(this.#region);
    if (this.#low > first) ranges.push({ address: splitterBlock(this.#region, first), count: 2 });
    return new SlotReading(this.#region, this.#nextId, ranges);
  }

  /** The splitters of the window, and the records from a term on. */
  #windowRanges(recordsFrom: bigint): BlockRange[] {
    const blocksFrom = (term: bigint): number => 2 * Number(this.#windowEnd() - term + 1n);
    const records = ([0, 1] as const).map((copy) => recordBlock(this.#region, recordsFrom, copy));
    return [
      { address: splitterBlock(this.#region, this.#low), count: blocksFrom(this.#low) },
      ...records.map((address) => ({ address, count: blocksFrom(recordsFrom) })),
    ];
  }

  #recordsBottom(): bigint {
    const bottom = this.#low - RECORD_TERMS_BELOW;
    const first = firstTerm(this.#region);
    return bottom > first ? bottom : first;
  }

  #windowEnd(): bigint {
    const end = this.#low + BigInt(WINDOW_TERMS) - 1n;
    const last = lastTerm(this.#region);
    return end < last ? end : last;
  }
}
