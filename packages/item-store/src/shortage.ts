/*
 * What a flush does when the volume has no room for it: it tries again, at growing intervals, until it has.
 *
 * Nothing is lost meanwhile: the items stay in a frozen memtable, where reads find them, and in the journal, where a
 * replay does. Whoever waits decides how long: who must have the flush (a lock that is called in) waits for ever, who can
 * be told to come back (a transaction, a caller of flush or close) is told so after a number of failures.
 */
import { type Clock, type Deferred, HoldfastError, deferred } from "@holdfast/environment";

/** Pause after the first failure, in milliseconds; doubles with each up to {@link SHORTAGE_PAUSE_MS_MAX}. */
export const SHORTAGE_PAUSE_MS_MIN = 50;

/** Longest pause between two attempts, in milliseconds. */
export const SHORTAGE_PAUSE_MS_MAX = 1000;

/** Failures of one flush that transactions wait through; what a commit or a compaction frees comes within them. */
export const SHORTAGE_PATIENCE = 4;

/** Failures after which `flush` and `close` give up: from 1.5 to 5 seconds of pauses. */
export const FLUSH_FAILURES_MAX = 6;

/** What free space mends, whoever has it now. */
const SHORTAGES: ReadonlySet<string> = new Set([
  "ERR_HOLDFAST_NO_SPACE",
  "ERR_HOLDFAST_SPACE_QUARANTINED",
  "ERR_HOLDFAST_SPACE_FRAGMENTED",
]);

/** True for the errors that free space mends. */
export function isShortOfSpace(error: unknown): boolean {
  return error instanceof HoldfastError && SHORTAGES.has(error.code);
}

interface Wait {
  failuresLeft: number;
  readonly done: Deferred<never>;
}

/** The shortage of space of one store, or that there is none. */
export class Shortage {
  readonly #clock: Clock;
  readonly #check: () => void;
  readonly #waits: Set<Wait> = new Set();
  #failureCount = 0;
  #error: unknown;
  #wake: (() => void) | undefined;

  /** @param check - Throws if the store has ended: looked at around each pause. */
  constructor(clock: Clock, check: () => void) {
    this.#clock = clock;
    this.#check = check;
  }

  /** Does `task` until it does not fail for want of space; any other error of it passes. One task at a time. */
  async overcome<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await task();
        this.#failureCount = 0;
        return result;
      } catch (error) {
        if (!isShortOfSpace(error)) throw error;
        this.#failed(error);
      }
      this.#check();
      await this.#pause();
      this.#check();
    }
  }

  /** Ends a pause: the next attempt begins at once. */
  hurry(): void {
    this.#wake?.();
  }

  /** What `flush` comes to, or a rejection with the last error once {@link overcome} has failed `failuresMax` more times. */
  async patiently(flush: Promise<void>, failuresMax: number): Promise<void> {
    const wait: Wait = { failuresLeft: failuresMax, done: deferred<never>() };
    this.#waits.add(wait);
    try {
      await Promise.race([flush, wait.done.promise]);
    } finally {
      this.#waits.delete(wait);
    }
  }

  /** The same for transactions, which share {@link SHORTAGE_PATIENCE}: once it is used up they are told at once. */
  async briefly(flush: Promise<void>): Promise<void> {
    if (this.#failureCount >= SHORTAGE_PATIENCE) throw this.#error;
    await this.patiently(flush, SHORTAGE_PATIENCE - this.#failureCount);
  }

  #failed(error: unknown): void {
    this.#failureCount += 1;
    this.#error = error;
    for (const wait of this.#waits) {
      wait.failuresLeft -= 1;
      if (wait.failuresLeft === 0) wait.done.reject(error);
    }
  }

  async #pause(): Promise<void> {
    const woken = deferred<void>();
    const pauseMs = Math.min(SHORTAGE_PAUSE_MS_MAX, SHORTAGE_PAUSE_MS_MIN * 2 ** (this.#failureCount - 1));
    const cancelTimer = this.#clock.at(this.#clock.now() + pauseMs, () => woken.resolve());
    this.#wake = () => woken.resolve();
    await woken.promise;
    this.#wake = undefined;
    cancelTimer();
  }
}
