import { setTimeout as sleep } from "node:timers/promises";

/** Far more than anything takes that goes on at all, on a machine that has other things to do. */
export const PATIENCE_MS = 60_000;

/** Between two looks. */
const LOOK_MS = 20;

/**
 * Resolves with what `look` gives once that is not `undefined` or `false`.
 *
 * @throws Error that says `what` was waited for, after `patienceMs`.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > deadlineMs) throw new Error(`waited ${patienceMs} ms in vain: ${what}`);
    await sleep(LOOK_MS);
  }
}
