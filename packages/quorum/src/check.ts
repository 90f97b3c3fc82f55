/*
 * The check of rules E7 and E8: has a later term been announced?
 *
 * Reads X and Y of the following terms until a pristine one. Touched terms form a prefix, so whoever had announced a
 * later term when the read began is seen, however far up. What cannot be read counts as announced.
 */
import type { BrokenRules } from "@holdfast/environment";
import { type BlocksRead, type NextId, type ReadBlocks, SlotReading } from "./block-reading.ts";
import { lastTerm, type QuorumRegion, splitterBlock } from "./region.ts";

/** Settings of a check. */
export interface CheckConfig {
  readonly region: QuorumRegion;
  /** The term whose successors are looked for. */
  readonly term: bigint;
  readonly brokenRules: BrokenRules;
}

/** How a check ends. */
export type CheckOutcome =
  /** No later term was announced when the check began. */
  | { readonly type: "confirmed" }
  /** A later term is announced or unreadable. */
  | { readonly type: "deposed"; readonly by: bigint };

/** What a check asks of the driver. */
export type CheckEffect = ReadBlocks | CheckOutcome;

/** Terms read at once after the first; they are only looked at when a candidate gave up half-way. */
const NEXT_TERMS = 8;

/** One check. It covers everything that was asked for before its first read began. */
export class Check {
  readonly #config: CheckConfig;
  readonly #nextId: NextId;
  #from: bigint;
  #to: bigint;
  #reading: SlotReading | undefined;

  constructor(config: CheckConfig, nextId: NextId) {
    this.#config = config;
    this.#nextId = nextId;
    this.#from = config.term + 1n;
    this.#to = this.#from;
  }

  /** Takes one event and returns the effects it causes. */
  handle(event: { readonly type: "start" } | BlocksRead): readonly CheckEffect[] {
    switch (event.type) {
      case "start":
        return this.#read();
      case "blocks-read":
        return this.#afterRead(event);
    }
  }

  #read(): readonly CheckEffect[] {
    const { region } = this.#config;
    if (this.#from > lastTerm(region)) return [{ type: "confirmed" }];
    if (this.#to > lastTerm(region)) this.#to = lastTerm(region);
    const range = {
      address: splitterBlock(region, this.#from),
      count: 2 * Number(this.#to - this.#from + 1n),
    };
    this.#reading = new SlotReading(region, this.#nextId, [range]);
    return [this.#reading.request];
  }

  #afterRead(event: BlocksRead): readonly CheckEffect[] {
    const reading = this.#reading;
    if (reading === undefined) return [];
    const again = reading.accept(event);
    if (again !== undefined) return [again];
    for (let term = this.#from; term <= this.#to; term += 1n) {
      const address = splitterBlock(this.#config.region, term);
      const [x, y] = [reading.at(address), reading.at(address + 1n)];
      if (y.state !== "pristine" || x.state === "unreadable") return [{ type: "deposed", by: term }];
      if (x.state === "pristine" || this.#config.brokenRules.has("check-next-term-only"))
        return [{ type: "confirmed" }];
    }
    this.#from = this.#to + 1n;
    this.#to = this.#from + BigInt(NEXT_TERMS) - 1n;
    return this.#read();
  }
}
