/** Times of a session, in milliseconds. */
export interface SessionTiming {
  /** A side that sent nothing for this long sends a heartbeat. */
  readonly heartbeatMs: number;
  /** A peer that was silent for this long is dead: its connection is cut. */
  readonly peerTimeoutMs: number;
  /** A connection that has not greeted by then is cut. */
  readonly greetingTimeoutMs: number;
  /** First delay before dialling again. */
  readonly reconnectMinMs: number;
  /** Greatest delay before dialling again. */
  readonly reconnectMaxMs: number;
  /** A member that was away for this long is reported as expired. */
  readonly forgetMs: number;
}

/** The times a member uses unless told otherwise. */
export const DEFAULT_SESSION_TIMING: SessionTiming = {
  heartbeatMs: 100,
  peerTimeoutMs: 600,
  greetingTimeoutMs: 1000,
  reconnectMinMs: 20,
  reconnectMaxMs: 500,
  forgetMs: 20_000,
};

/**
 * Checks that the times fit each other, and that a healthy member finds a new server before that server gives it up:
 * dead-peer detection + one delay + one greeting < election + recovery deadline.
 *
 * @param recoveryMs - Election and recovery deadline together, in milliseconds.
 * @throws RangeError naming the inequality that does not hold.
 */
export function checkSessionTiming(timing: SessionTiming, recoveryMs: number): void {
  const { heartbeatMs, peerTimeoutMs, greetingTimeoutMs, reconnectMinMs, reconnectMaxMs, forgetMs } = timing;
  const least = Math.min(
    heartbeatMs,
    peerTimeoutMs,
    greetingTimeoutMs,
    reconnectMinMs,
    reconnectMaxMs,
    forgetMs,
  );
  if (!(least > 0)) throw new RangeError(`session times are positive, not ${least} ms`);
  if (2 * heartbeatMs > peerTimeoutMs)
    throw new RangeError(
      `two heartbeats (${heartbeatMs} ms each) do not fit into ${peerTimeoutMs} ms of silence`,
    );
  if (reconnectMinMs > reconnectMaxMs)
    throw new RangeError(`reconnectMinMs ${reconnectMinMs} exceeds reconnectMaxMs ${reconnectMaxMs}`);
  const backMs = peerTimeoutMs + reconnectMaxMs + greetingTimeoutMs;
  if (backMs >= recoveryMs)
    throw new RangeError(`a member may need ${backMs} ms to come back, recovery ends after ${recoveryMs} ms`);
  if (backMs >= forgetMs)
    throw new RangeError(`a member may need ${backMs} ms to come back, it expires after ${forgetMs} ms`);
}
