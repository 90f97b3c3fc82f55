/*
 * Puts a stream of items into a dataset: in batches, several at a time, and so that of two items with one key the
 * later one stays. Batches under way are not ordered among each other, hence a key that is under way waits.
 */
import type { Access } from "../access.ts";
import type { ImportedChange } from "./record-format.ts";

/** Batches under way at a time: the journal writes of several go together. */
const BATCHES_IN_FLIGHT = 4;

/** Bytes of one batch: well below the greatest message. */
const BATCH_BYTES_MAX = 512 * 1024;

/** Bytes that an item takes besides its key and value, at most. */
const ITEM_OVERHEAD_BYTES = 64;

/** Imports into one dataset. */
export class Importer {
  readonly #access: Access;
  readonly #dataset: string;
  readonly #batchCount: number;
  readonly #flying: Set<Promise<void>> = new Set();
  readonly #keysUnderWay: Set<string> = new Set();
  #batch: ImportedChange[] = [];
  #batchBytes = 0;
  #acknowledgedCount = 0;
  readonly #failures: unknown[] = [];

  /** @param batchCount - Items in one transaction, at most. */
  constructor(access: Access, dataset: string, batchCount: number) {
    this.#access = access;
    this.#dataset = dataset;
    this.#batchCount = batchCount;
  }

  /** Items that are durable. */
  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /** Takes an item; wait for the promise, if there is one, before the next. @throws what a batch failed with. */
  add(change: ImportedChange): Promise<void> | undefined {
    const bytes = change.key.length + change.value.length + ITEM_OVERHEAD_BYTES;
    const isFull = this.#batch.length >= this.#batchCount || this.#batchBytes + bytes > BATCH_BYTES_MAX;
    const key = change.key.toString("latin1");
    if (!isFull && !this.#keysUnderWay.has(key)) return this.#take(change, key, bytes);
    return this.#addSlowly(change, key, bytes);
  }

  /** Resolves when all that was taken is durable. @throws what a batch failed with; the others are done then. */
  async finish(): Promise<void> {
    this.#send();
    await this.settle();
  }

  /** Resolves when all that was sent is durable; what is gathered is not sent. @throws as {@link finish}. */
  async settle(): Promise<void> {
    await Promise.all(this.#flying);
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async #addSlowly(change: ImportedChange, key: string, bytes: number): Promise<void> {
    if (this.#keysUnderWay.has(key)) await this.finish();
    else this.#send();
    if (this.#flying.size >= BATCHES_IN_FLIGHT) await Promise.race(this.#flying);
    if (this.#failures.length > 0) throw this.#failures[0];
    this.#take(change, key, bytes);
  }

  #take(change: ImportedChange, key: string, bytes: number): undefined {
    this.#keysUnderWay.add(key);
    this.#batch.push(change);
    this.#batchBytes += bytes;
    return undefined;
  }

  #send(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    [this.#batch, this.#batchBytes] = [[], 0];
    const flight = this.#access
      .batch(this.#dataset, batch)
      .then(
        () => {
          this.#acknowledgedCount += batch.length;
        },
        (error: unknown) => {
          this.#failures.push(error);
        },
      )
      .finally(() => {
        this.#flying.delete(flight);
        for (const { key } of batch) this.#keysUnderWay.delete(key.toString("latin1"));
      });
    this.#flying.add(flight);
  }
}
