/*
 * How long a loop of cached acquires may keep the event loop from its turn.
 *
 * A loop that awaits nothing but cached locks never lets a message in, so a demand for one of them would wait for the
 * whole loop (measured: 1.4 s). The budget counts and now and then looks at the clock; once spent, the acquire yields.
 */
import type { Clock } from "@holdfast/environment";

/** Most cached acquires between two turns of the event loop. */
export const CACHED_ACQUIRES_MAX = 1000;

/** Longest time between two turns in milliseconds, as far as the acquires themselves can tell. */
export const TURN_MS_MAX = 1;

// A look at the clock costs as much as an acquire; every 64th keeps it under 2 %.
const ACQUIRES_PER_LOOK = 64;

/** Counts cached acquires since the event loop had its last turn. */
export class TurnBudget {
  readonly #clock: Clock;
  #count = 0;
  #turnMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turnMs = clock.now();
  }

  /** Counts one acquire; true when it must yield before it goes on. */
  spend(): boolean {
    this.#count += 1;
    if (this.#count >= CACHED_ACQUIRES_MAX) return true;
    return this.#count % ACQUIRES_PER_LOOK === 0 && this.#clock.now() - this.#turnMs >= TURN_MS_MAX;
  }

  /** Lets other events have their turn and starts afresh. */
  async yield(): Promise<void> {
    this.#count = 0;
    await this.#clock.yield();
    this.#turnMs = this.#clock.now();
  }
}
