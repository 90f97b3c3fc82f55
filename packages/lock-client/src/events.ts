/*
 * What a lock client is told, what it asks of its driver, and what it counts.
 */
import type { BrokenRules } from "@holdfast/environment";
import type { LockMode, LockRange } from "@holdfast/lock-protocol";
import type { LockState } from "./lock-state.ts";

/** Settings of a lock client. */
export interface LockClientConfig {
  /** Idle locks kept; above it each `shrink` gives the oldest back. */
  readonly idleLimit: number;
  /** Rules to break in a test run: "invalidate-before-commit". */
  readonly brokenRules: BrokenRules;
}

/** What a lock client may be told. */
export type LockClientEvent =
  /** A local user wants a mode; `waiter` is the driver's name for it. */
  | {
      readonly type: "acquire";
      readonly waiter: number;
      readonly range: LockRange;
      readonly mode: "read" | "write";
    }
  /** A local user no longer waits; nothing happens if it was served. */
  | { readonly type: "cancel"; readonly waiter: number; readonly range: LockRange }
  /** The request in flight was granted. */
  | {
      readonly type: "granted";
      readonly range: LockRange;
      readonly mode: LockMode;
      readonly writeSeq: bigint;
      readonly term: bigint;
      readonly manifestVersion: bigint;
    }
  /** The request in flight was refused. */
  | { readonly type: "refused"; readonly range: LockRange; readonly refusal: number }
  /** The owner has made use of a grant: its waiters may go. */
  | { readonly type: "settled"; readonly range: LockRange }
  /** The owner could not make use of a grant: its waiters fail and it is given back. */
  | { readonly type: "settle-failed"; readonly range: LockRange; readonly error: unknown }
  /** A server demands a mode back; `invalidation` is the driver's name for the demand. */
  | {
      readonly type: "invalidate";
      readonly invalidation: number;
      readonly id: string;
      readonly to: LockMode;
      readonly term: bigint;
    }
  /** The flush of a range has ended: nothing dirty is left under what was given up. */
  | { readonly type: "flushed"; readonly range: LockRange }
  /** The member has met the server of this term. */
  | { readonly type: "new-server"; readonly term: bigint }
  /** Every acquire goes by here when there are more idle locks than the limit. */
  | { readonly type: "shrink" }
  /** No more acquires; demands are still served. */
  | { readonly type: "shut-down" }
  /** The member was evicted: it holds nothing any more. */
  | { readonly type: "lose-all" };

/** Why a waiter failed, beside a refusal's number. */
export type WaitFailure = "closed" | "lost" | "overlap" | "protocol" | "unsettled";

/** What a lock client may ask of its driver. */
export type LockClientEffect =
  /** Send LOCK; the answer comes back as `granted` or `refused`. */
  | {
      readonly type: "request";
      readonly range: LockRange;
      readonly mode: LockMode;
      readonly held: LockMode;
    }
  /** Hand the grant to the owner; answer `settled` or `settle-failed`. */
  | {
      readonly type: "settle";
      readonly range: LockRange;
      readonly mode: LockMode;
      readonly manifestVersion: bigint;
    }
  /** Write back what is dirty under the range, drop what `to` does not allow; answer `flushed`. */
  | { readonly type: "flush"; readonly range: LockRange; readonly to: LockMode }
  /** Answer a demand: this member now holds `mode`. */
  | { readonly type: "answer"; readonly invalidation: number; readonly mode: LockMode }
  /** Answer a demand with an error; nothing was given up. */
  | { readonly type: "decline"; readonly invalidation: number; readonly refusal: number }
  /** A waiter is now a user of `lock` under `mode`. */
  | {
      readonly type: "admit";
      readonly waiter: number;
      readonly lock: LockState;
      readonly mode: LockMode;
    }
  /** A waiter gets nothing; `error` is what `settle-failed` brought. */
  | {
      readonly type: "fail";
      readonly waiter: number;
      readonly cause: WaitFailure | number;
      readonly error?: unknown;
    }
  /** The server sent what it may not. */
  | { readonly type: "reject-server"; readonly reason: string };

/** Counts for status pages, metrics and leak tests. */
export interface LockClientCounts {
  readonly lockCount: number;
  readonly idleCount: number;
  readonly userCount: number;
  readonly waiterCount: number;
}
