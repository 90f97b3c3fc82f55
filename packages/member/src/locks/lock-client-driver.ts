/*
 * Runs a lock client against the world: promises for its users, calls to the server, flushes of the owner.
 *
 * Effects are done strictly in their order. An effect may cause an event synchronously (a call that is refused on the
 * spot, an owner that settles at once); its effects queue up behind those before it.
 */
import { CancelledError, type Deferred, deferred, invariant } from "@holdfast/environment";
import { LockClient, type LockClientEffect, type LockState } from "@holdfast/lock-client";
import {
  Invalidate,
  InvalidateDone,
  LOCK_REFUSALS,
  LockError,
  lockErrorOf,
  LockGrant,
  lockIdOf,
  type LockMode,
  type LockRange,
  lockRange,
  type LockReport,
  LockRequest,
} from "@holdfast/lock-protocol";
import { CALL_OVERLOADED, RequestError } from "@holdfast/net-reliable";
import { equalBytes, type KeyRange } from "@holdfast/wire-format";
import {
  type LockClientDriver,
  type LockClientOptions,
  type LockClientStats,
  type LockHold,
  type Respond,
  SESSION_ERRORS_MIN,
} from "./locking.ts";
import { decodeIfValid } from "./decode-if-valid.ts";
import { TurnBudget } from "./turn-budget.ts";

/** Makes the locks of one member. */
export function createLockClient(options: LockClientOptions): LockClientDriver {
  return new Driver(options);
}

/** A user that waits. */
interface Wait {
  readonly done: Deferred<LockHold>;
  stopListening(): void;
}

const NOTHING = new Uint8Array(0);

class Driver implements LockClientDriver {
  readonly #options: LockClientOptions;
  readonly #machine: LockClient;
  readonly #budget: TurnBudget;
  readonly #waits: Map<number, Wait> = new Map();
  readonly #demands: Map<number, { readonly start: Uint8Array; readonly respond: Respond }> = new Map();
  readonly #effects: LockClientEffect[] = [];
  #isRunning = false;
  #lostError: Error | undefined = undefined;
  #lastName = 0;
  #cachedTotal = 0;
  #requestsTotal = 0;
  #invalidationsTotal = 0;

  constructor(options: LockClientOptions) {
    this.#options = options;
    this.#machine = new LockClient(options);
    this.#budget = new TurnBudget(options.clock);
  }

  tryAcquire(range: KeyRange, mode: LockMode): LockHold | undefined {
    const lock = this.#machine.take(lockIdOf(range), useModeOf(mode));
    if (lock === undefined) return undefined;
    if (lock.range !== range && !equalBytes(lock.range.end, range.end)) {
      this.release(lock, mode);
      return undefined;
    }
    this.#cachedTotal += 1;
    if (this.#machine.isOverIdleLimit) this.#run(this.#machine.handle({ type: "shrink" }));
    return new Hold(this, lock, mode);
  }

  acquire(range: KeyRange, mode: LockMode, signal?: AbortSignal): Promise<LockHold> {
    if (signal?.aborted === true) return Promise.reject(cancelled(signal));
    if (this.#budget.spend()) return this.#budget.yield().then(() => this.acquire(range, mode, signal));
    const hold = this.tryAcquire(range, mode);
    return hold === undefined ? this.#wait(lockRange(range), mode, signal) : Promise.resolve(hold);
  }

  handleInvalidate(body: Uint8Array, respond: Respond): void {
    const message = decodeIfValid(Invalidate, body);
    if (message === undefined) {
      this.#options.log.warn(
        { event: "lock.invalidation-malformed" },
        "the server sent a malformed invalidation",
      );
      respond(LOCK_REFUSALS.malformed, NOTHING);
      return;
    }
    const { start, to, term } = message;
    const invalidation = this.#nextName();
    this.#invalidationsTotal += 1;
    this.#demands.set(invalidation, { start, respond });
    const id = lockIdOf({ start, end: start });
    this.#run(this.#machine.handle({ type: "invalidate", invalidation, id, to, term }));
  }

  report(): LockReport[] {
    return this.#machine.report();
  }

  onNewServer(term: bigint): void {
    this.#run(this.#machine.handle({ type: "new-server", term }));
  }

  shutDown(): void {
    this.#run(this.#machine.handle({ type: "shut-down" }));
  }

  loseAll(error: Error): void {
    this.#lostError ??= error;
    this.#run(this.#machine.handle({ type: "lose-all" }));
  }

  stats(): LockClientStats {
    return {
      ...this.#machine.counts(),
      cachedTotal: this.#cachedTotal,
      requestsTotal: this.#requestsTotal,
      invalidationsTotal: this.#invalidationsTotal,
    };
  }

  /** Ends one use; for holds only. */
  release(lock: LockState, mode: LockMode): void {
    const effects = this.#machine.release(lock, mode);
    if (effects.length > 0) this.#run(effects);
  }

  #wait(range: LockRange, mode: LockMode, signal: AbortSignal | undefined): Promise<LockHold> {
    const waiter = this.#nextName();
    const done = deferred<LockHold>();
    const onAbort = (): void => {
      if (signal === undefined || !this.#waits.delete(waiter)) return;
      done.reject(cancelled(signal));
      this.#run(this.#machine.handle({ type: "cancel", waiter, range }));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waits.set(waiter, { done, stopListening: () => signal?.removeEventListener("abort", onAbort) });
    this.#run(this.#machine.handle({ type: "acquire", waiter, range, mode: useModeOf(mode) }));
    if (this.#machine.isOverIdleLimit) this.#run(this.#machine.handle({ type: "shrink" }));
    return done.promise;
  }

  #run(effects: readonly LockClientEffect[]): void {
    this.#effects.push(...effects);
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let next = this.#effects.shift(); next !== undefined; next = this.#effects.shift())
        this.#perform(next);
    } finally {
      this.#isRunning = false;
    }
  }

  #perform(effect: LockClientEffect): void {
    switch (effect.type) {
      case "request":
        this.#request(effect.range, effect.mode, effect.held);
        break;
      case "settle":
        this.#settle(effect.range, effect.mode, effect.manifestVersion);
        break;
      case "flush":
        this.#flush(effect.range, effect.to);
        break;
      case "answer":
        this.#answer(effect.invalidation, 0, effect.mode);
        break;
      case "decline":
        this.#answer(effect.invalidation, effect.refusal, "null");
        break;
      case "admit":
        this.#admit(effect.waiter, effect.lock, effect.mode);
        break;
      case "fail":
        this.#takeWait(effect.waiter)?.done.reject(this.#errorOf(effect));
        break;
      case "reject-server":
        this.#options.log.warn(
          { event: "lock.server-rejected", reason: effect.reason },
          "the server broke the lock protocol",
        );
        break;
    }
  }

  #request(range: LockRange, mode: LockMode, held: LockMode): void {
    this.#requestsTotal += 1;
    const body = LockRequest.encode({ start: range.start, end: range.end, mode, held });
    this.#options.call(this.#options.commandLock, body, (error, answer) => {
      const grant = error === 0 ? decodeIfValid(LockGrant, answer) : undefined;
      if (grant === undefined || !equalBytes(grant.start, range.start)) {
        const refusal = error === 0 ? LOCK_REFUSALS.malformed : error;
        this.#run(this.#machine.handle({ type: "refused", range, refusal }));
      } else {
        const { writeSeq, term, manifestVersion } = grant;
        this.#run(
          this.#machine.handle({ type: "granted", range, mode: grant.mode, writeSeq, term, manifestVersion }),
        );
      }
    });
  }

  #settle(range: LockRange, mode: LockMode, manifestVersion: bigint): void {
    const settled = (): void => this.#run(this.#machine.handle({ type: "settled", range }));
    const failed = (error: unknown): void =>
      this.#run(this.#machine.handle({ type: "settle-failed", range, error }));
    const work = this.#options.onGrant?.(range, mode, manifestVersion);
    if (work === undefined) settled();
    else work.then(settled, failed);
  }

  #flush(range: LockRange, to: LockMode): void {
    this.#options.flush(range, to).then(
      () => this.#run(this.#machine.handle({ type: "flushed", range })),
      (error: unknown) => {
        // Who was evicted has nothing left to give up.
        if (this.#lostError !== undefined) return;
        this.#options.log.error(
          { event: "lock.flush-failed", err: error, to },
          "a demanded lock could not be written back",
        );
        this.#options.onError(error);
      },
    );
  }

  #answer(invalidation: number, error: number, mode: LockMode): void {
    const demand = this.#demands.get(invalidation);
    if (demand === undefined) return;
    this.#demands.delete(invalidation);
    demand.respond(error, error === 0 ? InvalidateDone.encode({ start: demand.start, to: mode }) : NOTHING);
  }

  #admit(waiter: number, lock: LockState, mode: LockMode): void {
    const wait = this.#takeWait(waiter);
    // Cancelled while this effect stood in the queue.
    if (wait === undefined) this.release(lock, mode);
    else wait.done.resolve(new Hold(this, lock, mode));
  }

  #takeWait(waiter: number): Wait | undefined {
    const wait = this.#waits.get(waiter);
    this.#waits.delete(waiter);
    wait?.stopListening();
    return wait;
  }

  #errorOf({ cause, error }: LockClientEffect & { type: "fail" }): unknown {
    if (cause === CALL_OVERLOADED) return new RequestError(this.#options.commandLock, cause, NOTHING);
    if (typeof cause === "number") return cause >= SESSION_ERRORS_MIN ? closedError() : lockErrorOf(cause);
    switch (cause) {
      case "closed":
        return closedError();
      case "lost":
        return this.#lostError ?? closedError();
      case "overlap":
        return lockErrorOf(LOCK_REFUSALS.overlap);
      case "protocol":
        return lockErrorOf(LOCK_REFUSALS.malformed);
      case "unsettled":
        return error;
    }
  }

  #nextName(): number {
    this.#lastName += 1;
    return this.#lastName;
  }
}

class Hold implements LockHold {
  readonly range: KeyRange;
  readonly mode: LockMode;
  readonly writeSeq: bigint;
  readonly #driver: Driver;
  readonly #lock: LockState;
  #isReleased = false;

  constructor(driver: Driver, lock: LockState, mode: LockMode) {
    this.range = lock.range;
    this.mode = mode;
    this.writeSeq = lock.writeSeq;
    this.#driver = driver;
    this.#lock = lock;
  }

  release(): void {
    invariant(!this.#isReleased, "a lock is released exactly once");
    this.#isReleased = true;
    this.#driver.release(this.#lock, this.mode);
  }
}

function useModeOf(mode: LockMode): "read" | "write" {
  if (mode === "null") throw new RangeError("a lock is acquired for reading or writing");
  return mode;
}

function cancelled(signal: AbortSignal): CancelledError {
  return new CancelledError("the wait for a lock", { cause: signal.reason });
}

function closedError(): LockError {
  return new LockError("ERR_HOLDFAST_LOCK_CLOSED", "usage", "this member takes no more locks", 0);
}
