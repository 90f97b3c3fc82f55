import type { Cancel, Clock } from "@holdfast/environment";

interface Timer {
  readonly deadlineMs: number;
  readonly action: () => void;
}

/** Time stands still until {@link advance}. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers: Set<Timer> = new Set();

  now(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#now;
  }

  at(deadlineMs: number, action: () => void): Cancel {
    const timer = { deadlineMs, action };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  yield(): Promise<void> {
    return settle();
  }

  get timersCount(): number {
    return this.#timers.size;
  }

  /** Moves time, fires what falls due in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers)
        if (next === undefined || timer.deadlineMs < next.deadlineMs) next = timer;
      if (next === undefined || next.deadlineMs > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.deadlineMs);
      next.action();
      await settle();
    }
    this.#now = until;
  }
}

/** Resolves after every promise that could settle has. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
