/*
 * When to try for the server's role: rule E0. Policy and liveness only; no rule of safety leans on it.
 *
 * A voter tries when the server has been silent for the election time-out and the fresh hints on the device show
 * enough voters that do not reach a server either, and more of them than voters that do. So a member that is cut off
 * does not depose a server that others still reach, and terms are not burnt. The decision is taken when a reading of the hints
 * has just come in, never on a timer alone: a process that was paused reads first what happened meanwhile.
 */
import type { Hint } from "./hint.ts";
import { Sightings } from "./sightings.ts";

/** Times of elections, in milliseconds. */
export interface QuorumTiming {
  /** A voter writes a hint this often. */
  readonly heartbeatMs: number;
  /** A server that is not heard for this long is given up; at least three heartbeats. */
  readonly electionTimeoutMs: number;
  /** After a lost attempt the next is put off by a random time of at least this … */
  readonly backoffMinMs: number;
  /** … doubling up to this. */
  readonly backoffMaxMs: number;
  /** Longest time between two servers while leadership flaps; spares terms. */
  readonly flapHoldMaxMs: number;
}

/** Times that suit a disk that answers within a few milliseconds. */
export const DEFAULT_QUORUM_TIMING: QuorumTiming = {
  heartbeatMs: 100,
  electionTimeoutMs: 400,
  backoffMinMs: 50,
  backoffMaxMs: 1000,
  flapHoldMaxMs: 300_000,
};

/** Settings of a campaign. */
export interface CampaignConfig {
  /** This voter. */
  readonly rid: bigint;
  /** Voters, this one included, that must miss the server before it is replaced; at least 1. */
  readonly votes: number;
  readonly timing: QuorumTiming;
  /** First and last term of the region; a hint that names a higher one is nonsense. */
  readonly terms: { readonly first: bigint; readonly last: bigint };
}

/** What the driver may tell a campaign. `random` is uniform in [0, 1). */
export type CampaignEvent =
  | { readonly type: "tick"; readonly random: number }
  /** A frame came from the server of that term. */
  | { readonly type: "heard"; readonly term: bigint }
  /** All hints that could be read, those of this voter included. */
  | { readonly type: "hints"; readonly hints: readonly Hint[] }
  /** This member began, or ceased, to be the server. */
  | { readonly type: "serving"; readonly isServing: boolean }
  /** The attempt is over; `term` is one it found touched, 0 when it did not get that far. */
  | {
      readonly type: "attempt-ended";
      readonly result: "elected" | "lost" | "halted";
      readonly term: bigint;
      readonly random: number;
    };

/** What a campaign asks of the driver. */
export type CampaignEffect =
  | { readonly type: "write-hint"; readonly hint: Omit<Hint, "address"> }
  | { readonly type: "read-hints" }
  /** Run an election: `fromTerm` is known to be touched; for `yieldAbove` see `ElectionConfig`. */
  | { readonly type: "attempt"; readonly fromTerm: bigint; readonly yieldAbove: bigint | undefined };

/** Changes of the server that come as fast as they may, before the time between them grows. */
const FLAP_FREE_COUNT = 16;
/** One change is forgotten per this time: at worst 4,096 terms last 14 days. */
const FLAP_CALM_MS = 300_000;
const FLAP_HOLD_MIN_MS = 100;
/** While the server stays away, hints are read this many heartbeats apart after the first few time-outs. */
const SLOW_READ_HEARTBEATS = 3;

/** The campaign of one voter. */
export class Campaign {
  readonly #config: CampaignConfig;
  readonly #sightings: Sightings;
  #role: "voter" | "candidate" | "server" | "halted" = "voter";
  #counter = 0;
  /** Latest term of a server. */
  #servedTerm = 0n;
  /** Highest term known to be touched. */
  #touchedTerm: bigint;
  #heardAt: number = Number.NEGATIVE_INFINITY;
  #silentSince: number;
  #firstReadAt: number | undefined;
  #notBefore: number | undefined;
  #backoffMs: number;
  #flapLevel = 0;
  #flapAt: number;
  #flapHoldUntil: number;
  #nextHintAt: number;
  #nextReadAt: number;
  #isReading = false;
  #saidReaching = false;

  constructor(config: CampaignConfig, now: number) {
    this.#config = config;
    this.#sightings = new Sightings(config.timing.electionTimeoutMs);
    this.#touchedTerm = config.terms.first;
    this.#backoffMs = config.timing.backoffMinMs;
    this.#silentSince = now;
    this.#flapAt = now;
    this.#flapHoldUntil = now;
    this.#nextHintAt = now;
    this.#nextReadAt = now;
  }

  /** When the driver must send the next `tick`, in milliseconds of its clock. */
  get deadline(): number {
    const { electionTimeoutMs } = this.#config.timing;
    let deadline = this.#nextHintAt;
    if (this.#saidReaching && this.#role !== "server")
      deadline = Math.min(deadline, this.#heardAt + electionTimeoutMs);
    if (this.#role === "voter" && !this.#isReading) deadline = Math.min(deadline, this.#readDue());
    return deadline;
  }

  /** Takes one event and returns the effects it causes, in the order they must happen. */
  handle(event: CampaignEvent, now: number): readonly CampaignEffect[] {
    switch (event.type) {
      case "tick":
        return this.#tick(now, event.random);
      case "heard":
        return this.#hear(event.term, now);
      case "hints":
        return this.#consider(event.hints, now);
      case "serving":
        return this.#serve(event.isServing, now);
      case "attempt-ended":
        return this.#endAttempt(event, now);
    }
  }

  #tick(now: number, random: number): readonly CampaignEffect[] {
    const effects: CampaignEffect[] = [];
    if (now >= this.#nextHintAt || this.#reaches(now) !== this.#saidReaching)
      effects.push(this.#writeHint(now));
    if (this.#role === "voter" && !this.#isReading && now >= this.#readDue()) {
      // Voters whose time runs out together spread a little, so that most elections have one candidate.
      this.#notBefore ??=
        this.#silentSince + this.#config.timing.electionTimeoutMs + random * this.#backoffMs;
      this.#isReading = true;
      effects.push({ type: "read-hints" });
    }
    return effects;
  }

  #writeHint(now: number): CampaignEffect {
    this.#nextHintAt = now + this.#config.timing.heartbeatMs;
    this.#saidReaching = this.#reaches(now);
    this.#counter += 1;
    const hint = {
      rid: this.#config.rid,
      term: this.#servedTerm,
      counter: this.#counter,
      reachesServer: this.#saidReaching,
      isServing: this.#role === "server",
    };
    return { type: "write-hint", hint };
  }

  #hear(term: bigint, now: number): readonly CampaignEffect[] {
    if (term < this.#servedTerm || term > this.#config.terms.last) return [];
    this.#learnServer(term, now);
    this.#heardAt = now;
    this.#backoffMs = this.#config.timing.backoffMinMs;
    this.#restartSilence(now);
    return [];
  }

  #consider(hints: readonly Hint[], now: number): readonly CampaignEffect[] {
    const { rid, timing, terms, votes } = this.#config;
    this.#isReading = false;
    this.#nextReadAt = now + this.#readIntervalMs(now);
    this.#sightings.update(
      hints.filter((hint) => hint.rid !== rid && hint.term <= terms.last),
      now,
    );
    if (this.#role !== "voter") return [];
    const servedTerm = this.#sightings.servedTerm({ now, withStale: this.#servedTerm > 0n });
    if (servedTerm > this.#servedTerm) {
      // There is a new server, and nobody has had the time to reach it.
      this.#learnServer(servedTerm, now);
      this.#restartSilence(now);
      return [];
    }
    this.#firstReadAt ??= now;
    // Every living voter has written a hint between the first reading and this one.
    const hasWatched = now - this.#firstReadAt >= 1.5 * timing.heartbeatMs;
    const isSilent = now >= this.#silentSince + timing.electionTimeoutMs;
    const isHeldBack = this.#notBefore === undefined || now < Math.max(this.#notBefore, this.#flapHoldUntil);
    if (this.#notBefore !== undefined && this.#notBefore > now)
      this.#nextReadAt = Math.min(this.#nextReadAt, this.#notBefore);
    if (!hasWatched || !isSilent || isHeldBack) return [];
    const others = this.#sightings.count(now);
    const missing = 1 + others.silent;
    if (missing < votes || missing <= others.reaching) return [];
    this.#role = "candidate";
    const fromTerm = this.#touchedTerm;
    // Who knows of no server yet cannot tell old terms from a rival's.
    return [{ type: "attempt", fromTerm, yieldAbove: this.#servedTerm === 0n ? undefined : fromTerm }];
  }

  #serve(isServing: boolean, now: number): readonly CampaignEffect[] {
    if (this.#role === "halted") return [];
    const role = isServing ? "server" : "voter";
    if (role === this.#role) return [];
    this.#role = role;
    this.#restartSilence(now);
    return [this.#writeHint(now)];
  }

  #endAttempt(
    event: Extract<CampaignEvent, { type: "attempt-ended" }>,
    now: number,
  ): readonly CampaignEffect[] {
    if (event.term > this.#touchedTerm) this.#touchedTerm = event.term;
    switch (event.result) {
      case "elected":
        this.#learnServer(event.term, now);
        this.#backoffMs = this.#config.timing.backoffMinMs;
        return this.#serve(true, now);
      case "lost":
        this.#role = "voter";
        this.#backOff(now, event.random);
        return [];
      case "halted":
        this.#role = "halted";
        return [];
    }
  }

  #backOff(now: number, random: number): void {
    this.#notBefore = now + this.#backoffMs * (1 + random);
    this.#nextReadAt = this.#notBefore;
    this.#backoffMs = Math.min(2 * this.#backoffMs, this.#config.timing.backoffMaxMs);
  }

  #learnServer(term: bigint, now: number): void {
    if (term > this.#touchedTerm) this.#touchedTerm = term;
    if (term <= this.#servedTerm) return;
    this.#servedTerm = term;
    this.#flapLevel = Math.max(0, this.#flapLevel - (now - this.#flapAt) / FLAP_CALM_MS) + 1;
    this.#flapAt = now;
    const excess = this.#flapLevel - FLAP_FREE_COUNT;
    const holdMs = excess <= 0 ? 0 : FLAP_HOLD_MIN_MS * 2 ** excess;
    this.#flapHoldUntil = now + Math.min(holdMs, this.#config.timing.flapHoldMaxMs);
  }

  #restartSilence(now: number): void {
    this.#silentSince = now;
    this.#firstReadAt = undefined;
    this.#notBefore = undefined;
  }

  #reaches(now: number): boolean {
    // Compared as `deadline` computes it: a difference could round the other way, and the tick would come for ever.
    return this.#role === "server" || now < this.#heardAt + this.#config.timing.electionTimeoutMs;
  }

  /** Hints are read from half of the time-out on, so that at its end it is known who else is alive. */
  #readDue(): number {
    return Math.max(this.#nextReadAt, this.#silentSince + this.#config.timing.electionTimeoutMs / 2);
  }

  #readIntervalMs(now: number): number {
    const { electionTimeoutMs, heartbeatMs } = this.#config.timing;
    const isLong = now - this.#silentSince > 4 * electionTimeoutMs;
    return isLong ? SLOW_READ_HEARTBEATS * heartbeatMs : heartbeatMs / 2;
  }
}
