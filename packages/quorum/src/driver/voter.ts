/*
 * A voter: writes its hints, watches for silence, and runs for the server's role when the campaign says so.
 *
 * Elections and hints are independent of sessions and of the server: nothing here waits for either.
 */
import { BLOCK_BYTES, type BrokenRules, type Cancel, DeviceError, blockOffset } from "@holdfast/environment";
import { Campaign, type CampaignEffect, type CampaignEvent, type QuorumTiming } from "../campaign.ts";
import { Election, type ElectionOutcome } from "../election.ts";
import { SplitterWriteError } from "../errors.ts";
import { type Hint, readHint, sealHint } from "../hint.ts";
import { firstTerm, lastTerm, type QuorumRegion } from "../region.ts";
import { type QuorumPorts, driveToOutcome } from "./block-io.ts";
import { type Leadership, startLeadership } from "./leadership.ts";

/** Settings of a voter. */
export interface VoterOptions {
  readonly region: QuorumRegion;
  /** This member, not 0. */
  readonly rid: bigint;
  /** Where this member would listen as server; told to others as a hint. */
  readonly address: () => string;
  /** Voters, this one included, that must miss the server before it is replaced. */
  readonly votes: number;
  readonly timing: QuorumTiming;
  readonly brokenRules: BrokenRules;
  /** This member has won a term and is the server until it calls {@link Voter.serving} with false. */
  readonly onElected: (leadership: Leadership) => void;
  /**
   * Elections cannot go on: `ERR_HOLDFAST_RECORD_CORRUPT`, `ERR_HOLDFAST_ANNOUNCEMENT_LOST`,
   * `ERR_HOLDFAST_TERMS_EXHAUSTED`, or an error nobody expected. The voter does not run again.
   */
  readonly onError: (error: unknown) => void;
}

/** A running voter. */
export interface Voter {
  /** A frame came from the server of that term. */
  heard(term: bigint): void;
  /** This member's server role is up (true) or over (false). */
  serving(isServing: boolean): void;
  /** Ends hints and campaigns; resolves when no read or write of this voter is under way. Idempotent. */
  stop(): Promise<void>;
}

/** Shares of the terms, in percent, from which on a won term is logged as a warning. */
const TERMS_WARNING_PERCENTS = [95, 80, 50] as const;

/** Makes a member a voter. */
export function startVoter(options: VoterOptions, ports: QuorumPorts): Voter {
  return new VoterDriver(options, ports);
}

class VoterDriver implements Voter {
  readonly #options: VoterOptions;
  readonly #ports: QuorumPorts;
  readonly #campaign: Campaign;
  readonly #running: Set<Promise<void>> = new Set();
  #cancelTimer: Cancel | undefined;
  #armedFor: number | undefined;
  #isStopped = false;
  #isWritingHint = false;

  constructor(options: VoterOptions, ports: QuorumPorts) {
    const { rid, votes, timing, region } = options;
    this.#options = options;
    this.#ports = ports;
    const terms = { first: firstTerm(region), last: lastTerm(region) };
    this.#campaign = new Campaign({ rid, votes, timing, terms }, ports.clock.now());
    this.#arm();
  }

  heard(term: bigint): void {
    this.#post({ type: "heard", term });
  }

  serving(isServing: boolean): void {
    this.#post({ type: "serving", isServing });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    await Promise.all(this.#running);
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
        if (!this.#isWritingHint) this.#run(this.#writeHint(effect.hint));
        return;
      case "read-hints":
        this.#run(this.#readHints());
        return;
      case "attempt":
        this.#run(this.#attempt(effect));
        return;
    }
  }

  #run(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => this.#halt(error))
      .finally(() => this.#running.delete(settled));
    this.#running.add(settled);
  }

  async #writeHint(hint: Omit<Hint, "address">): Promise<void> {
    const { region, address } = this.#options;
    const { device, random, log } = this.#ports;
    const block = region.hintsBlock + BigInt(random.u32() % region.hintsCount);
    const sealed = sealHint(region, block, { ...hint, address: address() });
    this.#isWritingHint = true;
    try {
      await device.write(blockOffset(block), sealed, { isDurable: false });
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      log.warn({ event: "hint.write-failed", err: error, block }, "a hint could not be written");
    } finally {
      this.#isWritingHint = false;
    }
  }

  async #readHints(): Promise<void> {
    const { region } = this.#options;
    const { device, log } = this.#ports;
    const bytes = new Uint8Array(region.hintsCount * BLOCK_BYTES);
    const hints: Hint[] = [];
    try {
      await device.read(blockOffset(region.hintsBlock), bytes);
      for (let index = 0; index < region.hintsCount; index += 1) {
        const block = bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
        const hint = readHint(region, region.hintsBlock + BigInt(index), block);
        if (hint !== undefined) hints.push(hint);
      }
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      log.warn({ event: "hints.read-failed", err: error }, "the hints could not be read");
    }
    this.#post({ type: "hints", hints });
  }

  async #attempt({ fromTerm, yieldAbove }: Extract<CampaignEffect, { type: "attempt" }>): Promise<void> {
    const { region, rid, brokenRules } = this.#options;
    this.#ports.log.info(
      { event: "election.started", rid, fromTerm },
      "the server is silent, running for its role",
    );
    const claim = this.#ports.random.u64();
    const election = new Election({ region, rid, claim, fromTerm, yieldAbove, brokenRules });
    const first = election.handle({ type: "start" });
    const outcome = await driveToOutcome(election, { first }, this.#ports);
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
        if (!(outcome.error instanceof SplitterWriteError)) {
          this.#halt(outcome.error);
          return;
        }
        log.warn(
          { event: "election.failed", rid, err: outcome.error },
          "an attempt failed, another will follow",
        );
        this.#endAttempt("lost", 0n);
        return;
    }
  }

  #takeTerm({ term, adopted }: Extract<ElectionOutcome, { type: "elected" }>): void {
    const { region, rid, brokenRules, onElected } = this.#options;
    const { log } = this.#ports;
    log.info(
      { event: "election.won", rid, term, adoptedTerm: adopted.term, adoptedSeq: adopted.seq },
      "server elected",
    );
    const usedPercent = (Number(term) / region.termsMax) * 100;
    const passed = TERMS_WARNING_PERCENTS.find((percent) => usedPercent >= percent);
    if (passed !== undefined) {
      const facts = { event: "terms.low", term, termsMax: region.termsMax, passedPercent: passed };
      log.warn(facts, "the terms of this volume run out, plan to renew them");
    }
    this.#endAttempt("elected", term);
    onElected(startLeadership({ region, rid, term, adopted, brokenRules }, this.#ports));
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
    this.#options.onError(error);
  }

  #drawRandom(): number {
    return this.#ports.random.u32() / 2 ** 32;
  }
}
