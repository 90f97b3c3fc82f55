/*
 * Datasets: named, ordered maps of the items of one volume, as users see them.
 *
 * Keys and values are bytes; text stands for its UTF-8. The catalog of datasets is itself a dataset, number 0.
 */
import {
  DatasetKeys,
  type ItemStore,
  datasetRange,
  prefixRange,
  type Transaction,
  userKeyBytes,
} from "@holdfast/item-store";
import { HoldfastError, utf8 } from "@holdfast/environment";
import { compareBytes, type Key, type KeyRange } from "@holdfast/wire-format";

/** A key or a value: bytes, or text that stands for its UTF-8. */
export type Bytes = Uint8Array | string;

/** One change in a batch: a value to put, or none to delete. */
export interface Change {
  readonly key: Bytes;
  /** Absent: the key is deleted. */
  readonly value?: Bytes;
}

/** One item of a scan. */
export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Which items a scan visits. */
export interface ScanOptions {
  /** First key, included. */
  readonly from?: Bytes;
  /** Last key, included. */
  readonly to?: Bytes;
  /** Only keys that begin with it. */
  readonly prefix?: Bytes;
  /** At most so many items. */
  readonly limit?: number;
  /** From the greatest key down. */
  readonly isReverse?: boolean;
  readonly signal?: AbortSignal;
}

/** What a transaction may do; see {@link Dataset.transaction}. */
export interface DatasetTransaction {
  get(key: Bytes): Promise<Uint8Array | undefined>;
  put(key: Bytes, value: Bytes): void;
  delete(key: Bytes): void;
}

/** A dataset that does not exist, or exists already. */
export class DatasetError extends HoldfastError<
  "ERR_HOLDFAST_DATASET_UNKNOWN" | "ERR_HOLDFAST_DATASET_EXISTS",
  { readonly dataset: string }
> {
  constructor(code: "ERR_HOLDFAST_DATASET_UNKNOWN" | "ERR_HOLDFAST_DATASET_EXISTS", dataset: string) {
    const isUnknown = code === "ERR_HOLDFAST_DATASET_UNKNOWN";
    super(
      code,
      isUnknown ? "usage" : "conflict",
      isUnknown
        ? `there is no dataset "${dataset}": create it first`
        : `there is a dataset "${dataset}" already`,
      { dataset },
    );
  }
}

/** Number of the catalog. */
export const CATALOG = 0n;

/** Number of the dataset that every volume has. */
export const MAIN_DATASET = 1n;

/** A named map of items. */
export class Dataset {
  readonly name: string;
  readonly #id: bigint;
  readonly #keys: DatasetKeys;
  readonly #store: ItemStore;

  constructor(store: ItemStore, name: string, id: bigint) {
    this.#store = store;
    this.name = name;
    this.#id = id;
    this.#keys = new DatasetKeys(id);
  }

  /**
   * The value of a key, undefined if there is none.
   *
   * @throws {@link KeyTooLongError} `ERR_HOLDFAST_KEY_TOO_LONG` when the key is empty or has more than 21 bytes.
   */
  get(key: Bytes, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#store.get(this.#keys.key(key), signal);
  }

  /** What {@link get} would give, if it can be told at once from what is cached here; undefined if not. */
  tryGet(key: Bytes): { readonly value: Uint8Array | undefined } | undefined {
    return this.#store.tryGet(this.#keys.key(key));
  }

  /** Puts one value; resolves when it is durable and no fail-over can lose it. */
  put(key: Bytes, value: Bytes, signal?: AbortSignal): Promise<void> {
    return this.batch([{ key, value }], signal);
  }

  /** Deletes one key; it need not exist. */
  delete(key: Bytes, signal?: AbortSignal): Promise<void> {
    return this.batch([{ key }], signal);
  }

  /** Makes all changes at once, or none. */
  batch(changes: readonly Change[], signal?: AbortSignal): Promise<void> {
    const operations = changes.map(({ key, value }) =>
      value === undefined
        ? { key: this.#keys.key(key) }
        : { key: this.#keys.key(key), value: bytesOf(value) },
    );
    return this.#store.transact(operations, signal);
  }

  /**
   * Runs `run` so that all it read and wrote happened at one moment. It may run several times: it has no effects
   * but those of its transaction.
   *
   * @throws {@link ConflictError} `ERR_HOLDFAST_CONFLICT` when others kept changing what it reads.
   */
  transaction<T>(run: (transaction: DatasetTransaction) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#store.transaction((inner: Transaction) => {
      const outer: DatasetTransaction = {
        get: (key) => inner.get(this.#keys.key(key)),
        put: (key, value) => inner.put(this.#keys.key(key), bytesOf(value)),
        delete: (key) => inner.del(this.#keys.key(key)),
      };
      return run(outer);
    }, signal);
  }

  /** Items in key order, page by page: fewer promises than {@link scan}. */
  async *pages(options: ScanOptions = {}): AsyncGenerator<readonly Entry[], void, void> {
    const range = this.#range(options);
    if (range === undefined) return;
    const { limit, isReverse, signal } = options;
    const settings = {
      ...(limit === undefined ? {} : { limit }),
      ...(isReverse === undefined ? {} : { isReverse }),
      ...(signal === undefined ? {} : { signal }),
    };
    for await (const page of this.#store.scan(range, settings)) {
      yield page.map(({ key, value }) => ({ key: userKeyBytes(key), value }));
    }
  }

  /** Items in key order. */
  async *scan(options: ScanOptions = {}): AsyncGenerator<Entry, void, void> {
    for await (const page of this.pages(options)) yield* page;
  }

  #range({ from, to, prefix }: ScanOptions): KeyRange | undefined {
    let { start, end } = datasetRange(this.#id);
    const narrow = (low: Key | undefined, high: Key | undefined): void => {
      if (low !== undefined && compareBytes(low, start) > 0) start = low;
      if (high !== undefined && compareBytes(high, end) < 0) end = high;
    };
    if (prefix !== undefined) {
      const named = prefixRange(this.#id, bytesOf(prefix));
      narrow(named.start, named.end);
    }
    if (from !== undefined) narrow(this.#keys.key(from), undefined);
    if (to !== undefined) narrow(undefined, this.#keys.key(to));
    return compareBytes(start, end) <= 0 ? { start, end } : undefined;
  }
}

function bytesOf(value: Bytes): Uint8Array {
  return typeof value === "string" ? utf8.encode(value) : value;
}
