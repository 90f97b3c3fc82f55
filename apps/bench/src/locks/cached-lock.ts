/*
 * A lock client that holds one lock, without a server: what a use of a cached lock costs.
 */
import { NO_BROKEN_RULES } from "@holdfast/environment";
import { LockClient } from "@holdfast/lock-client";
import { lockRange, type LockRange } from "@holdfast/lock-protocol";
import { FIRST_KEY } from "@holdfast/wire-format";

/** A lock that is granted for writing and stays so. */
export interface CachedLock {
  readonly client: LockClient;
  readonly range: LockRange;
}

/** Takes the machine to where a grant is cached. */
export function makeCachedLock(): CachedLock {
  const client = new LockClient({ idleLimit: 1, brokenRules: NO_BROKEN_RULES });
  const range = lockRange({ start: FIRST_KEY, end: FIRST_KEY });
  client.handle({ type: "acquire", waiter: 1, range, mode: "write" });
  client.handle({ type: "granted", range, mode: "write", writeSeq: 1n, term: 1n, manifestVersion: 0n });
  for (const effect of client.handle({ type: "settled", range }))
    if (effect.type === "admit") client.release(effect.lock, effect.mode);
  return { client, range };
}

/** Takes and releases the lock so often. */
export function useCachedLock({ client, range }: CachedLock, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const lock = client.take(range.id, "write");
    if (lock === undefined) throw new Error("the cached lock is gone");
    client.release(lock, "write");
  }
}
