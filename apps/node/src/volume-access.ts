import type {
  Change,
  Dataset,
  Entry,
  StatusReply,
  TuneRequest,
  FenceReply,
  FenceRequest,
} from "@holdfast/member";
import type { Access, AccessScan } from "./access.ts";
import type { Volume } from "./open-volume.ts";

/** Access to a volume that this process is a member of. */
export class VolumeAccess implements Access {
  readonly via = "own membership" as const;
  readonly #volume: Volume;
  readonly #datasets: Map<string, Promise<Dataset>> = new Map();

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  async get(dataset: string, key: string): Promise<Uint8Array | undefined> {
    return (await this.#open(dataset)).get(key);
  }

  async batch(dataset: string, changes: readonly Change[]): Promise<void> {
    return (await this.#open(dataset)).batch(changes);
  }

  async *pages(dataset: string, scan: AccessScan): AsyncGenerator<readonly Entry[], void, void> {
    yield* (await this.#open(dataset)).pages(scan);
  }

  datasets(): Promise<readonly string[]> {
    return this.#volume.datasets();
  }

  async createDataset(name: string): Promise<void> {
    await this.#volume.createDataset(name);
  }

  status(): Promise<StatusReply> {
    return this.#volume.status();
  }

  fence({ rid, ...options }: FenceRequest): Promise<FenceReply> {
    return this.#volume.fence(rid, options);
  }

  tune(change: TuneRequest): Promise<void> {
    return this.#volume.tune(change);
  }

  close(): Promise<void> {
    return this.#volume.close();
  }

  #open(name: string): Promise<Dataset> {
    const known = this.#datasets.get(name);
    if (known !== undefined) return known;
    const opening = this.#volume.dataset(name);
    this.#datasets.set(name, opening);
    // A name that is unknown now may be created later.
    opening.catch(() => this.#datasets.delete(name));
    return opening;
  }
}
