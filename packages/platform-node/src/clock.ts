import { type Cancel, type Clock, invariant } from "@holdfast/environment";

/** The longest delay of `setTimeout`; a longer one would fire at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** Time of this process: `performance.now`, `setTimeout` and `setImmediate`. A timer that is armed keeps the process alive. */
export const nodeClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  at: (deadlineMs, action) => {
    invariant(!Number.isNaN(deadlineMs), "a deadline is a number");
    return new Alarm(deadlineMs, action).cancel;
  },
  yield: () =>
    new Promise((resolve) => {
      setImmediate(resolve);
    }),
};

/** One deadline. Timers wake up to a millisecond early and reach 2^31 ms at most; it goes back to sleep then. */
class Alarm {
  readonly #deadlineMs: number;
  readonly #action: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(deadlineMs: number, action: () => void) {
    this.#deadlineMs = deadlineMs;
    this.#action = action;
    this.#arm();
  }

  readonly cancel: Cancel = () => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  };

  #arm(): void {
    const leftMs = this.#deadlineMs - performance.now();
    if (leftMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(this.#fire, Math.min(Math.max(Math.ceil(leftMs), 0), DELAY_MS_MAX));
  }

  readonly #fire = (): void => {
    if (performance.now() < this.#deadlineMs) this.#arm();
    else this.#action();
  };
}
