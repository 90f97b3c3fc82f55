/*
 * The lock service of one term: who holds which range of keys in which mode.
 *
 * The rules that carry it:
 *
 *   1. Requests for one lock are granted in the order they came. The first that conflicts has the holders in its way
 *      invalidated; nothing is granted on that lock until all of them have answered.
 *   2. A member has at most one request and at most one invalidation outstanding per lock, and a grant replaces
 *      whatever it held of that lock. A NULL request revokes nobody else.
 *   3. Nothing is granted while a member that may hold locks from an earlier term has neither reported them nor been
 *      removed. Before `begin-recovery` nobody knows who they are, so nothing is granted either.
 *   4. Locks are given up by conflict, by their holder, or when the holder is removed; never for want of memory, and
 *      never because a connection is gone.
 *
 * Effects happen in the order returned, and those for one member reach it in that order: it may see a grant and right
 * behind it the invalidation of that grant. Nothing here reads a clock, a socket or a disk.
 */
import {
  conflictTarget,
  covers,
  LOCK_REFUSALS,
  type LockMode,
  type LockRange,
  RangeIndex,
  writeSeqOf,
} from "@holdfast/lock-protocol";
import { type Claim, type Holder, LockEntry } from "./lock-entry.ts";

/** Settings of one term's lock service. */
export interface LockServerConfig {
  /** The term it serves. */
  readonly term: bigint;
  /** Most locks the table may hold; a request that needs one more is refused. */
  readonly locksMax: number;
}

/** What a lock server may be told. */
export type LockServerEvent =
  /** A member asks for a mode; `request` is the driver's name for the question. */
  | {
      readonly type: "request";
      readonly rid: bigint;
      readonly request: number;
      readonly range: LockRange;
      readonly mode: LockMode;
    }
  /** A member answered an invalidation and now holds `mode`. */
  | {
      readonly type: "invalidated";
      readonly rid: bigint;
      readonly range: LockRange;
      readonly mode: LockMode;
    }
  /** The members that may hold locks from earlier terms; sent once, possibly with nobody. */
  | { readonly type: "begin-recovery"; readonly members: readonly bigint[] }
  /** A part of what an awaited member holds. */
  | { readonly type: "reclaim"; readonly rid: bigint; readonly claims: readonly Claim[] }
  /** An awaited member has reported everything. */
  | { readonly type: "reclaimed"; readonly rid: bigint }
  /** A member said farewell or was evicted; may be repeated. */
  | { readonly type: "remove"; readonly rid: bigint };

/** What a lock server may ask of its driver. */
export type LockServerEffect =
  | {
      readonly type: "grant";
      readonly rid: bigint;
      readonly request: number;
      readonly range: LockRange;
      readonly mode: LockMode;
      readonly writeSeq: bigint;
    }
  | { readonly type: "refuse"; readonly rid: bigint; readonly request: number; readonly refusal: number }
  /** Ask a member to fall to `to`; its answer comes back as `invalidated`. */
  | {
      readonly type: "invalidate";
      readonly rid: bigint;
      readonly range: LockRange;
      readonly to: LockMode;
      readonly writeSeq: bigint;
    }
  /** A report came from a member that is not awaited; answer it so. */
  | { readonly type: "refuse-reclaim"; readonly rid: bigint }
  /** A member broke the protocol: close its connection, or evict it. */
  | { readonly type: "reject-peer"; readonly rid: bigint; readonly reason: string }
  /** Every awaited member has reported or is gone; grants follow. Happens once. */
  | { readonly type: "finish-recovery" };

/** Counts for status pages and metrics. */
export interface LockServerCounts {
  readonly lockCount: number;
  readonly holderCount: number;
  readonly requestCount: number;
  readonly invalidationCount: number;
  readonly grantsTotal: number;
  readonly invalidationsTotal: number;
}

/** The lock table as one server keeps it. */
export class LockServer {
  readonly #config: LockServerConfig;
  readonly #locks: Map<string, LockEntry> = new Map();
  readonly #ranges: RangeIndex = new RangeIndex();
  /** Members whose report is awaited. */
  readonly #awaited: Set<bigint> = new Set();
  /** Members whose report was false: awaited until they are removed. */
  readonly #condemned: Set<bigint> = new Set();
  #phase: "new" | "recovering" | "open" = "new";
  #writeCounter = 0n;
  #grantsTotal = 0;
  #invalidationsTotal = 0;

  constructor(config: LockServerConfig) {
    this.#config = config;
  }

  /** Takes one event and returns the effects it causes, in the order they must happen. */
  handle(event: LockServerEvent): readonly LockServerEffect[] {
    const effects: LockServerEffect[] = [];
    switch (event.type) {
      case "request":
        this.#request(event, effects);
        break;
      case "invalidated":
        this.#invalidated(event, effects);
        break;
      case "begin-recovery":
        this.#beginRecovery(event.members, effects);
        break;
      case "reclaim":
        this.#reclaim(event.rid, event.claims, effects);
        break;
      case "reclaimed":
        if (!this.#condemned.has(event.rid)) this.#awaited.delete(event.rid);
        this.#finishRecovery(effects);
        break;
      case "remove":
        this.#remove(event.rid, effects);
        break;
    }
    return effects;
  }

  /** True while nothing is granted, since members that may hold locks have not reported them. */
  get isRecovering(): boolean {
    return this.#phase === "recovering";
  }

  /** The members that keep the recovery from ending. */
  get awaited(): readonly bigint[] {
    return [...this.#awaited];
  }

  /** What is in the table now. Walks it. */
  counts(): LockServerCounts {
    let holderCount = 0;
    let requestCount = 0;
    let invalidationCount = 0;
    for (const lock of this.#locks.values()) {
      holderCount += lock.holders.size;
      requestCount += lock.requests.length;
      invalidationCount += lock.invalidationCount;
    }
    return {
      lockCount: this.#locks.size,
      holderCount,
      requestCount,
      invalidationCount,
      grantsTotal: this.#grantsTotal,
      invalidationsTotal: this.#invalidationsTotal,
    };
  }

  #request(event: LockServerEvent & { type: "request" }, effects: LockServerEffect[]): void {
    const { rid, request, range, mode } = event;
    const lock = this.#lockFor(range, this.#config.locksMax);
    if (typeof lock === "number") {
      effects.push({ type: "refuse", rid, request, refusal: lock });
      return;
    }
    if (lock.requests.some((waiting) => waiting.rid === rid)) {
      effects.push({ type: "refuse", rid, request, refusal: LOCK_REFUSALS.malformed });
      effects.push({ type: "reject-peer", rid, reason: "two requests for one lock at a time" });
      return;
    }
    lock.requests.push({ rid, request, mode });
    this.#advance(lock, effects);
  }

  #invalidated(event: LockServerEvent & { type: "invalidated" }, effects: LockServerEffect[]): void {
    const { rid, range, mode } = event;
    const lock = this.#locks.get(range.id);
    const holder = lock?.holders.get(rid);
    // It was removed while its answer was on its way: that was as good as the answer.
    if (lock === undefined || holder === undefined) return;
    const { target } = holder;
    if (target === undefined || !covers(target, mode)) {
      effects.push({ type: "reject-peer", rid, reason: "an answer that fits no invalidation" });
      return;
    }
    lock.invalidationCount -= 1;
    if (mode === "null") lock.holders.delete(rid);
    else lock.holders.set(rid, { mode, writeSeq: holder.writeSeq, target: undefined });
    this.#advance(lock, effects);
  }

  /** Rule 1: grants what can be granted in order, and starts what the first request needs. */
  #advance(lock: LockEntry, effects: LockServerEffect[]): void {
    while (this.#phase === "open" && lock.invalidationCount === 0) {
      const first = lock.requests[0];
      if (first === undefined) break;
      this.#invalidateFor(lock, first.rid, first.mode, effects);
      if (lock.invalidationCount > 0) break;
      lock.requests.shift();
      this.#grant(lock, first, effects);
    }
    if (lock.isEmpty) {
      this.#locks.delete(lock.range.id);
      this.#ranges.delete(lock.range);
    }
  }

  #invalidateFor(lock: LockEntry, rid: bigint, mode: LockMode, effects: LockServerEffect[]): void {
    if (mode === "null") return;
    for (const [other, holder] of lock.holders) {
      const target = other === rid ? undefined : conflictTarget(holder.mode, mode);
      if (target === undefined) continue;
      holder.target = target;
      lock.invalidationCount += 1;
      this.#invalidationsTotal += 1;
      effects.push({
        type: "invalidate",
        rid: other,
        range: lock.range,
        to: target,
        writeSeq: holder.writeSeq,
      });
    }
  }

  #grant(
    lock: LockEntry,
    { rid, request, mode }: { readonly rid: bigint; readonly request: number; readonly mode: LockMode },
    effects: LockServerEffect[],
  ): void {
    let writeSeq = 0n;
    if (mode === "null") {
      lock.holders.delete(rid);
    } else {
      if (mode === "write") {
        this.#writeCounter += 1n;
        lock.lastWriteSeq = writeSeqOf(this.#config.term, this.#writeCounter);
      }
      writeSeq = lock.lastWriteSeq;
      lock.holders.set(rid, { mode, writeSeq, target: undefined });
    }
    this.#grantsTotal += 1;
    effects.push({ type: "grant", rid, request, range: lock.range, mode, writeSeq });
  }

  #beginRecovery(members: readonly bigint[], effects: LockServerEffect[]): void {
    if (this.#phase !== "new") return;
    this.#phase = "recovering";
    for (const rid of members) this.#awaited.add(rid);
    this.#finishRecovery(effects);
  }

  /** Opens the table once nobody is awaited; the sweep comes after that, so no waiting request is missed. */
  #finishRecovery(effects: LockServerEffect[]): void {
    if (this.#phase !== "recovering" || this.#awaited.size > 0) return;
    this.#phase = "open";
    effects.push({ type: "finish-recovery" });
    for (const lock of this.#locks.values()) this.#advance(lock, effects);
  }

  #reclaim(rid: bigint, claims: readonly Claim[], effects: LockServerEffect[]): void {
    if (this.#phase !== "recovering" || !this.#awaited.has(rid)) {
      effects.push({ type: "refuse-reclaim", rid });
      return;
    }
    for (const claim of claims) {
      // What is held was granted once: the limit is for new locks.
      const lock = this.#lockFor(claim.range, Number.POSITIVE_INFINITY);
      if (typeof lock === "number") this.#condemn(rid, "a reported range that is refused", effects);
      else this.#claim(lock, rid, claim, effects);
    }
  }

  /** Takes one reported lock. Of two reports that cannot both be true, the later token wins. */
  #claim(lock: LockEntry, rid: bigint, claim: Claim, effects: LockServerEffect[]): void {
    const { mode, writeSeq } = claim;
    for (const [other, holder] of lock.holders) {
      if (other === rid || conflictTarget(holder.mode, mode) === undefined) continue;
      if (!isStaler(holder, claim)) {
        this.#condemn(rid, "a reported lock that another member holds", effects);
        return;
      }
      lock.holders.delete(other);
      this.#condemn(other, "a reported lock that another member holds", effects);
    }
    lock.holders.set(rid, { mode, writeSeq, target: undefined });
    if (writeSeq > lock.lastWriteSeq) lock.lastWriteSeq = writeSeq;
  }

  #condemn(rid: bigint, reason: string, effects: LockServerEffect[]): void {
    if (this.#condemned.has(rid)) return;
    this.#condemned.add(rid);
    this.#awaited.add(rid);
    effects.push({ type: "reject-peer", rid, reason });
  }

  #remove(rid: bigint, effects: LockServerEffect[]): void {
    for (const lock of this.#locks.values()) {
      const waiting = lock.remove(rid);
      if (waiting === "untouched") continue;
      for (const { request } of waiting)
        effects.push({ type: "refuse", rid, request, refusal: LOCK_REFUSALS.memberGone });
      this.#advance(lock, effects);
    }
    this.#condemned.delete(rid);
    this.#awaited.delete(rid);
    this.#finishRecovery(effects);
  }

  /** The lock that `range` names, new if need be, or the number of the refusal. */
  #lockFor(range: LockRange, locksMax: number): LockEntry | number {
    const known = this.#locks.get(range.id);
    if (known !== undefined) return known.range.endId === range.endId ? known : LOCK_REFUSALS.overlap;
    if (this.#ranges.overlapping(range) !== undefined) return LOCK_REFUSALS.overlap;
    if (this.#locks.size >= locksMax) return LOCK_REFUSALS.tableFull;
    const lock = new LockEntry(range);
    this.#locks.set(range.id, lock);
    this.#ranges.add(range);
    return lock;
  }
}

/**
 * True when the holder's report is the older of two that conflict. A reader's token is that of the last write grant
 * before it, so a reader beats the writer it came after.
 */
function isStaler(holder: Holder, claim: Claim): boolean {
  if (holder.writeSeq !== claim.writeSeq) return holder.writeSeq < claim.writeSeq;
  return holder.mode === "write" && claim.mode === "read";
}
