/*
 * A lock client in a known state, and short words for its events.
 */
import { type LockMode, LockRange } from "@holdfast/lock-protocol";
import { FIRST_KEY, KEY_BYTES, LAST_KEY } from "@holdfast/wire-format";
import { LockClient, type LockClientEffect, type LockState } from "../src/index.ts";

/** The term of the first server. */
export const TERM = 3n;

/** The lock that most tests use. */
export const range: LockRange = rangeOf(10, 19);

export function newClient(idleLimit = 100, brokenRules: ReadonlySet<string> = new Set()): LockClient {
  const client = new LockClient({ idleLimit, brokenRules });
  client.handle({ type: "new-server", term: TERM });
  return client;
}

export function holding(
  mode: "read" | "write",
  brokenRules?: ReadonlySet<string>,
  idleLimit?: number,
): LockClient {
  const client = newClient(idleLimit, brokenRules);
  hold(client, range, mode);
  return client;
}

/** Has the client hold a lock that nobody uses. */
export function hold(client: LockClient, of: LockRange, mode: "read" | "write"): void {
  acquire(client, 0, mode, of);
  client.handle({ type: "cancel", waiter: 0, range: of });
  granted(client, mode, TERM, of);
  client.handle({ type: "settled", range: of });
}

export function taken(client: LockClient, mode: "read" | "write"): LockState {
  const lock = client.take(range.id, mode);
  if (lock === undefined) throw new Error("the lock is not cached");
  return lock;
}

export function acquire(
  client: LockClient,
  waiter: number,
  mode: "read" | "write",
  of: LockRange = range,
): readonly LockClientEffect[] {
  return client.handle({ type: "acquire", waiter, range: of, mode });
}

export function granted(
  client: LockClient,
  mode: LockMode,
  term: bigint = TERM,
  of: LockRange = range,
): readonly LockClientEffect[] {
  return client.handle({ type: "granted", range: of, mode, writeSeq: 100n, term, manifestVersion: 40n });
}

export function settled(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "settled", range });
}

export function invalidate(
  client: LockClient,
  invalidation: number,
  to: LockMode,
  term: bigint = TERM,
): readonly LockClientEffect[] {
  return client.handle({ type: "invalidate", invalidation, id: range.id, to, term });
}

export function flushed(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "flushed", range });
}

export function newServer(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "new-server", term: TERM + 1n });
}

export function request(mode: LockMode, held: LockMode): LockClientEffect {
  return { type: "request", range, mode, held };
}

export function rangeOf(start: number, end: number): LockRange {
  const first = FIRST_KEY.slice();
  const last = LAST_KEY.slice(0, KEY_BYTES);
  first[0] = start;
  last[0] = end;
  return new LockRange({ start: first, end: last });
}
