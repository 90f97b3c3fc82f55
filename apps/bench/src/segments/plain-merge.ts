/*
 * The yardstick of the merge: what one writes without thinking about speed, `Buffer.compare` on objects, and no file.
 */
import type { Run } from "./runs.ts";

/** Merges runs into one buffer of keys and values. */
export function mergePlainly(runs: readonly Run[]): Buffer {
  const sizeBytes = runs.reduce((sum, { keys, values }) => sum + sizeOf(keys) + sizeOf(values), 0);
  const out = Buffer.allocUnsafe(sizeBytes);
  const places = runs.map(() => 0);
  let end = 0;
  for (let index = firstOf(runs, places); index >= 0; index = firstOf(runs, places)) {
    const place = places[index] as number;
    const { keys, values } = runs[index] as Run;
    for (const part of [keys[place], values[place]]) {
      if (part === undefined) throw new RangeError("a run has as many values as keys");
      out.set(part, end);
      end += part.length;
    }
    places[index] = place + 1;
  }
  return out;
}

/** The run whose next key comes first; −1 when all are at their end. */
function firstOf(runs: readonly Run[], places: readonly number[]): number {
  let best = -1;
  let bestKey: Uint8Array | undefined;
  for (const [index, { keys }] of runs.entries()) {
    const key = keys[places[index] as number];
    if (key === undefined || (bestKey !== undefined && Buffer.compare(key, bestKey) >= 0)) continue;
    [best, bestKey] = [index, key];
  }
  return best;
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
