/*
 * Short waits for bytes are watched, not slept through.
 *
 * A thread that sleeps until its peer answers is woken by an interrupt to another processor, which on a virtual machine
 * takes longer than most answers do, and costs the peer that sends it. For a short while after bytes came the event
 * loop therefore looks for more without sleeping. How long it looks follows what it would have gained lately, as
 * Linux's adaptive halt polling does (Documentation/virt/kvm/halt-polling.rst): a wait that turns out short lengthens
 * the next look, a long one ends looking at once. Rare messages, heartbeats above all, are never waited for awake.
 */
// Not the global: it is a getter, and this is asked for millions of times a second.
import { performance } from "node:perf_hooks";

/** The first look, and each that follows in a row is twice as long. */
const START_US = 10;

/** What an event loop gives to whoever waits in it. */
export interface LoopTurns {
  /** Microseconds of a clock that only goes forward. */
  nowUs(): number;
  /** Calls back once the loop has looked for events again, without sleeping before. */
  afterNextLook(callback: () => void): void;
}

/** This thread's event loop. */
export const THIS_LOOP: LoopTurns = {
  nowUs: () => performance.now() * 1000,
  afterNextLook: (callback) => void setImmediate(callback),
};

/** Decides after each arrival of bytes how long to look for more. */
export class Polling {
  readonly #maxUs: number;
  readonly #loop: LoopTurns;
  /** How long the next wait is watched. */
  #pollUs = 0;
  /** Bytes have come, and what they bring about may still be being done. */
  #hasArrived = false;
  #isLooking = false;
  /** When all that the last arrival brought about was done. */
  #waitStartUs = -Infinity;

  /** @param maxUs - A longer wait is slept through; 0: every one. */
  constructor(maxUs: number, loop: LoopTurns = THIS_LOOP) {
    this.#maxUs = maxUs;
    this.#loop = loop;
  }

  /** Bytes have come. */
  arrived(): void {
    if (this.#hasArrived || this.#maxUs === 0) return;
    this.#hasArrived = true;
    // This wait was watched to its end.
    if (this.#isLooking) return;
    const waitedUs = this.#loop.nowUs() - this.#waitStartUs;
    if (waitedUs > this.#maxUs) this.#pollUs = 0;
    else if (waitedUs > this.#pollUs)
      this.#pollUs = Math.min(Math.max(2 * this.#pollUs, START_US), this.#maxUs);
    this.#isLooking = true;
    this.#loop.afterNextLook(this.#look);
  }

  readonly #look = (): void => {
    const nowUs = this.#loop.nowUs();
    if (this.#hasArrived) {
      this.#hasArrived = false;
      this.#waitStartUs = nowUs;
    }
    if (nowUs - this.#waitStartUs < this.#pollUs) this.#loop.afterNextLook(this.#look);
    else this.#isLooking = false;
  };
}
