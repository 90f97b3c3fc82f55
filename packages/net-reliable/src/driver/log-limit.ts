import type { Clock, Logger } from "@holdfast/environment";

/** Warnings that strangers can provoke, in one minute; more are counted only. */
export const WARNINGS_PER_MINUTE_MAX = 20;

const MINUTE_MS = 60_000;

/** Writes warnings until there are too many of them, then says with the next how many it left out. */
export class LogLimit {
  readonly #clock: Clock;
  readonly #log: Logger;
  #minuteStartedAt = Number.NEGATIVE_INFINITY;
  #count = 0;
  #leftOutCount = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Writes the warning, or counts it. */
  warn(facts: object, message: string): void {
    const now = this.#clock.now();
    if (now - this.#minuteStartedAt >= MINUTE_MS) {
      this.#minuteStartedAt = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > WARNINGS_PER_MINUTE_MAX) {
      this.#leftOutCount += 1;
      return;
    }
    const leftOutCount = this.#leftOutCount;
    this.#leftOutCount = 0;
    this.#log.warn(leftOutCount === 0 ? facts : { ...facts, leftOutCount }, message);
  }
}
