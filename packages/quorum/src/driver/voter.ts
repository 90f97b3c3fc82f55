/*
 * A voter: writes its hints, watches for silence, and runs for the server's role when the campaign says so.
 *
 * Elections and hints are independent of sessions and of the server: nothing here waits for either.
 */
import { BLOCK_BYTES, type BrokenRules, type Cancel, DeviceError, blockOffset } from "@holdfast/environment";
import { countIds } from "../block-reading.ts";
import { Campaign, type CampaignEffect, type CampaignEvent } from "../campaign.ts";
import type { QuorumTiming } from "../quorum-timing.ts";
import { Election, type ElectionOutcome } from "../election.ts";
import { CorruptionError, SplitterReadError, SplitterWriteError } from "../errors.ts";
import { type Hint, readHint, sealHint } from "../hint.ts";
import { firstTerm, lastTerm, type QuorumRegion } from "../region.ts";
import { type QuorumPorts, driveToOutcome } from "./block-io.ts";
import { type TermUsage, termUsage } from "../term-usage.ts";
import { type Leadership, startLeadership } from "./leadership.ts";
import { surveyTerms } from "./newest-record.ts";
import { unlessStalled } from "./stall.ts";
import { SteadyWarning } from "./steady-warning.ts";

/** Settings of a voter. */
export interface VoterOptions {
  readonly region: QuorumRegion;
  /** This member, not 0. */
  readonly rid: bigint;
  /** Where this member would listen as server; told to others as a hint. */
  readonly address: () => string;
  /** Voters, this one included, that must miss the server before it is replaced; asked at each decision. */
  readonly votes: () => number;
  readonly timing: QuorumTiming;
  readonly brokenRules: BrokenRules;
  /** True: nobody calls {@link Voter.heard}, the server's hints on the device stand for its frames. Default false. */
  readonly hearsByHints?: boolean;
  /** This member has won a term and is the server until it calls {@link Voter.serving} with false. */
  readonly onElected: (leadership: Leadership) => void;
  /**
   * Elections cannot go on: `ERR_HOLDFAST_RECORD_CORRUPT`, `ERR_HOLDFAST_ANNOUNCEMENT_LOST`, `ERR_HOLDFAST_TERMS_EXHAUSTED`,
   * or an error nobody expected. The voter does not run again; after `ERR_HOLDFAST_TERMS_FOREIGN` it writes no hints either.
   */
  readonly onError: (error: unknown) => void;
}

/** A running voter. */
export interface Voter {
  /** A frame came from the server of that term. */
  heard(term: bigint): void;
  /**
   * The server of that term is over for certain: it said so, a record of it with an empty address says so, or its process
   * is known to be dead (silence is no such evidence). The voter campaigns at once, as soon as it sees the votes it needs.
   */
  over(term: bigint): void;
  /** This member's server role is up (true) or over (false). */
  serving(isServing: boolean): void;
  /**
   * Ends hints and campaigns; nothing is written that was not under way. Resolves when no read or write of this voter
   * is under way, or, with a warning in the log, after `deviceStallMs`. Idempotent.
   */
  stop(): Promise<void>;
}

/** Percent of the terms that a level stands for, in the warning of the log. */
const LEVEL_PERCENTS = { plenty: 0, half: 50, low: 80, critical: 95, exhausted: 100 } as const;

/** An attempt was given up because the voter stopped. */
class StoppedSignal extends Error {}

function stopped(): Error {
  return new StoppedSignal();
}

/** Makes a member a voter. */
export function startVoter(options: VoterOptions, ports: QuorumPorts): Voter {
  return new VoterDriver(options, ports);
}

class VoterDriver implements Voter {
  readonly #options: VoterOptions;
  readonly #ports: QuorumPorts;
  readonly #campaign: Campaign;
  readonly #running: Set<Promise<void>> = new Set();
  readonly #readFailures: SteadyWarning;
  readonly #writeFailures: SteadyWarning;
  readonly #shortages: SteadyWarning;
  #cancelTimer: Cancel | undefined;
  #armedFor: number | undefined;
  #isStopped = false;
  #isWritingHint = false;
  /** The latest hint that waits for the one being written. */
  #nextHint: Omit<Hint, "address"> | undefined;

  constructor(options: VoterOptions, ports: QuorumPorts) {
    const { rid, votes, timing, region, hearsByHints = false } = options;
    this.#options = options;
    this.#ports = ports;
    this.#readFailures = new SteadyWarning(ports);
    this.#writeFailures = new SteadyWarning(ports);
    this.#shortages = new SteadyWarning(ports);
    const terms = { first: firstTerm(region), last: lastTerm(region) };
    this.#campaign = new Campaign({ rid, votes, timing, terms, hearsByHints }, ports.clock.now());
    this.#arm();
    this.#run(this.#survey());
  }

  heard(term: bigint): void {
    this.#post({ type: "heard", term });
  }

  over(term: bigint): void {
    this.#post({ type: "over", term, random: this.#drawRandom() });
  }

  serving(isServing: boolean): void {
    this.#post({ type: "serving", isServing });
  }

  async stop(): Promise<void> {
    this.#cease();
    const { clock, log } = this.#ports;
    const { rid, timing } = this.#options;
    const limitMs = timing.deviceStallMs;
    try {
      await unlessStalled(Promise.all(this.#running), { limitMs, clock, onStall: stopped });
    } catch (error) {
      if (!(error instanceof StoppedSignal)) throw error;
      const facts = { event: "voter.stop-stalled", rid, limitMs, requests: this.#running.size };
      log.warn(facts, "the device still owes answers to a voter that has stopped");
    }
  }

  #cease(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  #post(event: CampaignEvent): void {
    if (this.#isStopped) return;
    for (const effect of this.#campaign.handle(event, this.#ports.clock.now())) this.#perform(effect);
    this.#arm();
  }

  #arm(): void {
    const { deadline } = this.#campaign;
    // Deadlines mostly move away (a frame was heard). A tick that comes early does nothing, so the timer may stay.
    if (this.#armedFor !== undefined && this.#armedFor <= deadline) return;
    this.#cancelTimer?.();
    this.#armedFor = deadline;
    this.#cancelTimer = this.#ports.clock.at(deadline, () => {
      this.#armedFor = undefined;
      this.#post({ type: "tick", random: this.#drawRandom() });
    });
  }

  #perform(effect: CampaignEffect): void {
    switch (effect.type) {
      case "write-hint":
        // A device that is slower than the heartbeat gets fewer hints, not a queue of them.
        this.#nextHint = effect.hint;
        if (!this.#isWritingHint) this.#run(this.#writeHints());
        return;
      case "read-hints":
        this.#run(this.#readHints());
        return;
      case "attempt":
        this.#run(this.#attempt(effect));
        return;
      case "short-of-votes":
        this.#shortages.warn(
          {
            event: "election.short-of-votes",
            rid: this.#options.rid,
            missing: effect.missing,
            votes: effect.votes,
          },
          "nobody serves, and fewer voters than votes are there to elect a server: start more, or lower the votes",
        );
        return;
    }
  }

  #run(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => {
        // After its stop nobody waits for a voter's I/O, and its device may be closed.
        if (!this.#isStopped) this.#halt(error);
      })
      .finally(() => this.#running.delete(settled));
    this.#running.add(settled);
  }

  async #writeHints(): Promise<void> {
    this.#isWritingHint = true;
    try {
      for (let hint = this.#nextHint; hint !== undefined; hint = this.#nextHint) {
        this.#nextHint = undefined;
        await this.#writeHint(hint);
      }
    } finally {
      this.#isWritingHint = false;
    }
  }

  async #writeHint(hint: Omit<Hint, "address">): Promise<void> {
    const { region, address } = this.#options;
    const { device, random } = this.#ports;
    const block = region.hintsBlock + BigInt(random.u32() % region.hintsCount);
    const sealed = sealHint(region, block, { ...hint, address: address() });
    try {
      await device.write(blockOffset(block), sealed, { isDurable: false });
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#writeFailures.warn(
        { event: "hint.write-failed", err: error, block },
        "a hint could not be written",
      );
    }
  }

  async #readHints(): Promise<void> {
    const { region } = this.#options;
    const { device } = this.#ports;
    const bytes = new Uint8Array(region.hintsCount * BLOCK_BYTES);
    try {
      await device.read(blockOffset(region.hintsBlock), bytes);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#readFailures.warn({ event: "hints.read-failed", err: error }, "the hints could not be read");
      this.#post({ type: "hints-unreadable" });
      return;
    }
    const hints: Hint[] = [];
    for (let index = 0; index < region.hintsCount; index += 1) {
      const block = bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
      const hint = readHint(region, region.hintsBlock + BigInt(index), block);
      if (hint !== undefined) hints.push(hint);
    }
    this.#post({ type: "hints", hints, random: this.#drawRandom() });
  }

  /** So that a candidate of voters that start together knows its rival's term from an old one, and yields. */
  async #survey(): Promise<void> {
    const { region } = this.#options;
    const start = { region, nextId: countIds(), from: firstTerm(region) };
    const survey = await surveyTerms(start, this.#ports);
    if (survey !== undefined) this.#post({ type: "surveyed", term: survey.touched });
  }

  async #attempt({ fromTerm, yieldAbove }: Extract<CampaignEffect, { type: "attempt" }>): Promise<void> {
    const { region, rid, brokenRules } = this.#options;
    this.#ports.log.info(
      { event: "election.started", rid, fromTerm },
      "there is no server, running for its role",
    );
    const claim = this.#ports.random.u64();
    const election = new Election({ region, rid, claim, fromTerm, yieldAbove, brokenRules });
    const first = election.handle({ type: "start" });
    const beforeWrite = (): void => {
      if (this.#isStopped) throw new StoppedSignal();
    };
    const outcome = await driveToOutcome(election, { first, beforeWrite }, this.#ports);
    if (!this.#isStopped) this.#conclude(outcome);
  }

  #conclude(outcome: ElectionOutcome): void {
    const { log } = this.#ports;
    const { rid } = this.#options;
    switch (outcome.type) {
      case "elected":
        this.#takeTerm(outcome);
        return;
      case "lost":
        log.info(
          { event: "election.lost", rid, term: outcome.term },
          "another candidate was at this term too",
        );
        this.#endAttempt("lost", outcome.term);
        return;
      case "failed":
        this.#fail(outcome.error);
        return;
    }
  }

  #fail(error: Extract<ElectionOutcome, { type: "failed" }>["error"]): void {
    if (!(error instanceof SplitterWriteError || error instanceof SplitterReadError)) {
      this.#halt(error);
      return;
    }
    const facts = { event: "election.failed", rid: this.#options.rid, err: error };
    this.#ports.log.warn(facts, "an attempt failed, another will follow");
    this.#endAttempt("lost", 0n);
  }

  #takeTerm({ term, adopted }: Extract<ElectionOutcome, { type: "elected" }>): void {
    const { region, rid, brokenRules, timing, onElected } = this.#options;
    const { log } = this.#ports;
    log.info(
      { event: "election.won", rid, term, adoptedTerm: adopted.term, adoptedSeq: adopted.seq },
      "server elected",
    );
    this.#warnOfUsage(term, termUsage(region, term));
    this.#endAttempt("elected", term);
    const { deviceStallMs } = timing;
    onElected(startLeadership({ region, rid, term, adopted, brokenRules, deviceStallMs }, this.#ports));
  }

  #warnOfUsage(term: bigint, { used, max, level }: TermUsage): void {
    if (level === "plenty") return;
    const facts = {
      event: "terms.low",
      term,
      used,
      termsMax: max,
      passedPercent: LEVEL_PERCENTS[level],
    };
    this.#ports.log.warn(facts, "the terms of this volume run out, plan to renew them");
  }

  #endAttempt(result: "elected" | "lost" | "halted", term: bigint): void {
    this.#post({ type: "attempt-ended", result, term, random: this.#drawRandom() });
  }

  #halt(error: unknown): void {
    this.#ports.log.error(
      { event: "election.halted", rid: this.#options.rid, err: error },
      "elections cannot go on",
    );
    this.#endAttempt("halted", 0n);
    // Nothing on that device is this volume's: hints would hit whatever is there now.
    if (error instanceof CorruptionError && error.code === "ERR_HOLDFAST_TERMS_FOREIGN") {
      this.#nextHint = undefined;
      this.#cease();
    }
    this.#options.onError(error);
  }

  #drawRandom(): number {
    return this.#ports.random.u32() / 2 ** 32;
  }
}
