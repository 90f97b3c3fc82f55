import type { Clock, Logger } from "@holdfast/environment";

/** No more than one line in this time. */
const LINE_EVERY_MS = 60_000;

/** A warning that one cause gives again and again: told at once, then once a minute with how many were left out. */
export class SteadyWarning {
  readonly #clock: Clock;
  readonly #log: Logger;
  #toldAt: number = Number.NEGATIVE_INFINITY;
  #leftOutCount = 0;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Tells it, or counts it. */
  warn(facts: object, message: string): void {
    const now = this.#clock.now();
    if (now - this.#toldAt < LINE_EVERY_MS) {
      this.#leftOutCount += 1;
      return;
    }
    const leftOutCount = this.#leftOutCount;
    this.#toldAt = now;
    this.#leftOutCount = 0;
    this.#log.warn(leftOutCount === 0 ? facts : { ...facts, leftOutCount }, message);
  }
}
