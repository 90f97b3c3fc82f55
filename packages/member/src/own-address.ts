/*
 * A process whose server made room because it did not reach itself, and may serve again when it does.
 *
 * It votes no more meanwhile: each reign in vain costs a term, and everybody some seconds without locks. After a pause it dials
 * its own address, which costs nobody anything: its doorway shows whoever comes the door. If that fails, or the next
 * reign ends for the same reason, the pause is twice as long.
 */
import { type ByteStream, type Cancel, type Clock, makeAborter } from "@holdfast/environment";

/** The first pause, in milliseconds; */
export const OWN_ADDRESS_PAUSE_MIN_MS = 10_000;

/** and the longest: a process that would be elected alone uses up 512 terms in three days, and 4,096 in a month. */
export const OWN_ADDRESS_PAUSE_MAX_MS = 600_000;

/** Who needed no pause for so long begins with the first one again. */
const CALM_MS = 3 * OWN_ADDRESS_PAUSE_MAX_MS;

/** What the rest of such a process needs. */
export interface OwnAddressRestOptions {
  readonly clock: Clock;
  /** Dials the own address. */
  readonly dial: (signal: AbortSignal) => Promise<ByteStream>;
  /** A dial that is not answered for so long has failed. */
  readonly dialMs: number;
  /** The address is reached again. */
  readonly onReached: () => void;
}

/** The rest of a process that does not reach itself. */
export class OwnAddressRest {
  readonly #options: OwnAddressRestOptions;
  #pauseMs: number = OWN_ADDRESS_PAUSE_MIN_MS;
  #beganMs: number = Number.NEGATIVE_INFINITY;
  #cancelTimer: Cancel = () => {};
  #isClosed = false;

  constructor(options: OwnAddressRestOptions) {
    this.#options = options;
  }

  /** A reign, or a dial, was in vain: rests. Returns for how long, in milliseconds. */
  begin(): number {
    if (this.#isClosed) return 0;
    const { clock } = this.#options;
    const now = clock.now();
    if (now - this.#beganMs > CALM_MS) this.#pauseMs = OWN_ADDRESS_PAUSE_MIN_MS;
    const pauseMs = this.#pauseMs;
    this.#beganMs = now;
    this.#pauseMs = Math.min(2 * pauseMs, OWN_ADDRESS_PAUSE_MAX_MS);
    this.#cancelTimer = clock.at(now + pauseMs, () => this.#look());
    return pauseMs;
  }

  /** Rests no more, and does not come back. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }

  #look(): void {
    const { clock, dial, dialMs, onReached } = this.#options;
    const aborter = makeAborter();
    const cancelLimit = clock.at(clock.now() + dialMs, () => aborter.abort());
    this.#cancelTimer = () => {
      cancelLimit();
      aborter.abort();
    };
    dial(aborter.signal).then(
      (stream) => {
        cancelLimit();
        stream.destroy();
        if (!this.#isClosed) onReached();
      },
      // Whatever the reason is, the session that looks for the server tells it when this process serves.
      () => {
        cancelLimit();
        this.begin();
      },
    );
  }
}
