/*
 * The stores under measurement, behind one face. Each method is the shortest way that the store itself offers.
 */
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { type Dataset, makeVolume, openVolume, type Volume } from "holdfast";
import type { Item } from "./workload.ts";

/** A store that is measured. */
export interface MeasuredStore {
  /** Durable when it resolves. */
  putBatch(items: readonly Item[]): Promise<void>;
  /** Durable when it resolves. */
  put(item: Item): Promise<void>;
  get(key: Buffer): Promise<Uint8Array | undefined>;
  /** The same at once. @throws Error when the store would have to wait for it. */
  getNow(key: Buffer): Uint8Array | undefined;
  /** Walks over everything by pages of about a thousand items; resolves with their number. */
  countByPages(): Promise<number>;
  /** Walks over everything item by item; resolves with their number. */
  countByItems(): Promise<number>;
  close(): Promise<void>;
}

/** Makes an empty store below a directory. */
export type OpenStore = (directory: string) => Promise<MeasuredStore>;

/** Bytes of the caches, ours by default and the peer's by our choice: what is read is all in memory in both. */
const CACHE_BYTES = 64 * 1024 * 1024;

const PAGE_ITEMS = 1000;

/** A volume on a file with one member. */
export function openHoldfast(volumeBytes: bigint): OpenStore {
  return async (directory) => {
    const url = join(directory, "volume.hf");
    await makeVolume(url, { sizeBytes: volumeBytes });
    const volume = await openVolume(url);
    return new HoldfastStore(volume, await volume.dataset());
  };
}

/** LevelDB through classic-level. */
export async function openClassicLevel(directory: string): Promise<MeasuredStore> {
  const database = new ClassicLevel<Buffer, Buffer>(join(directory, "level"), {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
    cacheSize: CACHE_BYTES,
  });
  await database.open();
  return new LevelStore(database);
}

class HoldfastStore implements MeasuredStore {
  readonly #volume: Volume;
  readonly #dataset: Dataset;

  constructor(volume: Volume, dataset: Dataset) {
    this.#volume = volume;
    this.#dataset = dataset;
  }

  putBatch(items: readonly Item[]): Promise<void> {
    return this.#dataset.batch(items);
  }

  put({ key, value }: Item): Promise<void> {
    return this.#dataset.put(key, value);
  }

  get(key: Buffer): Promise<Uint8Array | undefined> {
    return this.#dataset.get(key);
  }

  getNow(key: Buffer): Uint8Array | undefined {
    return this.#dataset.tryGet(key)?.value;
  }

  async countByPages(): Promise<number> {
    let count = 0;
    for await (const page of this.#dataset.pages()) count += page.length;
    return count;
  }

  async countByItems(): Promise<number> {
    let count = 0;
    for await (const entry of this.#dataset.scan()) if (entry.key.length > 0) count += 1;
    return count;
  }

  close(): Promise<void> {
    return this.#volume.close();
  }
}

class LevelStore implements MeasuredStore {
  readonly #database: ClassicLevel<Buffer, Buffer>;

  constructor(database: ClassicLevel<Buffer, Buffer>) {
    this.#database = database;
  }

  putBatch(items: readonly Item[]): Promise<void> {
    const operations = items.map(({ key, value }) => ({ type: "put" as const, key, value }));
    return this.#database.batch(operations, { sync: true });
  }

  put({ key, value }: Item): Promise<void> {
    return this.#database.put(key, value, { sync: true });
  }

  get(key: Buffer): Promise<Uint8Array | undefined> {
    return this.#database.get(key);
  }

  getNow(key: Buffer): Uint8Array | undefined {
    return this.#database.getSync(key);
  }

  async countByPages(): Promise<number> {
    const iterator = this.#database.iterator();
    try {
      for (let count = 0; ;) {
        const page = await iterator.nextv(PAGE_ITEMS);
        if (page.length === 0) return count;
        count += page.length;
      }
    } finally {
      await iterator.close();
    }
  }

  async countByItems(): Promise<number> {
    let count = 0;
    for await (const [key] of this.#database.iterator()) if (key.length > 0) count += 1;
    return count;
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
