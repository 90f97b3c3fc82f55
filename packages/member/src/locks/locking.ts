/*
 * What the locks of a member offer, and what they need of the world.
 */
import type { BrokenRules, Cancel, Clock, Logger } from "@holdfast/environment";
import type { LockClientCounts } from "@holdfast/lock-client";
import type { LockMode, LockReport } from "@holdfast/lock-protocol";
import type { KeyRange } from "@holdfast/wire-format";

/** Answers a request; called once. Error 0 is success. */
export type Respond = (error: number, body: Uint8Array) => void;

/** Numbers from here on are errors of the session, not of the protocol above it. */
export const SESSION_ERRORS_MIN = 0xff00;

/** One use of a lock by one local user. */
export interface LockHold {
  readonly range: KeyRange;
  readonly mode: LockMode;
  /** The fencing token: of this WRITE grant, or of the last write grant known when READ was granted (0 if none). */
  readonly writeSeq: bigint;
  /** Ends the use. Exactly once: a second call is a broken invariant. */
  release(): void;
}

/** Counts of a lock client for status pages and metrics. */
export interface LockClientStats extends LockClientCounts {
  /** Uses served without a message. */
  readonly cachedTotal: number;
  /** Requests sent. */
  readonly requestsTotal: number;
  /** Demands of a server received. */
  readonly invalidationsTotal: number;
}

/** What a lock client needs of the world. */
export interface LockClientOptions {
  /** Sends a request to the server; `done` is called exactly once, also on a new server, as `ClientSession.call`. */
  call(command: number, body: Uint8Array, done: (error: number, body: Uint8Array) => void): Cancel;
  /** Command number of LOCK. */
  readonly commandLock: number;
  /** Idle locks kept before the oldest is given back, one per acquire. */
  readonly idleLimit: number;
  readonly brokenRules: BrokenRules;
  /**
   * Writes back what is dirty under the range and has it recorded; drops caches of the range when `to` is "null".
   * Called before a demand is answered. It never waits for a lock. A rejection goes to {@link onError}.
   */
  flush(range: KeyRange, to: LockMode): Promise<void>;
  /**
   * A grant came. Its waiters run when this has returned, or its promise has resolved; if it fails, they fail with
   * the same error and the lock is given back.
   */
  onGrant?(range: KeyRange, mode: LockMode, manifestVersion: bigint): Promise<void> | void;
  /** A flush failed: the demand stays unanswered, and the member must stop or be evicted. */
  onError(error: unknown): void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The locks of one member, for its users. */
export interface LockClientDriver {
  /**
   * A cached lock at once, or undefined when it must be acquired. Synchronous; cheapest with a prepared `LockRange`.
   *
   * It never yields: a long loop of it must let the event loop have its turn by itself, as {@link acquire} does.
   */
  tryAcquire(range: KeyRange, mode: LockMode): LockHold | undefined;
  /**
   * Waits for a lock. Several locks are acquired in the order of their keys, and none while one waits on its own.
   *
   * @throws `LockError` `ERR_HOLDFAST_LOCK_*`
   * @throws `CancelledError` when `signal` aborts first; the grant may still come and lies idle then.
   */
  acquire(range: KeyRange, mode: LockMode, signal?: AbortSignal): Promise<LockHold>;
  /** Takes an INVALIDATE of the server; `respond` is called once, when the mode is given up. */
  handleInvalidate(body: Uint8Array, respond: Respond): void;
  /** What this member holds, for a new server. Take it after {@link onNewServer}, with no await in between. */
  report(): LockReport[];
  /** The member met the server of this term; demands of earlier ones are declined, their grants ignored. */
  onNewServer(term: bigint): void;
  /** Ends all acquires, waiting and future, with `ERR_HOLDFAST_LOCK_CLOSED`; demands are still served. */
  shutDown(): void;
  /** The member was evicted: it holds nothing, and every acquire, waiting and future, fails with `error`. */
  loseAll(error: Error): void;
  stats(): LockClientStats;
}
