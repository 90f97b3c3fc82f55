/*
 * How long members wait for each other.
 *
 * Only the leases carry a promise, and it is one of freshness, never of the safety of writes: a member reads under
 * cached locks only while its lease runs, and no server breaks a silent member's locks before that lease is over.
 */
import { checkSessionTiming, DEFAULT_SESSION_TIMING, type SessionTiming } from "@holdfast/net-reliable";
import { checkQuorumTiming, DEFAULT_QUORUM_TIMING, type QuorumTiming } from "@holdfast/quorum";

/** Times of a member, in milliseconds. */
export interface MemberTiming {
  readonly session: SessionTiming;
  readonly quorum: QuorumTiming;
  /** A new server waits so long for members to report their locks. */
  readonly recoveryMs: number;
  /** A server waits so long for a member whose connection broke. */
  readonly memberTimeoutMs: number;
  /** So long after it asked for a renewal that was granted, a member trusts its cached locks. */
  readonly leaseMs: number;
  /** The same for the server's own member: its successor waits no longer than this before it breaks that member's locks. */
  readonly ownLeaseMs: number;
  /** An idle server looks so often whether it was superseded. */
  readonly watchMs: number;
  /** A voter that leaves waits so long for others to make it dispensable. */
  readonly farewellMs: number;
  /** Closing gives up after so long. */
  readonly closeMs: number;
}

/**
 * The defaults. Members and voters give a silent server up at the same time, so that members find the next one as soon as it is
 * there; its own locks go on a short lease later.
 */
export const DEFAULT_MEMBER_TIMING: MemberTiming = {
  session: { ...DEFAULT_SESSION_TIMING, peerTimeoutMs: 400, greetingTimeoutMs: 500, reconnectMaxMs: 200 },
  quorum: DEFAULT_QUORUM_TIMING,
  recoveryMs: 1000,
  memberTimeoutMs: 2000,
  leaseMs: 600,
  ownLeaseMs: 100,
  watchMs: 200,
  farewellMs: 5000,
  closeMs: 30_000,
};

/** What clocks of two members may differ in rate, as a factor: far more than any clock that works. */
const CLOCK_RATE_MARGIN = 1.01;

/** How long a member waits, by its own clock, for a lease of another one to be over. */
export function leaseIsOverMs(leaseMs: number): number {
  return leaseMs * CLOCK_RATE_MARGIN;
}

/**
 * Checks the inequalities that keep healthy members from being evicted (reference: scoutfs N18) and silent ones from
 * reading what others have changed (reference: reliability L4).
 *
 * @throws RangeError naming the one that does not hold.
 */
export function checkTiming(timing: MemberTiming): void {
  const { session, quorum, recoveryMs, memberTimeoutMs, leaseMs, ownLeaseMs } = timing;
  checkQuorumTiming(quorum);
  checkSessionTiming(session, quorum.electionTimeoutMs + recoveryMs);
  const breakMs = Math.min(recoveryMs, memberTimeoutMs);
  if (leaseIsOverMs(leaseMs) >= breakMs)
    throw new RangeError(`a lease of ${leaseMs} ms is not over when locks are broken after ${breakMs} ms`);
  if (!(ownLeaseMs > 0 && ownLeaseMs <= leaseMs))
    throw new RangeError(`ownLeaseMs is more than 0 and at most leaseMs, ${leaseMs}, not ${ownLeaseMs}`);
}
