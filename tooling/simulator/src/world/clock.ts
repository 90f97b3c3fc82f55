/*
 * The clock of one simulated process: virtual time with an origin and a rate of its own.
 */
import type { Cancel, Clock } from "@holdfast/environment";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimulatedProcess } from "./process.ts";

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

  /** @param driftPpm - How much faster it runs than the world; by default chance decides, within the world's bounds. */
  constructor(process: SimulatedProcess, driftPpm?: number) {
    const random = process.random.fork("clock");
    this.#process = process;
    this.#originMs = random.range(0, 1e7);
    this.#rate = 1 + (driftPpm ?? random.range(-1, 1) * process.world.driftPpmMax) * 1e-6;
  }

  now(): number {
    return this.#originMs + (this.#process.world.nowMs - this.#process.hiddenMs) * this.#rate;
  }

  wallMs(): number {
    return Math.floor(WALL_ORIGIN_MS + this.#process.wallJumpMs + this.#process.world.nowMs);
  }

  at(deadlineMs: number, action: () => void): Cancel {
    if (Number.isNaN(deadlineMs)) throw new RangeError("a deadline must be a number of milliseconds");
    const process = this.#process;
    const { world, tie } = process;
    if (process.isDead || deadlineMs === Number.POSITIVE_INFINITY) return nothing;
    const arm = (): SimulatedEvent => {
      const { hiddenMs } = process;
      const due = (deadlineMs - this.#originMs) / this.#rate + hiddenMs + ROUNDING_MS;
      const fire = (): void => {
        // The clock stood still meanwhile.
        if (process.hiddenMs > hiddenMs && this.now() < deadlineMs) event = arm();
        else action();
      };
      const timeMs = Math.max(due, world.nowMs + TIMER_MIN_MS);
      return world.schedule({ timeMs, tie, kind: "timer", process, action: fire });
    };
    let event = arm();
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
