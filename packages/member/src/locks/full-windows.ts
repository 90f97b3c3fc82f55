/*
 * Invalidations that found no room in the session with their member: so much is on its way to it already.
 *
 * They wait, and go again in their order, so many at a time, after a pause that doubles as long as nothing comes back from the
 * member. Its first answer makes room, and the pause short again. The order among them is of no concern: there
 * is one for each lock of a member at a time, and nothing else of that lock reaches the member before its answer.
 */
import type { Cancel, Clock } from "@holdfast/environment";
import type { LockServerEffect } from "@holdfast/lock-server";

/** A lock to be called back from a member. */
export type Invalidation = LockServerEffect & { readonly type: "invalidate" };

/** The first pause, in milliseconds; */
export const PAUSE_MIN_MS = 5;

/** and the longest: what somebody who waits for the lock may lose to it. */
export const PAUSE_MAX_MS = 160;

/** Most invalidations that go again at a time: a turn of the event loop, when a member has a hundred thousand locks. */
export const AGAIN_MAX = 1024;

interface FullWindow {
  /** No more than the member has locks. */
  waiting: Invalidation[];
  pauseMs: number;
  /** Armed exactly while something waits. */
  cancelTimer: Cancel;
}

/** What waits for members with full windows. */
export class FullWindows {
  readonly #clock: Clock;
  readonly #again: (invalidations: readonly Invalidation[]) => void;
  readonly #windows: Map<bigint, FullWindow> = new Map();

  /** @param again - Sends invalidations that have waited. */
  constructor(clock: Clock, again: (invalidations: readonly Invalidation[]) => void) {
    this.#clock = clock;
    this.#again = again;
  }

  /** There was no room for this one. */
  add(invalidation: Invalidation): void {
    const { rid } = invalidation;
    const window = this.#windows.get(rid) ?? { waiting: [], pauseMs: PAUSE_MIN_MS, cancelTimer: () => {} };
    this.#windows.set(rid, window);
    window.waiting.push(invalidation);
    if (window.waiting.length === 1) this.#arm(window);
  }

  /** An invalidation of a member has ended otherwise: there is room now. */
  answered(rid: bigint): void {
    const window = this.#windows.get(rid);
    if (window === undefined) return;
    if (window.waiting.length === 0) this.#windows.delete(rid);
    // Only a long pause is cut short: answers that follow each other closely would put a short one off for ever.
    if (window.pauseMs === PAUSE_MIN_MS) return;
    window.pauseMs = PAUSE_MIN_MS;
    if (window.waiting.length > 0) this.#arm(window);
  }

  /** A member has no locks any more. */
  forget(rid: bigint): void {
    this.#windows.get(rid)?.cancelTimer();
    this.#windows.delete(rid);
  }

  /** Nothing goes any more. */
  close(): void {
    for (const rid of this.#windows.keys()) this.forget(rid);
  }

  #arm(window: FullWindow): void {
    window.cancelTimer();
    window.cancelTimer = this.#clock.at(this.#clock.now() + window.pauseMs, () => {
      const part = window.waiting.splice(0, AGAIN_MAX);
      window.pauseMs = Math.min(2 * window.pauseMs, PAUSE_MAX_MS);
      if (window.waiting.length > 0) this.#arm(window);
      this.#again(part);
    });
  }
}
