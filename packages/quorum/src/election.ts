/*
 * One attempt at becoming the server: rules E1 to E5 of docs/protocols/election.md.
 *
 * Before it writes anything it looks twice, to spare terms: at the start of the slots when the first term, or one on its way,
 * cannot be read, for the volume may be another one by now; and at the records, for a volume whose newest record is damaged has
 * no use for a server. Nothing that is seen then is gone on from.
 *
 * A term is won by a splitter, which needs nothing but reads and writes: write X = mine; read Y, set: lost; write Y;
 * read Y back and X, not mine: lost. At most one attempt ever wins a term, whatever is delayed, since two winners would each have to
 * write X before the other reads it and yet after the other has set Y. Y is also the announcement: the records below are
 * read only when it is durable, so a server whose check did not see it has its record seen here.
 *
 * The order of the effects is the proof. Do not change it without running docs/protocols/election.pml again.
 */
import { type BrokenRules, invariant } from "@holdfast/environment";
import {
  type BlocksRead,
  countIds,
  type IoEffect,
  type IoEvent,
  type NextId,
  SlotReading,
} from "./block-reading.ts";
import { CorruptionError, SplitterReadError, SplitterWriteError, TermsExhaustedError } from "./errors.ts";
import type { CommitRecord } from "./record.ts";
import { type RecordFinding, RecordSearch } from "./record-search.ts";
import { firstTerm, lastTerm, type QuorumRegion, splitterBlock } from "./region.ts";
import { sealMark } from "./slot.ts";
import { TermSearch } from "./term-search.ts";

/** Settings of one attempt. */
export interface ElectionConfig {
  readonly region: QuorumRegion;
  /** The candidate, not 0. */
  readonly rid: bigint;
  /** A random number that was never used before: it tells this attempt from every other, earlier ones of mine too. */
  readonly claim: bigint;
  /** A term known to be touched, where the walk begins; the first of the region when none is known. */
  readonly fromTerm: bigint;
  /**
   * Yield when a term above this one is touched: somebody was faster, and is perhaps the server by now. Undefined: go
   * on to the next free term. This is courtesy (E0), not safety.
   */
  readonly yieldAbove: bigint | undefined;
  readonly brokenRules: BrokenRules;
}

/** What the driver may tell an election. */
export type ElectionEvent = { readonly type: "start" } | IoEvent;

/** How an attempt ends. */
export type ElectionOutcome =
  /** The term is this attempt's alone, for ever, and goes on from the adopted record. */
  | { readonly type: "elected"; readonly term: bigint; readonly adopted: CommitRecord }
  /** Another candidate was at this term, or is past it; try again after a random time, if there is still no server. */
  | { readonly type: "lost"; readonly term: bigint }
  /** The attempt ends with an error; only a `retry` error of the splitter leaves room for another attempt. */
  | {
      readonly type: "failed";
      readonly error: CorruptionError | TermsExhaustedError | SplitterWriteError | SplitterReadError;
    };

/** What an election asks of the driver. */
export type ElectionEffect = IoEffect | ElectionOutcome;

/** What the answer that comes next is about. */
type Step =
  | { readonly type: "idle" }
  | { readonly type: "walk"; readonly search: TermSearch }
  | { readonly type: "identify"; readonly reading: SlotReading; readonly search: TermSearch }
  | { readonly type: "foresee"; readonly records: RecordSearch; readonly search: TermSearch }
  | { readonly type: "mark-void"; readonly search: TermSearch }
  | { readonly type: "confirm-void"; readonly reading: SlotReading; readonly search: TermSearch }
  | { readonly type: "claim" | "announce" }
  | { readonly type: "look" | "confirm"; readonly reading: SlotReading }
  | { readonly type: "adopt"; readonly search: RecordSearch };

/** Terms at the start of the slots that tell whose they are. mkfs and renewals write them first, at once. */
const IDENTITY_TERMS = 8;

/** One attempt. Its steps follow one another; there is one effect at a time. */
export class Election {
  readonly #config: ElectionConfig;
  readonly #nextId: NextId = countIds();
  #step: Step = { type: "idle" };
  #marks: bigint[] = [];
  #term = 0n;

  constructor(config: ElectionConfig) {
    this.#config = config;
  }

  /** Takes one event and returns the effects it causes, in the order they must happen. */
  handle(event: ElectionEvent): readonly ElectionEffect[] {
    switch (event.type) {
      case "start":
        invariant(this.#step.type === "idle", "an attempt starts once");
        return this.#walk(this.#config.fromTerm);
      case "blocks-read":
        return this.#afterRead(event);
      case "block-written":
        return this.#afterWrite();
      case "block-write-failed":
        return this.#afterFailedWrite(event.cause);
    }
  }

  /** E1: to the first pristine term. */
  #walk(from: bigint): readonly ElectionEffect[] {
    const search = new TermSearch(this.#config.region, this.#nextId, from);
    this.#step = { type: "walk", search };
    return [search.request];
  }

  #afterRead(event: BlocksRead): readonly ElectionEffect[] {
    const step = this.#step;
    switch (step.type) {
      case "walk": {
        const next = step.search.accept(event);
        return next === undefined ? this.#afterWalk(step.search) : [next];
      }
      case "identify": {
        const next = step.reading.accept(event);
        return next === undefined ? this.#afterIdentify(step.reading, step.search) : [next];
      }
      case "foresee": {
        const next = step.records.accept(event);
        return next === undefined ? this.#afterForesee(step.records, step.search) : [next];
      }
      case "confirm-void": {
        const next = step.reading.accept(event);
        return next === undefined ? this.#afterConfirmVoid(step.reading, step.search) : [next];
      }
      case "look": {
        const next = step.reading.accept(event);
        return next === undefined ? this.#afterLook(step.reading) : [next];
      }
      case "confirm": {
        const next = step.reading.accept(event);
        return next === undefined ? this.#afterConfirm(step.reading) : [next];
      }
      case "adopt": {
        const next = step.search.accept(event);
        return next === undefined ? this.#afterAdopt(step.search) : [next];
      }
      case "idle":
      case "mark-void":
      case "claim":
      case "announce":
        invariant(false, `no read is under way in step ${step.type}`);
    }
  }

  #afterWrite(): readonly ElectionEffect[] {
    const step = this.#step;
    switch (step.type) {
      case "mark-void": {
        const reading = this.#readingOf(splitterBlock(this.#config.region, this.#term), 1);
        this.#step = { type: "confirm-void", reading, search: step.search };
        return [reading.request];
      }
      case "claim":
        return this.#read("look", splitterBlock(this.#config.region, this.#term) + 1n, 1);
      case "announce":
        return this.#read("confirm", splitterBlock(this.#config.region, this.#term), 2);
      case "idle":
      case "walk":
      case "identify":
      case "foresee":
      case "confirm-void":
      case "look":
      case "confirm":
      case "adopt":
        invariant(false, `no write is under way in step ${step.type}`);
    }
  }

  #afterWalk(search: TermSearch): readonly ElectionEffect[] {
    const { region } = this.#config;
    const { last, isBlind, unmarked, isFirstMarked } = search.window;
    // To mark every term that a broken path hides would use up all of them.
    if (isBlind) return this.#end({ type: "failed", error: new SplitterReadError(last) });
    this.#marks = [...unmarked];
    if (unmarked.length === 0 && isFirstMarked) return this.#foresee(search);
    const terms = Math.min(IDENTITY_TERMS, region.termsMax);
    const reading = this.#readingOf(splitterBlock(region, firstTerm(region)), 2 * terms);
    this.#step = { type: "identify", reading, search };
    return [reading.request];
  }

  /** Terms that cannot be read are damaged, or the slots are another volume's by now, or another generation's. */
  #afterIdentify(reading: SlotReading, search: TermSearch): readonly ElectionEffect[] {
    const first = firstTerm(this.#config.region);
    if (reading.unreadableShare <= 0.5) return this.#foresee(search);
    if (reading.isPartial) return this.#end({ type: "failed", error: new SplitterReadError(first) });
    const message = `the term slots from ${first} on are not this volume's any more: it was formatted or renewed meanwhile, or their start is damaged`;
    const error = new CorruptionError("ERR_HOLDFAST_TERMS_FOREIGN", message, first);
    return this.#end({ type: "failed", error });
  }

  /** The walk has nearly always read the newest record. Whether it is damaged is decided by a reading of its own. */
  #foresee(search: TermSearch): readonly ElectionEffect[] {
    const { free, newest } = search.window;
    if (free === undefined || newest.type === "found") return this.#markOrClaim(search);
    const records = new RecordSearch({ region: this.#config.region }, this.#nextId, free - 1n);
    this.#step = { type: "foresee", records, search };
    return [records.request];
  }

  #afterForesee({ finding }: RecordSearch, search: TermSearch): readonly ElectionEffect[] {
    return finding.type === "found" ? this.#markOrClaim(search) : this.#halt(finding);
  }

  /** E1, E2: marks what could not be read, then claims the first pristine term. */
  #markOrClaim(search: TermSearch): readonly ElectionEffect[] {
    const { free, last } = search.window;
    const unmarked = this.#marks.shift();
    if (unmarked !== undefined) {
      this.#term = unmarked;
      this.#step = { type: "mark-void", search };
      return [this.#writeMark(splitterBlock(this.#config.region, unmarked), true)];
    }
    if (free === undefined && last === lastTerm(this.#config.region))
      return this.#end({ type: "failed", error: new TermsExhaustedError(this.#config.region.termsMax) });
    if (free === undefined) return this.#walk(last);
    this.#term = free;
    const { yieldAbove } = this.#config;
    if (yieldAbove !== undefined && free > yieldAbove + 1n)
      return this.#end({ type: "lost", term: free - 1n });
    this.#step = { type: "claim" };
    return [this.#writeMark(splitterBlock(this.#config.region, free), false)];
  }

  /** E1: whoever checks a term below reads no further than to a pristine one. */
  #afterConfirmVoid(reading: SlotReading, search: TermSearch): readonly ElectionEffect[] {
    const { state } = reading.at(splitterBlock(this.#config.region, this.#term));
    return state === "pristine" ? this.#swallowed() : this.#markOrClaim(search);
  }

  /** E3: somebody has announced already? What cannot be read may be an announcement. */
  #afterLook(reading: SlotReading): readonly ElectionEffect[] {
    const y = splitterBlock(this.#config.region, this.#term) + 1n;
    const isSet = reading.at(y).state !== "pristine";
    if (isSet && !this.#config.brokenRules.has("splitter")) return this.#lose();
    this.#step = { type: "announce" };
    return [this.#writeMark(y, false)];
  }

  /** E3, E4: the announcement stands, and X is still mine: the term is mine. */
  #afterConfirm(reading: SlotReading): readonly ElectionEffect[] {
    const x = splitterBlock(this.#config.region, this.#term);
    const [xState, yState] = [reading.at(x), reading.at(x + 1n)];
    const isReadBack = !this.#config.brokenRules.has("announcement-read-back");
    if (yState.state === "pristine" && isReadBack) return this.#swallowed();
    const isMine = xState.state === "mark" && !xState.mark.isVoid && xState.mark.claim === this.#config.claim;
    if (!isMine && !this.#config.brokenRules.has("claim-read-back")) return this.#lose();
    if (yState.state !== "mark" && isReadBack) return this.#lose();
    const search = new RecordSearch(this.#config, this.#nextId, this.#term - 1n);
    this.#step = { type: "adopt", search };
    return [search.request];
  }

  /** E5: goes on from the newest record, or not at all. */
  #afterAdopt({ finding }: RecordSearch): readonly ElectionEffect[] {
    if (finding.type !== "found") return this.#halt(finding);
    return this.#end({ type: "elected", term: this.#term, adopted: finding.record });
  }

  #halt(finding: Exclude<RecordFinding, { type: "found" }>): readonly ElectionEffect[] {
    const error =
      finding.type === "corrupt"
        ? corrupt(finding.term, "both copies of a record are damaged")
        : corrupt(firstTerm(this.#config.region), "the record that mkfs wrote is missing");
    return this.#end({ type: "failed", error });
  }

  #swallowed(): readonly ElectionEffect[] {
    const message = `the device acknowledged a mark of term ${this.#term} and does not hold it`;
    const error = new CorruptionError("ERR_HOLDFAST_ANNOUNCEMENT_LOST", message, this.#term);
    return this.#end({ type: "failed", error });
  }

  #afterFailedWrite(cause: unknown): readonly ElectionEffect[] {
    invariant(
      this.#step.type === "claim" || this.#step.type === "announce" || this.#step.type === "mark-void",
      "a write was under way",
    );
    const x = splitterBlock(this.#config.region, this.#term);
    const block = this.#step.type === "announce" ? x + 1n : x;
    return this.#end({
      type: "failed",
      error: new SplitterWriteError({ term: this.#term, block }, { cause }),
    });
  }

  #read(type: "look" | "confirm", address: bigint, count: number): readonly ElectionEffect[] {
    const reading = this.#readingOf(address, count);
    this.#step = { type, reading };
    return [reading.request];
  }

  #readingOf(address: bigint, count: number): SlotReading {
    return new SlotReading(this.#config.region, this.#nextId, [{ address, count }]);
  }

  #writeMark(address: bigint, isVoid: boolean): IoEffect {
    const { region, rid, claim } = this.#config;
    const block = sealMark(region, { address, writer: rid, mark: { claim, isVoid } });
    return { type: "write-block", id: this.#nextId(), address, block };
  }

  #lose(): readonly ElectionEffect[] {
    return this.#end({ type: "lost", term: this.#term });
  }

  #end(outcome: ElectionOutcome): readonly ElectionEffect[] {
    this.#step = { type: "idle" };
    return [outcome];
  }
}

function corrupt(term: bigint, what: string): CorruptionError {
  const message = `${what} in term ${term}; going on could bring back an older state`;
  return new CorruptionError("ERR_HOLDFAST_RECORD_CORRUPT", message, term);
}
