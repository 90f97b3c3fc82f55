/*
 * A member's lease on its cached locks (reference: reliability L4).
 *
 * It runs from the moment a renewal was asked for, not from the moment it was granted: whatever happened to the answer on
 * its way, the server that gave it had not yet begun to count this member as silent. A reader looks at it after it has
 * its data, so that a pause in the middle is noticed.
 *
 * The member that serves has a shorter one, so that its successor need not wait long before it breaks that member's locks
 * (docs/decisions/0019). It is short before the first record of the reign is written, whoever granted it: the successor
 * that adopts that record knows no other. It is as long as others' again when a later server has counted the member in.
 * The short one is renewed only while somebody looks at it, and for a long one's time behind that: who looks at it when a
 * slow read is done finds it valid, and a server that reads nothing need not look at the device for it.
 */
import { type Cancel, CancelledError, type Clock, type Deferred, deferred } from "@holdfast/environment";

/** Renewals asked for within one lease: one that is late or lost costs nothing. */
const RENEWALS_PER_LEASE = 4;

/** What a lease needs. */
export interface LeaseOptions {
  readonly clock: Clock;
  readonly leaseMs: number;
  /** The same while this member serves. */
  readonly ownLeaseMs: number;
  /** Asks the server; `answered` is called once with what it said, however late. */
  readonly ask: (answered: (isGranted: boolean) => void) => void;
  /** True: the rule is broken that a lease ends. */
  readonly isEndless?: boolean;
}

/** The lease of one member. */
export class Lease {
  readonly #options: LeaseOptions;
  #untilMs: number = Number.NEGATIVE_INFINITY;
  /** The latest term that this member won, and the latest whose server counted it in. */
  #wonTerm = 0n;
  #countedTerm = 0n;
  #cancelTimer: Cancel = () => {};
  #isAsking = false;
  /** When somebody looked at it last. */
  #usedMs: number = Number.NEGATIVE_INFINITY;
  /** Nobody did for long, so it is renewed when somebody does. */
  #isResting = false;
  #failure: { readonly error: Error } | undefined;
  readonly #waiters: Set<Deferred<void>> = new Set();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** True while cached locks may be trusted. */
  get isValid(): boolean {
    const now = this.#options.clock.now();
    this.#usedMs = now;
    // Who never waits, but looks again, finds it the next time.
    if (this.#isResting) this.#renew();
    return this.#isRunningAt(now);
  }

  /** This member has won a term: from here on no server knows more of its lease than that it is short. */
  won(term: bigint): void {
    this.#wonTerm = term;
    this.#untilMs = Math.min(this.#untilMs, this.#options.clock.now() + this.#options.ownLeaseMs);
  }

  /** The server of a term was asked at `askedMs` to count this member in, and did; begins to renew. */
  countedIn(term: bigint, askedMs: number): void {
    this.#countedTerm = term;
    this.#extend(askedMs);
  }

  /**
   * Resolves when the lease is valid.
   *
   * @throws what ended it, or {@link CancelledError}.
   */
  async valid(signal?: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.isValid) return;
    const waiter = deferred<void>();
    const onAbort = (): void =>
      waiter.reject(new CancelledError("the wait for the lease", { cause: signal?.reason }));
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiters.add(waiter);
    try {
      await waiter.promise;
      this.#usedMs = this.#options.clock.now();
    } finally {
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** No renewal will come any more. */
  end(error: Error): void {
    this.#failure ??= { error };
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#cancelTimer();
    this.#isResting = false;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  #extend(askedMs: number): void {
    if (this.#failure !== undefined) return;
    this.#untilMs = Math.max(this.#untilMs, askedMs + this.#lengthMs);
    if (this.#isRunningAt(this.#options.clock.now())) {
      for (const waiter of this.#waiters) waiter.resolve();
      this.#waiters.clear();
    }
    this.#renewLater();
  }

  #isRunningAt(now: number): boolean {
    const { isEndless = false } = this.#options;
    return now < this.#untilMs || (isEndless && this.#untilMs > Number.NEGATIVE_INFINITY);
  }

  get #isShort(): boolean {
    return this.#countedTerm <= this.#wonTerm;
  }

  /** A server of an earlier term than the own one has been succeeded, whatever it granted before. */
  get #lengthMs(): number {
    const { leaseMs, ownLeaseMs } = this.#options;
    return this.#isShort ? ownLeaseMs : leaseMs;
  }

  #renewLater(): void {
    const { clock, leaseMs } = this.#options;
    if (this.#isAsking) return;
    this.#cancelTimer();
    this.#cancelTimer = clock.at(clock.now() + this.#lengthMs / RENEWALS_PER_LEASE, () => {
      const isUnused = clock.now() - this.#usedMs > leaseMs;
      this.#isResting = this.#isShort && isUnused && this.#waiters.size === 0;
      if (!this.#isResting) this.#renew();
    });
  }

  #renew(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#isResting = false;
    const askedMs = this.#options.clock.now();
    this.#options.ask((isGranted) => {
      this.#isAsking = false;
      if (this.#failure !== undefined) return;
      if (isGranted) this.#extend(askedMs);
      else this.#renewLater();
    });
  }
}
