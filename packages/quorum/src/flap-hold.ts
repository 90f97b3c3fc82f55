/** Changes of the server that come as fast as they may, before the time between them grows. */
const FLAP_FREE_COUNT = 16;
/** One change is forgotten per this time: at worst 4,096 terms last 14 days. */
const FLAP_CALM_MS = 300_000;
const FLAP_HOLD_MIN_MS = 100;

/**
 * The least time between two servers. It is none until leadership flaps, then doubles with every change up to a limit; each
 * change is forgotten after five minutes, so one that comes alone never waits.
 */
export class FlapHold {
  readonly #maxMs: number;
  #level = 0;
  #changedAt: number;
  #until: number;

  /** @param maxMs - The longest hold, in milliseconds. */
  constructor(maxMs: number, now: number) {
    this.#maxMs = maxMs;
    this.#changedAt = now;
    this.#until = now;
  }

  /** No campaign before this time. */
  get until(): number {
    return this.#until;
  }

  /** There is a new server. */
  count(now: number): void {
    this.#level = Math.max(0, this.#level - (now - this.#changedAt) / FLAP_CALM_MS) + 1;
    this.#changedAt = now;
    const excess = this.#level - FLAP_FREE_COUNT;
    const holdMs = excess <= 0 ? 0 : Math.min(FLAP_HOLD_MIN_MS * 2 ** excess, this.#maxMs);
    this.#until = now + holdMs;
  }
}
