/*
 * Acknowledgements against evictions: once a committed record says that a member is evicted, no journal entry of it that
 * lands afterwards may be acknowledged. The server that replays the journal may have read it by then.
 *
 * A process that did not hear that it had joined, and was evicted meanwhile, asks once more and joins anew: under another
 * number, with another journal. What it writes from then on is that membership's.
 */

interface Eviction {
  /** The member's number when it was evicted. */
  readonly number: number;
  readonly order: number;
  /** When the same process was a member again, under another number. */
  rejoinedOrder: number;
}

/** Watches the journals of members that are evicted. */
export class LateEntries {
  /** Landings and commits, in their order. */
  #order = 0;
  /** When the last entry of a member landed. */
  readonly #landed: Map<bigint, number> = new Map();
  /** When the last eviction of a member was committed. */
  readonly #evictions: Map<bigint, Eviction> = new Map();

  /** An entry landed; true if its member was evicted before. */
  landed(rid: bigint): boolean {
    this.#order += 1;
    this.#landed.set(rid, this.#order);
    return this.#isLate(rid);
  }

  /** A committed record says that a member is evicted. */
  evicted(rid: bigint, number: number): void {
    if (this.#evictions.get(rid)?.number === number) return;
    this.#order += 1;
    this.#evictions.set(rid, { number, order: this.#order, rejoinedOrder: Number.POSITIVE_INFINITY });
  }

  /** A committed record says that a member lives. */
  lives(rid: bigint, number: number): void {
    const eviction = this.#evictions.get(rid);
    if (eviction === undefined || eviction.number === number) return;
    if (eviction.rejoinedOrder < Number.POSITIVE_INFINITY) return;
    this.#order += 1;
    eviction.rejoinedOrder = this.#order;
  }

  /** A member acknowledged a write, the last thing that its journal holds; returns a complaint, or undefined. */
  acknowledged(rid: bigint): string | undefined {
    if (!this.#isLate(rid)) return undefined;
    return `member ${rid} acknowledged a write that landed after its eviction was committed`;
  }

  /** True if the last entry of a member landed while it was evicted. */
  #isLate(rid: bigint): boolean {
    const eviction = this.#evictions.get(rid);
    const landed = this.#landed.get(rid) ?? 0;
    return eviction !== undefined && landed > eviction.order && landed < eviction.rejoinedOrder;
  }
}
