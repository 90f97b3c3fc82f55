import type { Hint } from "./hint.ts";

/** How the fresh voters other than this one see the server. */
export interface SightingCount {
  /** They reach a server, or are it. */
  readonly reaching: number;
  /** They do not. */
  readonly silent: number;
}

interface Sighting {
  readonly hint: Hint;
  /** When the counter was seen to have changed; undefined: not yet. */
  readonly changedAt: number | undefined;
}

/**
 * What other voters' hints said, and when they were seen to change.
 *
 * A hint is fresh when its counter changed between two readings of ours, not long ago by our clock: so the leftovers of dead
 * voters never count, and no foreign clock matters. Holds at most one entry per block of the hints.
 */
export class Sightings {
  readonly #freshMs: number;
  #byRid: Map<bigint, Sighting> = new Map();

  /** @param freshMs - How long a change counts, in milliseconds. */
  constructor(freshMs: number) {
    this.#freshMs = freshMs;
  }

  /** Takes all hints of one reading. */
  update(hints: readonly Hint[], now: number): void {
    const newest = new Map<bigint, Hint>();
    for (const hint of hints) {
      const other = newest.get(hint.rid);
      if (other === undefined || other.counter < hint.counter) newest.set(hint.rid, hint);
    }
    const next = new Map<bigint, Sighting>();
    for (const [rid, hint] of newest) {
      const before = this.#byRid.get(rid);
      next.set(rid, merge(before, hint, now));
    }
    // One that vanished between two readings was overwritten; it is remembered as long as it is fresh.
    for (const [rid, sighting] of this.#byRid)
      if (!next.has(rid) && this.#isFresh(sighting, now)) next.set(rid, sighting);
    this.#byRid = next;
  }

  /** Counts the fresh voters. */
  count(now: number): SightingCount {
    let [reaching, silent] = [0, 0];
    for (const sighting of this.#byRid.values()) {
      if (!this.#isFresh(sighting, now)) continue;
      if (sighting.hint.reachesServer || sighting.hint.isServing) reaching += 1;
      else silent += 1;
    }
    return { reaching, silent };
  }

  /** The highest term that a hint of a server names; stale hints count only with `withStale`. */
  servedTerm(options: { readonly now: number; readonly withStale: boolean }): bigint {
    let term = 0n;
    for (const sighting of this.#byRid.values()) {
      const isCounted =
        sighting.hint.isServing && (options.withStale || this.#isFresh(sighting, options.now));
      if (isCounted && sighting.hint.term > term) term = sighting.hint.term;
    }
    return term;
  }

  #isFresh(sighting: Sighting, now: number): boolean {
    return sighting.changedAt !== undefined && now - sighting.changedAt < this.#freshMs;
  }
}

function merge(before: Sighting | undefined, hint: Hint, now: number): Sighting {
  if (before === undefined) return { hint, changedAt: undefined };
  // The newest of its hints was overwritten and an older one shows: not news.
  if (hint.counter <= before.hint.counter) return before;
  return { hint, changedAt: now };
}
