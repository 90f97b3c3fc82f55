/*
 * Acknowledgements against evictions: once a committed record says that a member is evicted, no journal entry of it that
 * lands afterwards may be acknowledged. The server that replays the journal may have read it by then.
 */

/** Watches the journals of members that are evicted. */
export class LateEntries {
  /** Landings and commits, in their order. */
  #order = 0;
  /** When the last entry of a member landed. */
  readonly #landed: Map<bigint, number> = new Map();
  /** When the eviction of a member was committed. */
  readonly #evicted: Map<bigint, number> = new Map();

  /** An entry landed; true if its member was evicted before. */
  landed(rid: bigint): boolean {
    this.#order += 1;
    this.#landed.set(rid, this.#order);
    return this.#evicted.has(rid);
  }

  /** A committed record says that a member is evicted. */
  evicted(rid: bigint): void {
    if (this.#evicted.has(rid)) return;
    this.#order += 1;
    this.#evicted.set(rid, this.#order);
  }

  /** A member acknowledged a write, the last thing that its journal holds; returns a complaint, or undefined. */
  acknowledged(rid: bigint): string | undefined {
    const evictedAt = this.#evicted.get(rid);
    if (evictedAt === undefined || (this.#landed.get(rid) ?? 0) < evictedAt) return undefined;
    return `member ${rid} acknowledged a write that landed after its eviction was committed`;
  }
}
