/*
 * When to try for the server's role: rule E0. Policy and liveness only; no rule of safety leans on it.
 *
 * A voter tries when the server has been silent for the election time-out and the fresh hints on the device show
 * enough voters that do not reach a server either, and more of them than voters that do. So a member that is cut off
 * does not depose a server that others still reach, and terms are not burnt. The decision is taken when a reading of the hints
 * has just come in, never on a timer alone: a process that was paused reads first what happened meanwhile.
 *
 * A server that is over for certain (it resigned, its process is gone) is not waited for. The voter with the smallest rid goes
 * first, the others a heartbeat later, so that most such elections have one candidate. The votes are needed all the same.
 */
import type { Hint } from "./hint.ts";
import type { QuorumTiming } from "./quorum-timing.ts";
import { FlapHold } from "./flap-hold.ts";
import { Sightings } from "./sightings.ts";

/** Settings of a campaign. */
export interface CampaignConfig {
  /** This voter. */
  readonly rid: bigint;
  /** Voters, this one included, that must miss the server before it is replaced, at least 1; asked at each decision. */
  readonly votes: () => number;
  readonly timing: QuorumTiming;
  /** First and last term of the region; a hint that names a higher one is nonsense. */
  readonly terms: { readonly first: bigint; readonly last: bigint };
  /** True: there are no sessions, so a hint of the server that is seen to change counts as a frame from it. */
  readonly hearsByHints: boolean;
}

/** What the driver may tell a campaign. `random` is uniform in [0, 1). */
export type CampaignEvent =
  | { readonly type: "tick"; readonly random: number }
  /** A frame came from the server of that term. */
  | { readonly type: "heard"; readonly term: bigint }
  /** The server of that term is over: it has resigned, or its process is known to be dead. */
  | { readonly type: "over"; readonly term: bigint; readonly random: number }
  /** All hints that could be read, those of this voter included. */
  | { readonly type: "hints"; readonly hints: readonly Hint[]; readonly random: number }
  /** A reading of the term slots has found that terms up to this one are touched. */
  | { readonly type: "surveyed"; readonly term: bigint }
  /** The device did not let the hints be read. */
  | { readonly type: "hints-unreadable" }
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
  | { readonly type: "attempt"; readonly fromTerm: bigint; readonly yieldAbove: bigint | undefined }
  /** Nobody serves, and for long only `missing` voters, this one included, of `votes` that must miss the server have said so. */
  | { readonly type: "short-of-votes"; readonly missing: number; readonly votes: number };

/** While the server stays away, hints are read this many heartbeats apart after the first few time-outs. */
const SLOW_READ_HEARTBEATS = 3;

/** Silence for so many time-outs is long: whoever started at the same time has been seen by then. */
const LONG_TIMEOUTS = 4;

/** The campaign of one voter. */
export class Campaign {
  readonly #config: CampaignConfig;
  readonly #sightings: Sightings;
  #role: "voter" | "candidate" | "server" | "halted" = "voter";
  #counter = 0;
  /** Latest term of a server. */
  #servedTerm = 0n;
  /** Latest term whose server is over for certain. */
  #overTerm = 0n;
  /** Highest term known to be touched. */
  #touchedTerm: bigint;
  #isSurveyed = false;
  #heardAt: number = Number.NEGATIVE_INFINITY;
  #silentSince: number;
  #firstReadAt: number | undefined;
  #notBefore: number | undefined;
  /** When a server is over: voters with a greater rid than another's wait until then. */
  #youngerNotBefore = Number.NEGATIVE_INFINITY;
  #backoffMs: number;
  readonly #flapHold: FlapHold;
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
    this.#flapHold = new FlapHold(config.timing.flapHoldMaxMs, now);
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
        return this.#consider(event, now);
      case "hints-unreadable":
        this.#isReading = false;
        this.#nextReadAt = now + this.#config.timing.electionTimeoutMs;
        return [];
      case "over":
        return this.#giveUpServer(event, now);
      case "surveyed":
        this.#isSurveyed = true;
        if (event.term > this.#touchedTerm) this.#touchedTerm = event.term;
        return [];
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
      if (!this.#isOver())
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
    // What a server said before it was over may come in late.
    if (term < this.#servedTerm || term <= this.#overTerm || term > this.#config.terms.last) return [];
    this.#learnServer(term, now);
    this.#heardAt = now;
    this.#backoffMs = this.#config.timing.backoffMinMs;
    this.#restartSilence(now);
    return [];
  }

  /** Tells the others at once, and looks at once who else is there. */
  #giveUpServer(
    { term, random }: { readonly term: bigint; readonly random: number },
    now: number,
  ): readonly CampaignEffect[] {
    const isKnown = term <= this.#overTerm || term < this.#servedTerm;
    if (isKnown || term > this.#config.terms.last || this.#role !== "voter") return [];
    this.#learnServer(term, now);
    this.#overTerm = term;
    this.#heardAt = Number.NEGATIVE_INFINITY;
    this.#restartSilence(now);
    this.#youngerNotBefore = now + this.#config.timing.heartbeatMs * (1 + random / 2);
    const hint = this.#writeHint(now);
    if (this.#isReading) return [hint];
    this.#isReading = true;
    return [hint, { type: "read-hints" }];
  }

  #consider(
    { hints, random }: { readonly hints: readonly Hint[]; readonly random: number },
    now: number,
  ): readonly CampaignEffect[] {
    const { rid, terms } = this.#config;
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
    const { ceasedTerm } = this.#sightings;
    if (ceasedTerm > this.#overTerm && ceasedTerm >= this.#servedTerm)
      return this.#giveUpServer({ term: ceasedTerm, random }, now);
    if (this.#config.hearsByHints && this.#hearByHint()) return [];
    return this.#decide(now);
  }

  /** Without sessions: the server's hint has changed since it was heard last. */
  #hearByHint(): boolean {
    const changedAt = this.#sightings.servingAt(this.#servedTerm);
    if (changedAt === undefined || changedAt <= this.#heardAt) return false;
    this.#hear(this.#servedTerm, changedAt);
    return true;
  }

  #decide(now: number): readonly CampaignEffect[] {
    this.#firstReadAt ??= now;
    const due = this.#isOver() ? this.#dueAfterServer() : this.#dueAfterSilence(this.#firstReadAt);
    if (now < due) {
      this.#nextReadAt = Math.min(this.#nextReadAt, due);
      return [];
    }
    const others = this.#sightings.count(now, this.#isOver() ? this.#overTerm : 0n);
    const missing = 1 + others.silent;
    const votes = this.#config.votes();
    if (missing <= others.reaching) return [];
    if (missing < votes) return this.#isLong(now) ? [{ type: "short-of-votes", missing, votes }] : [];
    this.#role = "candidate";
    const fromTerm = this.#touchedTerm;
    // Who knows of no term yet cannot tell old ones from a rival's.
    const knowsTerms = this.#isSurveyed || this.#servedTerm > 0n;
    return [{ type: "attempt", fromTerm, yieldAbove: knowsTerms ? fromTerm : undefined }];
  }

  /** When a reading may decide to campaign against a server that has fallen silent. */
  #dueAfterSilence(firstReadAt: number): number {
    const { electionTimeoutMs, heartbeatMs } = this.#config.timing;
    return Math.max(
      this.#notBefore ?? Number.POSITIVE_INFINITY,
      this.#flapHold.until,
      this.#silentSince + electionTimeoutMs,
      // Every living voter has written a hint between the first reading and this one.
      firstReadAt + 1.5 * heartbeatMs,
    );
  }

  /** The same for a server that is over for certain: at once, or a little after the elder voters. */
  #dueAfterServer(): number {
    const isYounger = this.#sightings.hasElder(this.#config.rid, this.#overTerm);
    const due = this.#notBefore ?? (isYounger ? this.#youngerNotBefore : this.#silentSince);
    return Math.max(due, this.#flapHold.until);
  }

  #isOver(): boolean {
    return this.#overTerm > 0n && this.#overTerm === this.#servedTerm;
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

  /** Meanwhile the hints are read on: whoever was faster says so in one of them, if it is not overwritten. */
  #backOff(now: number, random: number): void {
    const { heartbeatMs } = this.#config.timing;
    const winnerIsSeenMs = this.#isOver() ? 1.5 * heartbeatMs : 0;
    this.#notBefore = now + winnerIsSeenMs + this.#backoffMs * (1 + random);
    this.#nextReadAt = Math.min(this.#notBefore, now + this.#readIntervalMs(now));
    this.#backoffMs = Math.min(2 * this.#backoffMs, this.#config.timing.backoffMaxMs);
  }

  #learnServer(term: bigint, now: number): void {
    if (term > this.#touchedTerm) this.#touchedTerm = term;
    if (term <= this.#servedTerm) return;
    this.#servedTerm = term;
    this.#flapHold.count(now);
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
    if (this.#isOver()) return this.#nextReadAt;
    return Math.max(this.#nextReadAt, this.#silentSince + this.#config.timing.electionTimeoutMs / 2);
  }

  #readIntervalMs(now: number): number {
    const { heartbeatMs } = this.#config.timing;
    return this.#isLong(now) ? SLOW_READ_HEARTBEATS * heartbeatMs : heartbeatMs / 2;
  }

  #isLong(now: number): boolean {
    return now - this.#silentSince > LONG_TIMEOUTS * this.#config.timing.electionTimeoutMs;
  }
}
