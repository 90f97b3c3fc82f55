/*
 * What a member knows of one lock. Only the machine writes to it.
 */
import { covers, type LockMode, type LockRange, weakerMode } from "@holdfast/lock-protocol";

/** A local user that waits for a mode. */
export interface Waiter {
  readonly waiter: number;
  readonly mode: LockMode;
}

/** A server's unanswered demand to fall to a weaker mode. */
export interface Demand {
  readonly invalidation: number;
  readonly to: LockMode;
}

/** One lock of the table. */
export class LockState {
  readonly range: LockRange;
  /** What this member holds, and reports to a new server. */
  mode: LockMode = "null";
  /** Token of the grant that gave {@link mode}. */
  writeSeq = 0n;
  /** What new local users may have now: weaker than {@link mode} while it is being given up or settles. */
  usable: LockMode = "null";
  /** Local users under READ. */
  readers = 0;
  /** Local users under WRITE. */
  writers = 0;
  /** Local users that {@link usable} does not serve, in the order they came. */
  waiters: Waiter[] = [];
  /** The mode of the request in flight; undefined without one. */
  requested: LockMode | undefined = undefined;
  /** Demands of the present server, unanswered, in the order they came. */
  demands: Demand[] = [];
  /** The owner gives it back unasked, because it holds too many idle locks. */
  isGivingBack = false;
  /** The server still believes that this member holds it, and must be told otherwise. */
  isOwedToServer = false;
  /** The mode a running flush leads to; undefined without one. */
  flushingTo: LockMode | undefined = undefined;
  /** A grant came while a flush ran; its manifest version. */
  lateGrant: bigint | undefined = undefined;
  /** A grant is here and its waiters wait until the owner has made use of it. */
  isSettling = false;
  /** Neighbours in the list of idle locks. */
  older: LockState | undefined = undefined;
  newer: LockState | undefined = undefined;
  /** True while it stands in the list of idle locks. */
  isListed = false;

  constructor(range: LockRange) {
    this.range = range;
  }

  /** True when nothing happens to it and nobody uses it. */
  get isIdle(): boolean {
    return this.readers === 0 && this.writers === 0 && this.isAtRest;
  }

  /** True when nobody waits for it and nothing is under way. */
  get isAtRest(): boolean {
    return (
      this.waiters.length === 0 &&
      this.demands.length === 0 &&
      this.requested === undefined &&
      this.flushingTo === undefined &&
      !this.isSettling &&
      !this.isGivingBack &&
      !this.isOwedToServer
    );
  }

  /** True when a local user needs more than `mode`. */
  isUsedAbove(mode: LockMode): boolean {
    return (this.writers > 0 && !covers(mode, "write")) || (this.readers > 0 && !covers(mode, "read"));
  }

  /** Takes out the waiters that `served` serves, in the order they came. */
  takeServed(served: LockMode): readonly Waiter[] {
    const { waiters } = this;
    if (waiters.length === 0) return waiters;
    this.waiters = waiters.filter(({ mode }) => !covers(served, mode));
    return waiters.filter(({ mode }) => covers(served, mode));
  }

  /** The mode to fall to, or undefined when nothing has to be given up. */
  get target(): LockMode | undefined {
    if (this.isGivingBack) return "null";
    const [first] = this.demands;
    if (first === undefined) return undefined;
    return this.demands.reduce((mode, { to }) => weakerMode(mode, to), first.to);
  }

  /** The strongest mode somebody waits for, or undefined when nobody waits. */
  get strongestWanted(): LockMode | undefined {
    if (this.waiters.length === 0) return undefined;
    return this.waiters.some(({ mode }) => mode === "write") ? "write" : "read";
  }
}
