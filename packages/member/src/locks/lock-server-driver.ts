/*
 * Runs a lock server against the world: decodes requests, keeps whom to answer, and lets effects out.
 *
 * The rule of the gate: an effect leaves only after a gate that began after the effect arose, so a server that was
 * deposed meanwhile tells nobody anything. Effects leave in the order they arose; those of one turn of the event loop
 * share a gate. When a gate fails the server is deposed: nothing leaves any more, ever.
 */
import { type Cancel, type Clock, invariant, type Logger } from "@holdfast/environment";
import {
  covers,
  Invalidate,
  InvalidateDone,
  LOCK_REFUSALS,
  LockGrant,
  LockRange,
  type LockReport,
  LockRequest,
  ReclaimRequest,
} from "@holdfast/lock-protocol";
import { CALL_OVERLOADED } from "@holdfast/net-reliable";
import { type Claim, LockServer, type LockServerCounts, type LockServerEffect } from "@holdfast/lock-server";
import { compareBytes, equalBytes, type KeyRange } from "@holdfast/wire-format";
import { decodeIfValid } from "./decode-if-valid.ts";
import { FullWindows } from "./full-windows.ts";
import { type Respond, SESSION_ERRORS_MIN } from "./locking.ts";

/** Most locks in one server's table: about 300 bytes each. */
export const LOCKS_MAX: number = 1 << 20;

/** What a lock server needs of the world. */
export interface LockServerOptions {
  readonly term: bigint;
  /** Command number of INVALIDATE. */
  readonly commandInvalidate: number;
  /** Most locks in the table; {@link LOCKS_MAX} by default. */
  readonly locksMax?: number;
  /** Sends a request to a member, as `ServerSessions.call`. */
  call(
    rid: bigint,
    command: number,
    body: Uint8Array,
    done: (error: number, body: Uint8Array) => void,
  ): Cancel;
  /** Resolves when it is sure that no later term was announced before the call; rejects when deposed. */
  gate(): Promise<void>;
  /** Version of the committed manifest; asked at the moment a grant leaves. */
  manifestVersion(): bigint;
  /** A member broke the protocol: close its connection, or evict it. Its locks stay until {@link LockServerDriver.remove}. */
  onBadPeer(rid: bigint, reason: string): void;
  /** A member asked for a lock, and gets it only when all awaited members have reported or are gone. */
  onAwaited?(): void;
  /** Pauses before a member with a full window is asked again. */
  readonly clock: Clock;
  readonly log: Logger;
}

/** What became of a part of a member's report. */
export interface ReclaimOutcome {
  /** 0, or a number of `LOCK_REFUSALS`. */
  readonly error: number;
  /** True when the member says that it has reported everything: commit that, then call `reclaimed`. */
  readonly isLast: boolean;
}

/** The lock service of one term. */
export interface LockServerDriver {
  /** Takes a LOCK request; `respond` is called once, when the lock is granted or refused. */
  handleRequest(rid: bigint, body: Uint8Array, respond: Respond): void;
  /** Takes a RECLAIM request of an awaited member. */
  handleReclaim(rid: bigint, body: Uint8Array): ReclaimOutcome;
  /** Names the members that may hold locks from earlier terms. Call it once, also with nobody; nothing is granted before. */
  beginRecovery(members: readonly bigint[]): void;
  /** An awaited member has reported everything. Idempotent. */
  reclaimed(rid: bigint): void;
  /** A member left, or its eviction is committed and its journal replayed. Idempotent. */
  remove(rid: bigint): void;
  /** The members that keep the recovery from ending; also those whose reports were false, until removed. */
  pendingRecovery(): readonly bigint[];
  /** Nothing leaves any more. */
  stop(): void;
  stats(): LockServerCounts;
}

/** Makes the lock service of one term. */
export function createLockServer(options: LockServerOptions): LockServerDriver {
  return new Driver(options);
}

const NOTHING = new Uint8Array(0);

class Driver implements LockServerDriver {
  readonly #options: LockServerOptions;
  readonly #machine: LockServer;
  readonly #responds: Map<number, Respond> = new Map();
  readonly #effects: LockServerEffect[] = [];
  readonly #fullWindows: FullWindows;
  #isGateBusy = false;
  #isStopped = false;
  #lastRequest = 0;

  constructor(options: LockServerOptions) {
    this.#options = options;
    this.#machine = new LockServer({ term: options.term, locksMax: options.locksMax ?? LOCKS_MAX });
    this.#fullWindows = new FullWindows(options.clock, (invalidations) => this.#post(invalidations));
  }

  handleRequest(rid: bigint, body: Uint8Array, respond: Respond): void {
    const message = decodeIfValid(LockRequest, body);
    const range = message === undefined ? undefined : rangeOf(message);
    if (message === undefined || range === undefined || asksForWhatItHolds(message)) {
      respond(LOCK_REFUSALS.malformed, NOTHING);
      this.#reject(rid, "a malformed lock request");
      return;
    }
    this.#lastRequest += 1;
    const request = this.#lastRequest;
    this.#responds.set(request, respond);
    this.#post(this.#machine.handle({ type: "request", rid, request, range, mode: message.mode }));
    if (message.mode !== "null" && this.#machine.isRecovering) this.#options.onAwaited?.();
  }

  handleReclaim(rid: bigint, body: Uint8Array): ReclaimOutcome {
    const message = decodeIfValid(ReclaimRequest, body);
    const claims = message === undefined ? undefined : claimsOf(message.locks);
    if (message === undefined || claims === undefined) {
      this.#reject(rid, "a malformed lock report");
      return { error: LOCK_REFUSALS.malformed, isLast: false };
    }
    const effects = this.#machine.handle({ type: "reclaim", rid, claims });
    this.#post(effects);
    const isRefused = effects.some(({ type }) => type === "refuse-reclaim");
    return { error: isRefused ? LOCK_REFUSALS.noGrace : 0, isLast: message.isLast };
  }

  beginRecovery(members: readonly bigint[]): void {
    this.#post(this.#machine.handle({ type: "begin-recovery", members }));
  }

  reclaimed(rid: bigint): void {
    this.#post(this.#machine.handle({ type: "reclaimed", rid }));
  }

  remove(rid: bigint): void {
    this.#fullWindows.forget(rid);
    this.#post(this.#machine.handle({ type: "remove", rid }));
  }

  pendingRecovery(): readonly bigint[] {
    return this.#machine.awaited;
  }

  stop(): void {
    this.#isStopped = true;
    this.#fullWindows.close();
    this.#effects.length = 0;
    this.#responds.clear();
  }

  stats(): LockServerCounts {
    return this.#machine.counts();
  }

  #post(effects: readonly LockServerEffect[]): void {
    if (this.#isStopped || effects.length === 0) return;
    this.#effects.push(...effects);
    this.#startGate();
  }

  #startGate(): void {
    if (this.#isGateBusy || this.#isStopped || this.#effects.length === 0) return;
    this.#isGateBusy = true;
    // It rejects only with a broken invariant, and that ends the process.
    void this.#pass();
  }

  async #pass(): Promise<void> {
    // The rest of this turn's effects join before the gate begins.
    await Promise.resolve();
    const count = this.#effects.length;
    if (!(await this.#mayLeave())) return;
    this.#isGateBusy = false;
    for (const effect of this.#effects.splice(0, count)) if (!this.#isStopped) this.#perform(effect);
    this.#startGate();
  }

  async #mayLeave(): Promise<boolean> {
    try {
      await this.#options.gate();
    } catch (error) {
      this.#options.log.warn(
        { event: "lock.gate-closed", err: error, term: this.#options.term },
        "the lock server may no longer answer",
      );
      this.stop();
    }
    return !this.#isStopped;
  }

  #perform(effect: LockServerEffect): void {
    switch (effect.type) {
      case "grant":
        this.#grant(effect);
        break;
      case "refuse":
        this.#takeRespond(effect.request)(effect.refusal, NOTHING);
        break;
      case "invalidate":
        this.#invalidate(effect);
        break;
      case "refuse-reclaim":
        // Answered where it was asked.
        break;
      case "reject-peer":
        this.#reject(effect.rid, effect.reason);
        break;
      case "finish-recovery":
        this.#options.log.info(
          { event: "lock.recovery-finished", term: this.#options.term },
          "every holder of locks has reported or is gone",
        );
        break;
    }
  }

  #grant({ request, range, mode, writeSeq }: LockServerEffect & { type: "grant" }): void {
    const manifestVersion = this.#options.manifestVersion();
    const grant = { start: range.start, mode, writeSeq, term: this.#options.term, manifestVersion };
    this.#takeRespond(request)(0, LockGrant.encode(grant));
  }

  #invalidate(effect: LockServerEffect & { type: "invalidate" }): void {
    const { rid, range, to, writeSeq } = effect;
    const { term, commandInvalidate } = this.#options;
    const body = Invalidate.encode({ start: range.start, to, term, writeSeq });
    this.#options.call(rid, commandInvalidate, body, (error, answer) => {
      if (this.#isStopped) return;
      if (error === CALL_OVERLOADED) return this.#fullWindows.add(effect);
      this.#fullWindows.answered(rid);
      // The session or the member is gone, and its locks go with `remove`; or a later server has it.
      if (error >= SESSION_ERRORS_MIN) return;
      if (error === LOCK_REFUSALS.memberGone || error === LOCK_REFUSALS.staleTerm) return;
      const done = error === 0 ? decodeIfValid(InvalidateDone, answer) : undefined;
      if (done === undefined || !equalBytes(done.start, range.start))
        this.#reject(rid, "a malformed answer to an invalidation");
      else this.#post(this.#machine.handle({ type: "invalidated", rid, range, mode: done.to }));
    });
  }

  #reject(rid: bigint, reason: string): void {
    this.#options.log.warn({ event: "lock.peer-rejected", rid, reason }, "a member broke the lock protocol");
    this.#options.onBadPeer(rid, reason);
  }

  #takeRespond(request: number): Respond {
    const respond = this.#responds.get(request);
    invariant(respond !== undefined, "a lock request is answered once");
    this.#responds.delete(request);
    return respond;
  }
}

/** No client does: it asks only for more than it has, or gives back. */
function asksForWhatItHolds({ mode, held }: LockRequest): boolean {
  return mode !== "null" && covers(held, mode);
}

function rangeOf(range: KeyRange): LockRange | undefined {
  return compareBytes(range.start, range.end) <= 0 ? new LockRange(range) : undefined;
}

function claimsOf(reports: readonly LockReport[]): readonly Claim[] | undefined {
  const claims: Claim[] = [];
  for (const report of reports) {
    const range = rangeOf(report);
    if (range === undefined || report.mode === "null") return undefined;
    claims.push({ range, mode: report.mode, writeSeq: report.writeSeq });
  }
  return claims;
}
