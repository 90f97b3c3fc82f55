import type { Clock, Logger } from "@holdfast/environment";

/**
 * Dials that fail one after another. A server that is being replaced is nothing to look at; one that cannot be reached
 * for longer, or never could, is: that is said once, with the reason, until a server greets.
 */
export class FailingDials {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #patienceMs: number;
  #since: number | undefined;
  #isTold = false;

  /** @param patienceMs - How long dials fail before it is worth a warning, in milliseconds. */
  constructor(clock: Clock, log: Logger, patienceMs: number) {
    this.#clock = clock;
    this.#log = log;
    this.#patienceMs = patienceMs;
  }

  /** A dial has failed. */
  failed(facts: object, message: string): void {
    const now = this.#clock.now();
    this.#since ??= now;
    if (this.#isTold || now - this.#since < this.#patienceMs) return this.#log.debug(facts, message);
    this.#isTold = true;
    this.#log.warn(facts, message);
  }

  /** A server greets. */
  ended(): void {
    this.#since = undefined;
    this.#isTold = false;
  }
}
