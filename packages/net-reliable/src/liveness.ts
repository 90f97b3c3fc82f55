import type { SessionTiming } from "./timing.ts";

/** What a connection needs now: nothing, a heartbeat, or to be cut. */
export type LivenessVerdict = "quiet" | "beat" | "dead";

/**
 * Tells when to send a heartbeat and when the peer is dead; to be asked every `heartbeatMs`.
 *
 * A tick that comes late proves that this process was paused, not that the peer was silent: bytes of the peer may
 * wait unread. So a late tick gives the peer two more heartbeats of time.
 */
export class Liveness {
  readonly #timing: SessionTiming;
  #heardAt: number;
  #sentAt: number;
  #tickedAt: number;

  constructor(timing: SessionTiming, now: number) {
    this.#timing = timing;
    this.#heardAt = now;
    this.#sentAt = now;
    this.#tickedAt = now;
  }

  /** Bytes came from the peer. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /** Bytes went to the peer. */
  sent(now: number): void {
    this.#sentAt = now;
  }

  /** Asks what to do; a `beat` counts as sent. */
  tick(now: number): LivenessVerdict {
    const { heartbeatMs, peerTimeoutMs } = this.#timing;
    if (now - this.#tickedAt > peerTimeoutMs / 2)
      this.#heardAt = Math.max(this.#heardAt, now - peerTimeoutMs + 2 * heartbeatMs);
    this.#tickedAt = now;
    if (now - this.#heardAt >= peerTimeoutMs) return "dead";
    // A tick may come a fraction early; half a heartbeat of tolerance keeps the rhythm.
    if (now - this.#sentAt < heartbeatMs / 2) return "quiet";
    this.#sentAt = now;
    return "beat";
  }
}
