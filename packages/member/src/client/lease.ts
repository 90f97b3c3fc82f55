/*
 * A member's lease on its cached locks (reference: reliability L4).
 *
 * It runs from the moment a renewal was asked for, not from the moment it was granted: whatever happened to the answer on
 * its way, the server that gave it had not yet begun to count this member as silent. A reader looks at it after it has
 * its data, so that a pause in the middle is noticed.
 */
import { type Cancel, CancelledError, type Clock, type Deferred, deferred } from "@holdfast/environment";

/** Renewals asked for within one lease: one that is late or lost costs nothing. */
const RENEWALS_PER_LEASE = 4;

/** What a lease needs. */
export interface LeaseOptions {
  readonly clock: Clock;
  readonly leaseMs: number;
  /** Asks the server; `answered` is called once with what it said, however late. */
  readonly ask: (answered: (isGranted: boolean) => void) => void;
  /** True: the rule is broken that a lease ends. */
  readonly isEndless?: boolean;
}

/** The lease of one member. */
export class Lease {
  readonly #options: LeaseOptions;
  #untilMs: number = Number.NEGATIVE_INFINITY;
  #cancelTimer: Cancel = () => {};
  #isAsking = false;
  #failure: { readonly error: Error } | undefined;
  readonly #waiters: Set<Deferred<void>> = new Set();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** True while cached locks may be trusted. */
  get isValid(): boolean {
    const { clock, isEndless = false } = this.#options;
    return clock.now() < this.#untilMs || (isEndless && this.#untilMs > Number.NEGATIVE_INFINITY);
  }

  /** A server that counts this member in was asked at `askedMs`; begins to renew. */
  extend(askedMs: number): void {
    if (this.#failure !== undefined) return;
    this.#untilMs = Math.max(this.#untilMs, askedMs + this.#options.leaseMs);
    if (this.isValid) for (const waiter of this.#waiters) waiter.resolve();
    if (this.isValid) this.#waiters.clear();
    this.#renewLater();
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
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  #renewLater(): void {
    const { clock, leaseMs } = this.#options;
    if (this.#isAsking) return;
    this.#cancelTimer();
    this.#cancelTimer = clock.at(clock.now() + leaseMs / RENEWALS_PER_LEASE, () => this.#renew());
  }

  #renew(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const askedMs = this.#options.clock.now();
    this.#options.ask((isGranted) => {
      this.#isAsking = false;
      if (this.#failure !== undefined) return;
      if (isGranted) this.extend(askedMs);
      else this.#renewLater();
    });
  }
}
