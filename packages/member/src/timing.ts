/*
 * How long members wait for each other. None of these carries safety: a wrong one costs availability only.
 */
import { invariant } from "@holdfast/environment";
import { DEFAULT_SESSION_TIMING, type SessionTiming } from "@holdfast/net-reliable";
import { DEFAULT_QUORUM_TIMING, type QuorumTiming } from "@holdfast/quorum";

/** Times of a member, in milliseconds. */
export interface MemberTiming {
  readonly session: SessionTiming;
  readonly quorum: QuorumTiming;
  /** A new server waits so long for members to report their locks. */
  readonly recoveryMs: number;
  /** A server waits so long for a member whose connection broke. */
  readonly memberTimeoutMs: number;
  /** An idle server looks so often whether it was superseded. */
  readonly watchMs: number;
}

/** The defaults: a killed server is replaced, and its locks go on, within two seconds. */
export const DEFAULT_MEMBER_TIMING: MemberTiming = {
  session: DEFAULT_SESSION_TIMING,
  quorum: DEFAULT_QUORUM_TIMING,
  recoveryMs: 1000,
  memberTimeoutMs: 2000,
  watchMs: 200,
};

/**
 * Checks the inequality that keeps healthy members from being evicted (reference: scoutfs N18): a member notices a
 * dead server and comes back to the next one before that one gives it up.
 */
export function assertTiming(timing: MemberTiming): void {
  const { session, quorum, recoveryMs } = timing;
  invariant(
    session.peerTimeoutMs + session.reconnectMinMs < quorum.electionTimeoutMs + recoveryMs,
    "dead-peer detection and reconnect take less than election and recovery",
  );
}
