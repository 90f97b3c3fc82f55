import type { Hint } from "./hint.ts";

/** How the voters other than this one see the server. */
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
  /** When a hint of this voter was first seen. */
  readonly seenAt: number;
  /** True: an earlier hint said that it serves. */
  readonly hasServed: boolean;
}

/**
 * What other voters' hints said, and when they were seen to change.
 *
 * A hint is fresh when its counter changed between two readings of ours, or it was not there at the one just before, not long
 * ago by our clock: so the leftovers of dead voters never count, and no foreign clock matters. Holds at most one entry per block of the hints.
 */
export class Sightings {
  readonly #freshMs: number;
  #byRid: Map<bigint, Sighting> = new Map();
  #ceasedTerm = 0n;
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param freshMs - How long a change counts, in milliseconds. */
  constructor(freshMs: number) {
    this.#freshMs = freshMs;
  }

  /** The highest term whose server was seen to serve and then said that it does not any more; 0: none. */
  get ceasedTerm(): bigint {
    return this.#ceasedTerm;
  }

  /** Takes all hints of one reading. */
  update(hints: readonly Hint[], now: number): void {
    const newest = new Map<bigint, Hint>();
    for (const hint of hints) {
      const other = newest.get(hint.rid);
      if (other === undefined || other.counter < hint.counter) newest.set(hint.rid, hint);
    }
    const next = new Map<bigint, Sighting>();
    for (const [rid, hint] of newest) next.set(rid, this.#merge(this.#byRid.get(rid), hint, now));
    // One that vanished between two readings was overwritten; it is remembered as long as it is fresh.
    for (const [rid, sighting] of this.#byRid)
      if (!next.has(rid) && this.#isFresh(sighting, now)) next.set(rid, sighting);
    this.#byRid = next;
    this.#readAt = now;
  }

  /**
   * Counts the fresh voters.
   *
   * @param overTerm - Servers up to this term are over for certain (0: none), so nobody reaches them, whatever an older hint
   *   says; and who says that this term's is out of reach says so for the first time, so its word is fresh.
   */
  count(now: number, overTerm: bigint): SightingCount {
    let [reaching, silent] = [0, 0];
    for (const sighting of this.#byRid.values()) {
      const { hint, seenAt } = sighting;
      const isOver = overTerm > 0n && hint.term <= overTerm;
      const isNews = isOver && hint.term === overTerm && !hint.reachesServer && now - seenAt < this.#freshMs;
      if (!isNews && !this.#isFresh(sighting, now)) continue;
      // A server that is over may be dead; if it lives on as a voter, its next hint says so.
      if (isOver && hint.isServing) continue;
      if (!isOver && (hint.reachesServer || hint.isServing)) reaching += 1;
      else silent += 1;
    }
    return { reaching, silent };
  }

  /** True when a voter with a smaller rid knew the server of this term, and is not that server: it goes first. */
  hasElder(rid: bigint, term: bigint): boolean {
    for (const { hint, hasServed } of this.#byRid.values())
      if (hint.rid < rid && hint.term === term && !hint.isServing && !hasServed) return true;
    return false;
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

  /** When the hint of the server of this term was last seen to have changed; undefined: it was not. */
  servingAt(term: bigint): number | undefined {
    for (const { hint, changedAt } of this.#byRid.values())
      if (hint.isServing && hint.term === term) return changedAt;
    return undefined;
  }

  #merge(before: Sighting | undefined, hint: Hint, now: number): Sighting {
    if (before === undefined) {
      const hasAppeared = now - this.#readAt < this.#freshMs;
      return { hint, changedAt: hasAppeared ? now : undefined, seenAt: now, hasServed: false };
    }
    // The newest of its hints was overwritten and an older one shows: not news.
    if (hint.counter <= before.hint.counter) return before;
    if (before.hint.isServing && !hint.isServing && before.hint.term > this.#ceasedTerm)
      this.#ceasedTerm = before.hint.term;
    const hasServed = before.hasServed || before.hint.isServing;
    return { hint, changedAt: now, seenAt: before.seenAt, hasServed };
  }

  #isFresh(sighting: Sighting, now: number): boolean {
    return sighting.changedAt !== undefined && now - sighting.changedAt < this.#freshMs;
  }
}
