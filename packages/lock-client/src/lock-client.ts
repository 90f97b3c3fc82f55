/*
 * Cached cluster locks as one member keeps them.
 *
 * A granted mode stays with the member until a server demands it back, so using a lock again costs no message. All
 * users within the member share a mode. The rules:
 *
 *   1. One request per lock is in flight at a time, for the strongest mode that somebody waits for.
 *   2. A demand is answered only when no local user needs more than it leaves, and after the flush of the range has
 *      ended. Meanwhile new users get no more than it leaves, and this member goes on reporting the old mode.
 *   3. A grant raises the mode at once, and a flush that began before it lowers nothing. So a demand is satisfied
 *      only by a flush that began after the last grant, in whatever order old and new servers speak.
 *   4. Users that a grant serves are users before a demand is looked at: a mode is used before it is taken away.
 *   5. A demand for what is no longer held is answered at once, and messages of an earlier term are ignored.
 *
 * A cancelled wait leaves its request in flight; the grant then lies idle in the cache. Nothing here reads a clock, so
 * events carry no time; nothing allocates when a cached lock is taken or released.
 */
import { invariant } from "@holdfast/environment";
import {
  covers,
  LOCK_REFUSALS,
  type LockMode,
  type LockRange,
  type LockReport,
} from "@holdfast/lock-protocol";
import type {
  LockClientConfig,
  LockClientCounts,
  LockClientEffect,
  LockClientEvent,
  WaitFailure,
} from "./events.ts";
import type { LockState } from "./lock-state.ts";
import { LockTable } from "./lock-table.ts";

const NO_EFFECTS: readonly LockClientEffect[] = [];

/** The locks of one member. */
export class LockClient {
  readonly #config: LockClientConfig;
  readonly #locks: LockTable = new LockTable();
  #phase: "open" | "closed" | "lost" = "open";
  #term = 0n;

  constructor(config: LockClientConfig) {
    this.#config = config;
  }

  /** True when more locks lie idle than the limit: follow the acquire with `shrink`. */
  get isOverIdleLimit(): boolean {
    return this.#locks.idle.count > this.#config.idleLimit;
  }

  /**
   * Takes a cached lock for one user, if its mode serves: no event, no message, no allocation.
   *
   * @param id - Name of the lock, from `lockIdOf`.
   * @returns the lock to hand to {@link release}, or undefined when it must be acquired.
   */
  take(id: string, mode: "read" | "write"): LockState | undefined {
    const lock = this.#locks.find(id);
    if (lock === undefined || !covers(lock.usable, mode) || this.#phase !== "open") return undefined;
    if (lock.isListed) this.#locks.idle.remove(lock);
    if (mode === "write") lock.writers += 1;
    else lock.readers += 1;
    return lock;
  }

  /** Ends one use of a lock; exactly once per `take` or `admit`. */
  release(lock: LockState, mode: LockMode): readonly LockClientEffect[] {
    if (mode === "write") lock.writers -= 1;
    else lock.readers -= 1;
    invariant(lock.writers >= 0 && lock.readers >= 0, "a lock is released once per use");
    if (lock.isAtRest) {
      if (lock.readers === 0 && lock.writers === 0) this.#locks.park(lock);
      return NO_EFFECTS;
    }
    const effects: LockClientEffect[] = [];
    this.#advance(lock, effects);
    return effects;
  }

  /** Takes one event and returns the effects it causes, in the order they must happen. */
  handle(event: LockClientEvent): readonly LockClientEffect[] {
    const effects: LockClientEffect[] = [];
    switch (event.type) {
      case "acquire":
        this.#acquire(event, effects);
        break;
      case "cancel":
        this.#cancel(event, effects);
        break;
      case "granted":
        this.#granted(event, effects);
        break;
      case "refused":
        this.#refused(event, effects);
        break;
      case "settled":
        this.#settled(event.range, effects);
        break;
      case "settle-failed":
        this.#settleFailed(event, effects);
        break;
      case "invalidate":
        this.#invalidate(event, effects);
        break;
      case "flushed":
        this.#flushed(event.range, effects);
        break;
      case "new-server":
        this.#newServer(event.term, effects);
        break;
      case "shrink":
        this.#shrink(effects);
        break;
      case "shut-down":
        this.#shutDown(effects);
        break;
      case "lose-all":
        this.#loseAll(effects);
        break;
    }
    return effects;
  }

  /** What this member holds, for a new server; the old mode where a demand is unanswered. */
  report(): LockReport[] {
    return this.#locks.report();
  }

  /** What is in the table now. Walks it. */
  counts(): LockClientCounts {
    return this.#locks.counts();
  }

  #acquire(event: LockClientEvent & { type: "acquire" }, effects: LockClientEffect[]): void {
    const { waiter, range, mode } = event;
    if (this.#phase !== "open") {
      effects.push({ type: "fail", waiter, cause: this.#phase });
      return;
    }
    const lock = this.#locks.lockFor(range);
    if (lock === undefined) {
      effects.push({ type: "fail", waiter, cause: "overlap" });
      return;
    }
    this.#locks.idle.remove(lock);
    lock.waiters.push({ waiter, mode });
    this.#admit(lock, effects);
    this.#advance(lock, effects);
  }

  #cancel(event: LockClientEvent & { type: "cancel" }, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(event.range.id);
    if (lock === undefined) return;
    lock.waiters = lock.waiters.filter(({ waiter }) => waiter !== event.waiter);
    this.#advance(lock, effects);
  }

  #granted(event: LockClientEvent & { type: "granted" }, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(event.range.id);
    // Only after `lose-all` can an answer meet no question.
    if (lock?.requested === undefined) return;
    const { requested } = lock;
    lock.requested = undefined;
    if (event.term < this.#term) {
      this.#advance(lock, effects);
      return;
    }
    this.#term = event.term;
    if (event.mode !== requested) {
      effects.push({ type: "reject-server", reason: "a grant of a mode that was not asked for" });
      this.#failWaiters(lock, requested, "protocol", effects);
    } else if (event.mode === "null") {
      lock.isOwedToServer = false;
    } else {
      this.#raise(lock, event, effects);
    }
    this.#advance(lock, effects);
  }

  /** Rule 3: the mode is here from now on, whatever flush still runs. */
  #raise(lock: LockState, event: LockClientEvent & { type: "granted" }, effects: LockClientEffect[]): void {
    lock.mode = event.mode;
    lock.writeSeq = event.writeSeq;
    lock.usable = "null";
    lock.isOwedToServer = false;
    lock.isGivingBack = false;
    if (lock.flushingTo === undefined) this.#settle(lock, event.manifestVersion, effects);
    else lock.lateGrant = event.manifestVersion;
  }

  #settle(lock: LockState, manifestVersion: bigint, effects: LockClientEffect[]): void {
    lock.isSettling = true;
    effects.push({ type: "settle", range: lock.range, mode: lock.mode, manifestVersion });
  }

  #refused(event: LockClientEvent & { type: "refused" }, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(event.range.id);
    if (lock?.requested === undefined) return;
    const { requested } = lock;
    lock.requested = undefined;
    // A lock that could not be given back: the server has no such lock, or is gone.
    if (requested === "null") lock.isOwedToServer = false;
    else this.#failWaiters(lock, requested, event.refusal, effects);
    this.#advance(lock, effects);
  }

  #settled(range: LockRange, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(range.id);
    if (lock?.isSettling !== true) return;
    lock.isSettling = false;
    lock.usable = lock.mode;
    this.#admit(lock, effects);
    this.#advance(lock, effects);
  }

  #settleFailed(event: LockClientEvent & { type: "settle-failed" }, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(event.range.id);
    if (lock?.isSettling !== true) return;
    lock.isSettling = false;
    lock.isGivingBack = true;
    for (const { waiter } of lock.takeServed(lock.mode))
      effects.push({ type: "fail", waiter, cause: "unsettled", error: event.error });
    this.#advance(lock, effects);
  }

  #invalidate(event: LockClientEvent & { type: "invalidate" }, effects: LockClientEffect[]): void {
    const { invalidation, to } = event;
    // Its locks are given on when its journal is replayed; an answer from here could be believed too early.
    if (this.#phase === "lost") {
      effects.push({ type: "decline", invalidation, refusal: LOCK_REFUSALS.memberGone });
      return;
    }
    if (event.term < this.#term) {
      effects.push({ type: "decline", invalidation, refusal: LOCK_REFUSALS.staleTerm });
      return;
    }
    const lock = this.#locks.find(event.id);
    if (lock === undefined) {
      effects.push({ type: "answer", invalidation, mode: "null" });
      return;
    }
    this.#locks.idle.remove(lock);
    lock.demands.push({ invalidation, to });
    this.#advance(lock, effects);
  }

  #flushed(range: LockRange, effects: LockClientEffect[]): void {
    const lock = this.#locks.find(range.id);
    const to = lock?.flushingTo;
    if (lock === undefined || to === undefined) return;
    lock.flushingTo = undefined;
    const { lateGrant } = lock;
    lock.lateGrant = undefined;
    if (lateGrant === undefined) this.#lower(lock, to);
    else this.#settle(lock, lateGrant, effects);
    this.#advance(lock, effects);
  }

  #lower(lock: LockState, to: LockMode): void {
    lock.mode = to;
    if (to !== "null") return;
    lock.isOwedToServer ||= lock.isGivingBack;
    lock.isGivingBack = false;
  }

  #newServer(term: bigint, effects: LockClientEffect[]): void {
    if (term <= this.#term) return;
    this.#term = term;
    for (const lock of this.#locks.all()) {
      if (lock.demands.length === 0) continue;
      for (const { invalidation } of lock.demands)
        effects.push({ type: "decline", invalidation, refusal: LOCK_REFUSALS.staleTerm });
      lock.demands = [];
      // The new server is told of the old mode; once the flush has dropped it, nothing else would correct that.
      if (lock.flushingTo === "null") lock.isGivingBack = true;
      this.#advance(lock, effects);
    }
  }

  #shrink(effects: LockClientEffect[]): void {
    const { oldest } = this.#locks.idle;
    if (oldest === undefined || !this.isOverIdleLimit) return;
    this.#locks.idle.remove(oldest);
    oldest.isGivingBack = true;
    this.#advance(oldest, effects);
  }

  #shutDown(effects: LockClientEffect[]): void {
    if (this.#phase === "open") this.#phase = "closed";
    for (const lock of this.#locks.all()) {
      this.#failWaiters(lock, "write", "closed", effects);
      this.#advance(lock, effects);
    }
  }

  #loseAll(effects: LockClientEffect[]): void {
    this.#phase = "lost";
    for (const lock of this.#locks.all()) {
      this.#failWaiters(lock, "write", "lost", effects);
      lock.mode = "null";
      lock.usable = "null";
      lock.isGivingBack = false;
      lock.isOwedToServer = false;
      for (const { invalidation } of lock.demands)
        effects.push({ type: "decline", invalidation, refusal: LOCK_REFUSALS.memberGone });
      lock.demands = [];
    }
    this.#locks.clear();
  }

  /**
   * Does the next thing that this lock needs, if nothing is under way: answer demands, start to give up what is
   * demanded, ask for what is waited for, or lay the lock aside.
   */
  #advance(lock: LockState, effects: LockClientEffect[]): void {
    if (lock.isSettling || lock.flushingTo !== undefined) return;
    this.#answerDemands(lock, effects);
    const target = lock.target;
    if (target !== undefined) {
      lock.usable = target;
      if (!lock.isUsedAbove(target)) this.#flush(lock, target, effects);
      return;
    }
    lock.usable = lock.mode;
    this.#admit(lock, effects);
    if (lock.requested !== undefined) return;
    const wanted = lock.strongestWanted;
    if (wanted !== undefined || lock.isOwedToServer) {
      lock.requested = wanted ?? "null";
      effects.push({ type: "request", range: lock.range, mode: lock.requested, held: lock.mode });
    } else if (lock.isIdle) this.#locks.park(lock);
  }

  /** Rule 2: answers every demand that the present mode meets. */
  #answerDemands(lock: LockState, effects: LockClientEffect[]): void {
    const { demands, mode } = lock;
    if (demands.length === 0 || !demands.some(({ to }) => covers(to, mode))) return;
    for (const { invalidation, to } of demands)
      if (covers(to, mode)) effects.push({ type: "answer", invalidation, mode });
    lock.demands = demands.filter(({ to }) => !covers(to, mode));
    // The answer told the server that nothing is held.
    if (mode === "null") lock.isOwedToServer = false;
  }

  #flush(lock: LockState, to: LockMode, effects: LockClientEffect[]): void {
    if (this.#config.brokenRules.has("invalidate-before-commit")) {
      this.#lower(lock, to);
      this.#answerDemands(lock, effects);
    }
    lock.flushingTo = to;
    effects.push({ type: "flush", range: lock.range, to });
  }

  /** Makes users of the waiters that the usable mode serves. */
  #admit(lock: LockState, effects: LockClientEffect[]): void {
    if (lock.usable === "null") return;
    for (const { waiter, mode } of lock.takeServed(lock.usable)) {
      if (mode === "write") lock.writers += 1;
      else lock.readers += 1;
      effects.push({ type: "admit", waiter, lock, mode });
    }
  }

  /** Fails the waiters that `mode` would have served. */
  #failWaiters(
    lock: LockState,
    mode: LockMode,
    cause: WaitFailure | number,
    effects: LockClientEffect[],
  ): void {
    for (const { waiter } of lock.takeServed(mode)) effects.push({ type: "fail", waiter, cause });
  }
}
