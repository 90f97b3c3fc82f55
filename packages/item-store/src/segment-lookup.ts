/*
 * Looks keys up in the segments of a manifest.
 *
 * Level 0 first: its segments overlap, so the greatest `seq` of all of them wins, of equal ones the newer segment. What
 * level 0 does not have, the deeper levels answer, each newer than the next. Open readers are kept, least recently
 * opened ones dropped; their data blocks share one cache.
 */
import type { BlockDevice } from "@holdfast/environment";
import {
  BlockCache,
  type ItemCursor,
  KeyProbe,
  type SegmentItem,
  SegmentReader,
  type SegmentRef,
  concatenateCursors,
} from "@holdfast/segment";
import type { Key, KeyRange } from "@holdfast/wire-format";
import { type Lookup, UNKNOWN } from "./read-cache.ts";

/** Segments kept open: their indexes and filters take about 70 KiB each, so 35 MiB at most. */
export const OPEN_SEGMENTS_MAX = 512;

/** Reads from segments; one for a store. */
export class SegmentLookup {
  readonly #device: BlockDevice;
  readonly #fsid: bigint;
  readonly #cache: BlockCache;
  readonly #opened: Map<bigint, SegmentReader> = new Map();
  readonly #opening: Map<bigint, Promise<SegmentReader>> = new Map();
  readonly #probe: KeyProbe = new KeyProbe();

  /** @param blockCacheBytes - Limit of the data blocks kept in memory. */
  constructor(device: BlockDevice, fsid: bigint, blockCacheBytes: number) {
    this.#device = device;
    this.#fsid = fsid;
    this.#cache = new BlockCache(blockCacheBytes);
  }

  /** Looks `key` up in `sources`, newest first, without I/O; {@link UNKNOWN} if that takes some. */
  tryGet(key: Key, sources: readonly SegmentRef[]): Lookup {
    this.#probe.set(key);
    let best: SegmentItem | undefined;
    for (const ref of sources) {
      if (best !== undefined && ref.level > 0) break;
      if (best !== undefined && ref.seqMax <= best.seq) continue;
      const item = this.#opened.get(ref.id)?.tryGet(this.#probe) ?? "unread";
      if (item === "unread") return UNKNOWN;
      if (item !== "absent" && (best === undefined || item.seq > best.seq)) best = item;
    }
    return best?.value;
  }

  /**
   * Looks `key` up in `sources`, newest first.
   *
   * @throws {@link StaleSegmentError} `ERR_HOLDFAST_SEGMENT_STALE` when the manifest is out of date.
   */
  async get(key: Key, sources: readonly SegmentRef[]): Promise<Uint8Array | undefined> {
    let best: SegmentItem | undefined;
    for (const ref of sources) {
      if (best !== undefined && ref.level > 0) break;
      if (best !== undefined && ref.seqMax <= best.seq) continue;
      const reader = await this.#reader(ref);
      const item = await reader.get(key);
      if (item !== undefined && (best === undefined || item.seq > best.seq)) best = item;
    }
    return best?.value;
  }

  /**
   * Cursors over `range`, newest source first: one for each segment of level 0, one for each deeper level, which opens
   * its segments only when the walk reaches them.
   */
  async cursors(
    sources: readonly SegmentRef[],
    range: KeyRange,
    isReverse: boolean,
  ): Promise<readonly ItemCursor[]> {
    const cursors: ItemCursor[] = [];
    const levels = new Map<number, SegmentRef[]>();
    for (const ref of sources) {
      if (ref.level === 0) cursors.push((await this.#reader(ref)).cursor(range, isReverse));
      else levels.set(ref.level, [...(levels.get(ref.level) ?? []), ref]);
    }
    for (const level of [...levels.keys()].sort((a, b) => a - b)) {
      const refs = levels.get(level) ?? [];
      if (isReverse) refs.reverse();
      const open = refs.map((ref) => async () => (await this.#reader(ref)).cursor(range, isReverse));
      cursors.push(concatenateCursors(open));
    }
    return cursors;
  }

  /** Forgets everything read so far: something of it was stale. */
  forget(): void {
    for (const reader of this.#opened.values()) reader.close();
    this.#opened.clear();
    this.#opening.clear();
  }

  async #reader(ref: SegmentRef): Promise<SegmentReader> {
    const opened = this.#opened.get(ref.id);
    if (opened !== undefined) return opened;
    const opening = this.#opening.get(ref.id) ?? this.#open(ref);
    this.#opening.set(ref.id, opening);
    try {
      return await opening;
    } finally {
      if (this.#opening.get(ref.id) === opening) this.#opening.delete(ref.id);
    }
  }

  async #open(ref: SegmentRef): Promise<SegmentReader> {
    const reader = await SegmentReader.open(this.#device, this.#fsid, ref, this.#cache);
    for (const [id, oldest] of this.#opened) {
      if (this.#opened.size < OPEN_SEGMENTS_MAX) break;
      oldest.close();
      this.#opened.delete(id);
    }
    this.#opened.set(ref.id, reader);
    return reader;
  }
}
