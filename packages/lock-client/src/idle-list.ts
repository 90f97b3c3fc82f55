/*
 * Idle locks from the oldest to the newest, linked through the locks themselves: no allocation per use.
 */
import type { LockState } from "./lock-state.ts";

/** Locks that nobody uses, in the order in which they fell idle. */
export class IdleList {
  #oldest: LockState | undefined = undefined;
  #newest: LockState | undefined = undefined;
  #count = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** The one that fell idle first. */
  get oldest(): LockState | undefined {
    return this.#oldest;
  }

  /** Appends a lock that is not in the list. */
  add(lock: LockState): void {
    lock.isListed = true;
    lock.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = lock;
    else this.#newest.newer = lock;
    this.#newest = lock;
    this.#count += 1;
  }

  /** Takes a lock out; nothing happens if it is not in the list. */
  remove(lock: LockState): void {
    if (!lock.isListed) return;
    const { older, newer } = lock;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    lock.older = undefined;
    lock.newer = undefined;
    lock.isListed = false;
    this.#count -= 1;
  }
}
