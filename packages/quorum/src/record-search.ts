/*
 * The reading of rule E5: the newest record below a term, from the top down.
 *
 * A record is written to copy 0 and, when that is durable, to copy 1. So a crash damages one copy at most, and a
 * half whose copies are both damaged is no crash: it held something that was committed perhaps. Where that could be
 * the newest record, the search ends with an error, for going back to an older one would lose what was answered.
 *
 * A record that a device put into the other copy's place counts as what it is, for its writer issued it when all before it were
 * committed; its place still counts as damaged, for what stood there is gone, and may have been newer.
 */
import { type BrokenRules, NO_BROKEN_RULES } from "@holdfast/environment";
import { type BlocksRead, type NextId, type ReadBlocks, SlotReading } from "./block-reading.ts";
import type { CommitRecord } from "./record.ts";
import { firstTerm, type QuorumRegion, recordBlock } from "./region.ts";

/** What a search found. */
export type RecordFinding =
  | { readonly type: "found"; readonly record: CommitRecord }
  | { readonly type: "corrupt"; readonly term: bigint }
  | { readonly type: "none" };

/** What a half holds whose copies are read: a record, nothing, or damage in both copies. */
type HalfFinding = CommitRecord | "empty" | "corrupt";

/** Where to look. */
export interface RecordSearchConfig {
  readonly region: QuorumRegion;
  /** None by default. */
  readonly brokenRules?: BrokenRules;
}

/** Terms read at first; the newest record is nearly always in one of the terms just below. */
const FIRST_TERMS = 4;

/** Terms read at once further down. */
const NEXT_TERMS = 32;

/** Looks for the newest record of the terms up to `top`. */
export class RecordSearch {
  readonly #region: QuorumRegion;
  readonly #nextId: NextId;
  /** Copies of records that count. */
  readonly #copies: readonly (0 | 1)[];
  #top: bigint;
  #bottom: bigint;
  #reading: SlotReading;
  #finding: RecordFinding = { type: "none" };

  /** @param top - The highest term to look at, one of this generation. */
  constructor(config: RecordSearchConfig, nextId: NextId, top: bigint) {
    const { region, brokenRules = NO_BROKEN_RULES } = config;
    this.#region = region;
    this.#nextId = nextId;
    this.#copies = brokenRules.has("adopt-from-both-copies") ? [0] : [0, 1];
    const isTopLeftOut = brokenRules.has("adopt-from-the-top") && top > firstTerm(region);
    this.#top = isTopLeftOut ? top - 1n : top;
    this.#bottom = bottomOf(region, this.#top, FIRST_TERMS);
    this.#reading = this.#readTerms();
  }

  /** The read that is wanted first. */
  get request(): ReadBlocks {
    return this.#reading.request;
  }

  /** What was found; only after {@link accept} returned undefined. */
  get finding(): RecordFinding {
    return this.#finding;
  }

  /** Takes an answer; returns the next read, or undefined when {@link finding} is known. */
  accept(event: BlocksRead): ReadBlocks | undefined {
    const again = this.#reading.accept(event);
    if (again !== undefined) return again;
    const place = { top: this.#top, bottom: this.#bottom, copies: this.#copies };
    this.#finding = newestWithin(this.#region, this.#reading, place);
    if (this.#finding.type !== "none") return undefined;
    if (this.#bottom === firstTerm(this.#region)) return undefined;
    this.#top = this.#bottom - 1n;
    this.#bottom = bottomOf(this.#region, this.#top, NEXT_TERMS);
    this.#reading = this.#readTerms();
    return this.#reading.request;
  }

  #readTerms(): SlotReading {
    const count = 2 * Number(this.#top - this.#bottom + 1n);
    const ranges = ([0, 1] as const).map((copy) => ({
      address: recordBlock(this.#region, this.#bottom, copy),
      count,
    }));
    return new SlotReading(this.#region, this.#nextId, ranges);
  }
}

/** Terms whose records were read. */
export interface TermSpan {
  readonly top: bigint;
  readonly bottom: bigint;
  /** Copies that count; both by default. */
  readonly copies?: readonly (0 | 1)[];
}

/** The newest record of some terms, none if there is none in them; both copies of their records were read. */
export function newestWithin(
  region: QuorumRegion,
  reading: SlotReading,
  { top, bottom, copies = [0, 1] }: TermSpan,
): RecordFinding {
  for (let term = top; term >= bottom; term -= 1n) {
    const finding = newestOf(region, reading, { term, copies });
    if (finding.type !== "none") return finding;
  }
  return { type: "none" };
}

interface TermPlace {
  readonly term: bigint;
  readonly copies: readonly (0 | 1)[];
}

/** The newest record of one term whose four blocks were read. */
function newestOf(region: QuorumRegion, reading: SlotReading, place: TermPlace): RecordFinding {
  const { term } = place;
  let newest: CommitRecord | undefined;
  for (const half of [0n, 1n]) {
    const finding = readHalf(region, reading, { ...place, half });
    if (finding === "corrupt") return { type: "corrupt", term };
    if (finding !== "empty" && (newest === undefined || finding.seq > newest.seq)) newest = finding;
  }
  return newest === undefined ? { type: "none" } : { type: "found", record: newest };
}

function readHalf(
  region: QuorumRegion,
  reading: SlotReading,
  place: TermPlace & { readonly half: bigint },
): HalfFinding {
  const copies = place.copies.map((copy) => reading.at(recordBlock(region, place.term, copy) + place.half));
  let newest: CommitRecord | undefined;
  for (const copy of copies) {
    const isWritten = copy.state === "record" || copy.state === "misplaced";
    if (isWritten && (newest === undefined || copy.record.seq > newest.seq)) newest = copy.record;
  }
  if (copies.every(({ state }) => state === "unreadable" || state === "misplaced")) return "corrupt";
  return newest ?? "empty";
}

function bottomOf(region: QuorumRegion, top: bigint, termsCount: number): bigint {
  const bottom = top - BigInt(termsCount) + 1n;
  const first = firstTerm(region);
  return bottom > first ? bottom : first;
}
