/*
 * Members that are waited for, each until its deadline.
 */
import type { Cancel, Clock } from "@holdfast/environment";

/** One timer per member at most. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #onPassed: (rid: bigint) => void;
  readonly #timers: Map<bigint, Cancel> = new Map();
  #isClosed = false;

  constructor(clock: Clock, onPassed: (rid: bigint) => void) {
    this.#clock = clock;
    this.#onPassed = onPassed;
  }

  /** Waits `ms` for a member, unless it is waited for already. */
  arm(rid: bigint, ms: number): void {
    if (this.#isClosed || this.#timers.has(rid)) return;
    const cancel = this.#clock.at(this.#clock.now() + ms, () => {
      this.#timers.delete(rid);
      this.#onPassed(rid);
    });
    this.#timers.set(rid, cancel);
  }

  /** True while a member is waited for. */
  isArmed(rid: bigint): boolean {
    return this.#timers.has(rid);
  }

  /** The member came. */
  disarm(rid: bigint): void {
    this.#timers.get(rid)?.();
    this.#timers.delete(rid);
  }

  /** Waits for nobody any more. */
  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}
