/*
 * What a term's server said last, for a member that has to know quickly: is it evicted, has the term been resigned?
 *
 * Both copies are read at once, and the newest record counts: a write of one copy that the device lost or put elsewhere, or a
 * read that shows what stood there before, must not hide an eviction from who is about to acknowledge a write.
 */
import { type BlocksRead, type NextId, type ReadBlocks, SlotReading } from "./block-reading.ts";
import type { CommitRecord } from "./record.ts";
import { type QuorumRegion, recordBlock } from "./region.ts";
import type { SlotState } from "./slot.ts";

/** Reads the newest readable record of one term: one read when nothing is damaged. */
export class TermRecordReading {
  readonly #copies: readonly bigint[];
  readonly #reading: SlotReading;
  #record: CommitRecord | undefined;
  #isDamaged = true;

  constructor(region: QuorumRegion, nextId: NextId, term: bigint) {
    this.#copies = [recordBlock(region, term, 0), recordBlock(region, term, 1)];
    const ranges = this.#copies.map((address) => ({ address, count: 2 }));
    this.#reading = new SlotReading(region, nextId, ranges);
  }

  /** The read that is wanted first. */
  get request(): ReadBlocks {
    return this.#reading.request;
  }

  /** The newest record that could be read; only after {@link accept} returned undefined. */
  get record(): CommitRecord | undefined {
    return this.#record;
  }

  /** True if neither copy of a half is sound: {@link record} may be older than what stood there. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** Takes an answer; returns the next read, or undefined when {@link record} is known. */
  accept(event: BlocksRead): ReadBlocks | undefined {
    const again = this.#reading.accept(event);
    if (again !== undefined) return again;
    this.#isDamaged = false;
    for (const half of [0n, 1n]) {
      const slots = this.#copies.map((address) => this.#reading.at(address + half));
      if (!slots.some(isSound)) this.#isDamaged = true;
      for (const slot of slots) this.#take(slot);
    }
    return undefined;
  }

  #take(slot: SlotState): void {
    const isWritten = slot.state === "record" || slot.state === "misplaced";
    if (isWritten && (this.#record === undefined || slot.record.seq > this.#record.seq))
      this.#record = slot.record;
  }
}

function isSound({ state }: SlotState): boolean {
  return state === "record" || state === "pristine";
}
