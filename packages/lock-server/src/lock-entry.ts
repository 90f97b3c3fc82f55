/*
 * What the server knows of one lock.
 */
import type { LockMode, LockRange } from "@holdfast/lock-protocol";

/** One lock that a member says it holds. */
export interface Claim {
  readonly range: LockRange;
  /** READ or WRITE. */
  readonly mode: LockMode;
  /** Token as an earlier server granted it. */
  readonly writeSeq: bigint;
}

/** What one member holds of a lock. */
export interface Holder {
  readonly mode: LockMode;
  readonly writeSeq: bigint;
  /** The mode an unanswered invalidation asks for; undefined without one. */
  target: LockMode | undefined;
}

/** One member's wish, waiting for its turn. */
export interface WaitingRequest {
  readonly rid: bigint;
  readonly request: number;
  readonly mode: LockMode;
}

/** One lock: who holds it, who waits for it. NULL is never kept as a holding. */
export class LockEntry {
  readonly range: LockRange;
  readonly holders: Map<bigint, Holder> = new Map();
  /** First come, first served; at most one per member. */
  requests: WaitingRequest[] = [];
  /** Holders with an unanswered invalidation. */
  invalidationCount = 0;
  /** Token of the last write grant while this entry lived, or 0. */
  lastWriteSeq = 0n;

  constructor(range: LockRange) {
    this.range = range;
  }

  /** True when nobody holds it and nobody waits for it. */
  get isEmpty(): boolean {
    return this.holders.size === 0 && this.requests.length === 0;
  }

  /** Forgets a member; returns the requests it had waiting, or "untouched" when it had no part in this lock. */
  remove(rid: bigint): readonly WaitingRequest[] | "untouched" {
    const holder = this.holders.get(rid);
    const waiting = this.requests.filter((request) => request.rid === rid);
    if (holder === undefined && waiting.length === 0) return "untouched";
    if (holder?.target !== undefined) this.invalidationCount -= 1;
    this.holders.delete(rid);
    if (waiting.length > 0) this.requests = this.requests.filter((request) => request.rid !== rid);
    return waiting;
  }
}
