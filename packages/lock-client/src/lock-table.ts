/*
 * The locks that one member knows: by name, by range, and which of them lie idle.
 */
import { type LockRange, type LockReport, RangeIndex } from "@holdfast/lock-protocol";
import type { LockClientCounts } from "./events.ts";
import { IdleList } from "./idle-list.ts";
import { LockState } from "./lock-state.ts";

/** Locks of one member, no two of which overlap. */
export class LockTable {
  /** Those that nobody uses, from the oldest on. */
  readonly idle: IdleList = new IdleList();
  readonly #locks: Map<string, LockState> = new Map();
  readonly #ranges: RangeIndex = new RangeIndex();

  /** The lock of this name. */
  find(id: string): LockState | undefined {
    return this.#locks.get(id);
  }

  /** All locks; they may be taken out meanwhile. */
  all(): Iterable<LockState> {
    return this.#locks.values();
  }

  /** The lock that `range` names, new if need be; undefined when it overlaps one of another start or end. */
  lockFor(range: LockRange): LockState | undefined {
    const known = this.#locks.get(range.id);
    if (known !== undefined) return known.range.endId === range.endId ? known : undefined;
    if (this.#ranges.overlapping(range) !== undefined) return undefined;
    const lock = new LockState(range);
    this.#locks.set(range.id, lock);
    this.#ranges.add(range);
    return lock;
  }

  /** Lays an idle lock aside: into the list while it is worth something, out of the table otherwise. */
  park(lock: LockState): void {
    if (lock.mode !== "null") {
      if (!lock.isListed) this.idle.add(lock);
    } else if (this.#locks.get(lock.range.id) === lock) {
      this.#locks.delete(lock.range.id);
      this.#ranges.delete(lock.range);
    }
  }

  /** Takes all locks out. */
  clear(): void {
    for (const lock of this.#locks.values()) {
      this.idle.remove(lock);
      this.#ranges.delete(lock.range);
    }
    this.#locks.clear();
  }

  /** What is held, for a new server. */
  report(): LockReport[] {
    const reports: LockReport[] = [];
    for (const { range, mode, writeSeq } of this.#locks.values())
      if (mode !== "null") reports.push({ start: range.start, end: range.end, mode, writeSeq });
    return reports;
  }

  /** What there is. Walks all of it. */
  counts(): LockClientCounts {
    let userCount = 0;
    let waiterCount = 0;
    for (const lock of this.#locks.values()) {
      userCount += lock.readers + lock.writers;
      waiterCount += lock.waiters.length;
    }
    return { lockCount: this.#locks.size, idleCount: this.idle.count, userCount, waiterCount };
  }
}
