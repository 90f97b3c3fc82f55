/** Times of elections, in milliseconds. */
export interface QuorumTiming {
  /** A voter writes a hint this often. */
  readonly heartbeatMs: number;
  /** A server that is not heard for this long is given up; at least three heartbeats. */
  readonly electionTimeoutMs: number;
  /** After a lost attempt the next is put off by a random time of at least this … */
  readonly backoffMinMs: number;
  /** … doubling up to this. */
  readonly backoffMaxMs: number;
  /** Longest time between two servers while leadership flaps; spares terms. */
  readonly flapHoldMaxMs: number;
  /** A server whose record or check the device has not completed in this time ends its role. */
  readonly deviceStallMs: number;
}

/** Times that suit a disk that answers within a few milliseconds. */
export const DEFAULT_QUORUM_TIMING: QuorumTiming = {
  heartbeatMs: 100,
  electionTimeoutMs: 400,
  backoffMinMs: 50,
  backoffMaxMs: 1000,
  flapHoldMaxMs: 300_000,
  deviceStallMs: 2000,
};

/**
 * Checks that the times fit each other.
 *
 * @throws RangeError naming what does not hold.
 */
export function checkQuorumTiming(timing: QuorumTiming): void {
  for (const [name, ms] of Object.entries(timing) as [keyof QuorumTiming, number][])
    if (!Number.isFinite(ms) || ms < 0 || (ms === 0 && name !== "flapHoldMaxMs"))
      throw new RangeError(`${name} is a number of milliseconds greater than 0, not ${ms}`);
  const { heartbeatMs, electionTimeoutMs, backoffMinMs, backoffMaxMs, deviceStallMs } = timing;
  if (electionTimeoutMs < 3 * heartbeatMs)
    throw new RangeError(
      `electionTimeoutMs is at least three heartbeats, ${3 * heartbeatMs}, not ${electionTimeoutMs}`,
    );
  if (backoffMaxMs < backoffMinMs)
    throw new RangeError(`backoffMaxMs is at least backoffMinMs, ${backoffMinMs}, not ${backoffMaxMs}`);
  if (deviceStallMs < heartbeatMs)
    throw new RangeError(`deviceStallMs is at least a heartbeat, ${heartbeatMs}, not ${deviceStallMs}`);
}
