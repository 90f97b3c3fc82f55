/*
 * The catalog: which datasets a volume has, kept as items of dataset 0 so that it is as safe as they are.
 */
import type { ItemStore } from "@holdfast/item-store";
import { utf8 } from "@holdfast/environment";
import { type StructCodec, struct, u64 } from "@holdfast/wire-format";
import { CATALOG, Dataset, DatasetError, MAIN_DATASET } from "./dataset.ts";

/** What the catalog keeps of a dataset. */
export interface CatalogEntry {
  /** Number of the dataset, never given twice. */
  readonly id: bigint;
}

/** Layout of a catalog entry. */
export const CatalogEntry: StructCodec<CatalogEntry> = struct("CatalogEntry", { id: u64 });

/** Name of the dataset that every volume has. */
export const MAIN_DATASET_NAME = "main";

/** Holds the next number; no dataset can have this name, since names are text without control characters. */
const NEXT_KEY: Uint8Array = new Uint8Array([0]);

/** Names of datasets: what is easy to type and to read; 21 bytes are the longest key. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/;

/** Finds, lists and creates datasets. */
export class Catalog {
  readonly #store: ItemStore;
  readonly #items: Dataset;

  constructor(store: ItemStore) {
    this.#store = store;
    this.#items = new Dataset(store, "", CATALOG);
  }

  /**
   * An existing dataset.
   *
   * @throws {@link DatasetError} `ERR_HOLDFAST_DATASET_UNKNOWN`.
   */
  async open(name: string, signal?: AbortSignal): Promise<Dataset> {
    if (name === MAIN_DATASET_NAME) return new Dataset(this.#store, name, MAIN_DATASET);
    const entry = NAME.test(name) ? await this.#items.get(name, signal) : undefined;
    if (entry === undefined) throw new DatasetError("ERR_HOLDFAST_DATASET_UNKNOWN", name);
    return new Dataset(this.#store, name, CatalogEntry.decode(entry).id);
  }

  /**
   * A new dataset.
   *
   * @throws {@link DatasetError} `ERR_HOLDFAST_DATASET_EXISTS`.
   * @throws RangeError when the name is not 1 to 21 letters, digits, dots, dashes and underscores.
   */
  async create(name: string, signal?: AbortSignal): Promise<Dataset> {
    if (!NAME.test(name)) {
      throw new RangeError(
        `"${name}" cannot name a dataset: 1 to 21 letters, digits, dots, dashes and underscores can`,
      );
    }
    if (name === MAIN_DATASET_NAME) throw new DatasetError("ERR_HOLDFAST_DATASET_EXISTS", name);
    const id = await this.#items.transaction(async (transaction) => {
      if ((await transaction.get(name)) !== undefined)
        throw new DatasetError("ERR_HOLDFAST_DATASET_EXISTS", name);
      const next = await transaction.get(NEXT_KEY);
      const given = next === undefined ? MAIN_DATASET + 1n : CatalogEntry.decode(next).id;
      transaction.put(NEXT_KEY, CatalogEntry.encode({ id: given + 1n }));
      transaction.put(name, CatalogEntry.encode({ id: given }));
      return given;
    }, signal);
    return new Dataset(this.#store, name, id);
  }

  /** Names of all datasets, in order. */
  async list(signal?: AbortSignal): Promise<readonly string[]> {
    const names = [MAIN_DATASET_NAME];
    for await (const { key } of this.#items.scan(signal === undefined ? {} : { signal })) {
      if (key.length !== 1 || key[0] !== 0) names.push(utf8.decode(key));
    }
    return names.sort();
  }
}
