/*
 * What a term's server said last, for a member that has to know quickly: is it evicted, has the term been resigned?
 *
 * Copy 0 is written first, so it is never older than copy 1; copy 1 is asked only where copy 0 cannot be read.
 */
import { type BlocksRead, type NextId, type ReadBlocks, SlotReading } from "./block-reading.ts";
import type { CommitRecord } from "./record.ts";
import { type QuorumRegion, type RecordCopy, recordBlock } from "./region.ts";

/** Reads the newest readable record of one term: one read when nothing is damaged. */
export class TermRecordReading {
  readonly #region: QuorumRegion;
  readonly #term: bigint;
  readonly #nextId: NextId;
  #copy: RecordCopy = 0;
  #reading: SlotReading;
  #record: CommitRecord | undefined;
  /** Halves of which no copy read so far is sound. */
  #damaged: readonly bigint[] = [0n, 1n];

  constructor(region: QuorumRegion, nextId: NextId, term: bigint) {
    this.#region = region;
    this.#term = term;
    this.#nextId = nextId;
    this.#reading = this.#readCopy();
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
    return this.#damaged.length > 0;
  }

  /** Takes an answer; returns the next read, or undefined when {@link record} is known. */
  accept(event: BlocksRead): ReadBlocks | undefined {
    const again = this.#reading.accept(event);
    if (again !== undefined) return again;
    const address = recordBlock(this.#region, this.#term, this.#copy);
    const damaged: bigint[] = [];
    for (const half of [0n, 1n]) {
      const slot = this.#reading.at(address + half);
      const isWritten = slot.state === "record" || slot.state === "misplaced";
      if (slot.state === "unreadable" || slot.state === "misplaced") damaged.push(half);
      if (isWritten && (this.#record === undefined || slot.record.seq > this.#record.seq))
        this.#record = slot.record;
    }
    this.#damaged = this.#damaged.filter((half) => damaged.includes(half));
    if (!this.isDamaged || this.#copy === 1) return undefined;
    this.#copy = 1;
    this.#reading = this.#readCopy();
    return this.#reading.request;
  }

  #readCopy(): SlotReading {
    const address = recordBlock(this.#region, this.#term, this.#copy);
    return new SlotReading(this.#region, this.#nextId, [{ address, count: 2 }]);
  }
}
