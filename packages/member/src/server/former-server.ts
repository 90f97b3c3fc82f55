/*
 * The member that served before, while nothing is known of it (docs/decisions/0019).
 *
 * Its lease is short, and nobody renews it behind the announcement of this term: so it is over soon after this server has
 * adopted its last record. From then on it is out as soon as somebody waits for a lock on its account alone. Where
 * nobody does, it has as long as any member to come back.
 */
import type { Cancel, Clock } from "@holdfast/environment";
import { leaseIsOverMs } from "../timing.ts";

/** What is to be known of a former server. */
export interface FormerServerOptions {
  readonly clock: Clock;
  /** Its lease, in milliseconds; none of it runs longer from now. */
  readonly ownLeaseMs: number;
  /** True if it alone keeps locks from being granted, and is not here. */
  readonly isInTheWay: () => boolean;
  /** Its lease is over, and somebody waits. Called once. */
  readonly onInTheWay: () => void;
}

/** The wait for a former server. */
export class FormerServer {
  readonly #options: FormerServerOptions;
  readonly #leaseEndsMs: number;
  #cancelTimer: Cancel = () => {};
  #isLeaseOver = false;
  #isAnybodyWaiting = false;
  #isDone = false;

  /** Made when its last record is adopted, or later. */
  constructor(options: FormerServerOptions) {
    const { clock, ownLeaseMs } = options;
    this.#options = options;
    this.#leaseEndsMs = clock.now() + leaseIsOverMs(ownLeaseMs);
  }

  /** It is waited for from now on. */
  await(): void {
    this.#cancelTimer = this.#options.clock.at(this.#leaseEndsMs, () => {
      this.#isLeaseOver = true;
      this.look();
    });
  }

  /** Somebody asked for a lock, and cannot have it yet. */
  lockIsAwaited(): void {
    this.#isAnybodyWaiting = true;
    this.look();
  }

  /** Others came or went. */
  look(): void {
    if (this.#isDone || !this.#isLeaseOver || !this.#isAnybodyWaiting || !this.#options.isInTheWay()) return;
    this.#isDone = true;
    this.#options.onInTheWay();
  }

  /** It is waited for no more. */
  close(): void {
    this.#isDone = true;
    this.#cancelTimer();
  }
}
