import type { SessionTiming } from "./timing.ts";

/**
 * When to dial again: doubling by default, short only after a server accepted a greeting (so that refused
 * connections do not spin), and spread at random (so that members do not come in step).
 */
export class Backoff {
  readonly #timing: SessionTiming;
  #nextMs: number;

  constructor(timing: SessionTiming) {
    this.#timing = timing;
    this.#nextMs = timing.reconnectMinMs;
  }

  /** A server accepted our greeting. */
  accepted(): void {
    this.#nextMs = this.#timing.reconnectMinMs;
  }

  /** Milliseconds to wait before the next attempt; `random` is uniform in 0 … 2^32−1. */
  next(random: number): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * 2, this.#timing.reconnectMaxMs);
    return ms / 2 + (ms / 2) * (random / 2 ** 32);
  }
}
