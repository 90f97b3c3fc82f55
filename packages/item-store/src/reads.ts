/*
 * How one key is read, under a READ or WRITE lock that the caller holds until the value is there.
 *
 * Memtables, then the read cache, then the segments of the manifest. The first two and the manifest are looked at
 * with no await in between: a flush that ends moves items from a memtable to cache and manifest in one step, so
 * they are seen in one of them. After the await of a segment's read, memory is asked again, since a local commit may
 * have come in between.
 *
 * A stale segment means that the manifest is older than the reuse of its space: it is fetched again and the read starts
 * over. The same version twice is damage.
 */
import { StaleSegmentError } from "@holdfast/segment";
import type { Key } from "@holdfast/wire-format";
import { ManifestDamagedError } from "./errors.ts";
import { hashKey } from "./item-table.ts";
import type { CachedRange } from "./lock-ranges.ts";
import type { Memtables } from "./memtables.ts";
import type { StorePorts } from "./ports.ts";
import { type Lookup, type ReadCache, UNKNOWN } from "./read-cache.ts";
import type { SegmentLookup } from "./segment-lookup.ts";

/** Manifests that one read goes through before it gives up and lets its caller try again. */
const STALE_READS_MAX = 32;

/** Reads keys. */
export class Reads {
  readonly #ports: StorePorts;
  readonly #memtables: Memtables;
  readonly #cache: ReadCache;
  readonly #segments: SegmentLookup;

  constructor(ports: StorePorts, memtables: Memtables, cache: ReadCache, segments: SegmentLookup) {
    this.#ports = ports;
    this.#memtables = memtables;
    this.#cache = cache;
    this.#segments = segments;
  }

  /** What memory says of `key`, segments whose blocks are in memory included. */
  tryGet(key: Key, range: CachedRange): Lookup {
    const known = this.#remembered(key, range);
    if (known !== UNKNOWN) return known;
    const value = this.#segments.tryGet(key, this.#ports.manifest().view.sourcesFor(key));
    if (value !== UNKNOWN) this.#cache.add(key, value, range, this.#cache.stamp);
    return value;
  }

  /**
   * The value of `key`, undefined if it is absent.
   *
   * @throws {@link ManifestDamagedError} `ERR_HOLDFAST_MANIFEST_DAMAGED`; {@link DeviceError}.
   */
  async get(key: Key, range: CachedRange): Promise<Uint8Array | undefined> {
    const retry = new StaleRetry(this.#ports, this.#segments);
    for (;;) {
      const known = this.tryGet(key, range);
      if (known !== UNKNOWN) return known;
      const stamp = this.#cache.stamp;
      const { version, view } = this.#ports.manifest();
      try {
        const value = await this.#segments.get(key, view.sourcesFor(key));
        const newer = this.#remembered(key, range);
        if (newer !== UNKNOWN) return newer;
        this.#cache.add(key, value, range, stamp);
        return value;
      } catch (error) {
        await retry.after(error, version);
      }
    }
  }

  #remembered(key: Key, range: CachedRange): Lookup {
    const hash = hashKey(key);
    const fresh = this.#memtables.find(key, hash);
    return fresh === UNKNOWN ? this.#cache.find(key, range, hash) : fresh;
  }
}

/** Decides about one read that met stale segments. */
export class StaleRetry {
  readonly #ports: StorePorts;
  readonly #segments: SegmentLookup;
  #staleVersion: bigint | undefined;
  #count = 0;

  constructor(ports: StorePorts, segments: SegmentLookup) {
    this.#ports = ports;
    this.#segments = segments;
  }

  /**
   * Fetches a newer manifest after `error` met a read through the manifest of `version`; throws what is no such case.
   *
   * @throws {@link ManifestDamagedError} `ERR_HOLDFAST_MANIFEST_DAMAGED` when that version is still the newest.
   */
  async after(error: unknown, version: bigint): Promise<void> {
    if (!(error instanceof StaleSegmentError) || this.#count >= STALE_READS_MAX) throw error;
    if (this.#staleVersion === version) throw new ManifestDamagedError(version, { cause: error });
    this.#count += 1;
    this.#staleVersion = version;
    this.#segments.forget();
    await this.#ports.refreshManifest();
  }
}
