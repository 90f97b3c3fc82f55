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
