/*
 * The clock of one simulated process: virtual time with an origin and a rate of its own.
 */
import type { Cancel, Clock } from "@holdfast/environment";
import type { SimulatedProcess } from "./process.ts";

/** Real clocks of hosts differ by a few hundred parts per million at worst. */
const DRIFT_PPM_MAX = 200;

/** A timer never fires in the instant it was armed, so that a loop of due timers cannot stop time. */
const TIMER_MIN_MS = 0.001;

/** What a turn of the event loop costs. */
const YIELD_MS = 0.005;

/** Covers the rounding between a process's time and the world's, so that no timer is early. */
const ROUNDING_MS = 1e-6;

const WALL_ORIGIN_MS = 1_790_000_000_000;

/** Time as one process sees it. */
export class SimulatedClock implements Clock {
  readonly #process: SimulatedProcess;
  readonly #originMs: number;
  readonly #rate: number;
  #wallJumpMs = 0;

  /** @param driftPpm - How much faster it runs than the world; by default chance decides, within ±200. */
  constructor(process: SimulatedProcess, driftPpm?: number) {
    const random = process.random.fork("clock");
    this.#process = process;
    this.#originMs = random.range(0, 1e7);
    this.#rate = 1 + (driftPpm ?? random.range(-DRIFT_PPM_MAX, DRIFT_PPM_MAX)) * 1e-6;
  }

  now(): number {
    return this.#originMs + this.#process.world.nowMs * this.#rate;
  }

  wallMs(): number {
    return Math.floor(WALL_ORIGIN_MS + this.#wallJumpMs + this.#process.world.nowMs);
  }

  /** Makes wall time jump, forwards or back. */
  jumpWall(ms: number): void {
    this.#wallJumpMs += ms;
  }

  at(deadlineMs: number, action: () => void): Cancel {
    if (Number.isNaN(deadlineMs)) throw new RangeError("a deadline must be a number of milliseconds");
    if (this.#process.isDead || deadlineMs === Number.POSITIVE_INFINITY) return nothing;
    const { world, tie } = this.#process;
    const due = (deadlineMs - this.#originMs) / this.#rate + ROUNDING_MS;
    const event = world.schedule({
      timeMs: Math.max(due, world.nowMs + TIMER_MIN_MS),
      tie,
      kind: "timer",
      process: this.#process,
      action,
    });
    return () => {
      world.cancel(event);
    };
  }

  yield(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#process.isDead) return;
      const { world } = this.#process;
      world.schedule({
        timeMs: world.nowMs + YIELD_MS,
        tie: world.tie(),
        kind: "completion",
        process: this.#process,
        action: resolve,
      });
    });
  }
}

function nothing(): void {}
