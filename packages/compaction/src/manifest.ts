/*
 * The manifest on the volume: a tree that says which segments make up the store.
 *
 *   KEY     level u8, first key 32 bytes, id u64 big-endian
 *   VALUE   SegmentRef
 *
 * The caller decides when the tree is committed, and takes a snapshot of it around a change that may fail half-way.
 */
import type { BTree } from "@holdfast/btree";
import { SegmentRef } from "@holdfast/segment";
import {
  FIRST_KEY,
  KEY_BYTES,
  type Key,
  type KeyRange,
  compareBytes,
  equalBytes,
} from "@holdfast/wire-format";
import { ManifestError } from "./errors.ts";
import { ManifestView } from "./manifest-view.ts";

/** Bytes of a manifest key. */
export const MANIFEST_KEY_BYTES: number = 1 + KEY_BYTES + 8;

/** What the manifest needs of its tree. */
export type ManifestTree = Pick<BTree, "get" | "put" | "delete" | "scan">;

/** The manifest. */
export class Manifest {
  readonly #tree: ManifestTree;

  constructor(tree: ManifestTree) {
    this.#tree = tree;
  }

  /**
   * Enters a segment. One of level 0 that has no order yet becomes the newest of all on that level.
   *
   * @returns The segment as entered.
   */
  async add(ref: SegmentRef): Promise<SegmentRef> {
    const entered = ref.level === 0 && ref.order === 0n ? { ...ref, order: await this.#nextOrder() } : ref;
    await this.#tree.put(manifestKey(entered), SegmentRef.encode(entered));
    return entered;
  }

  /** Takes a segment out; false when it was not there. */
  remove(ref: SegmentRef): Promise<boolean> {
    return this.#tree.delete(manifestKey(ref));
  }

  /** True when exactly this segment, with all that is said of it, is in the manifest. */
  async has(ref: SegmentRef): Promise<boolean> {
    const value = await this.#tree.get(manifestKey(ref));
    return value !== undefined && equalBytes(value, SegmentRef.encode(ref));
  }

  /** All segments, or those of one level, by level, first key and id. */
  async list(level?: number): Promise<SegmentRef[]> {
    const refs: SegmentRef[] = [];
    const range = level === undefined ? {} : { from: bound(level, FIRST_KEY, 0x00), to: levelEnd(level) };
    for await (const { key, value } of this.#tree.scan(range)) refs.push(decodeEntry(key, value));
    return refs;
  }

  /** Segments of one level that overlap `range`, by first key. */
  async overlapping(level: number, range: KeyRange): Promise<SegmentRef[]> {
    if (level === 0)
      return (await this.list(0)).filter(
        ({ first, last }) => compareBytes(first, range.end) <= 0 && compareBytes(last, range.start) >= 0,
      );
    const before = this.#tree.scan({
      from: bound(level, FIRST_KEY, 0x00),
      to: bound(level, range.start, 0xff),
      isReverse: true,
    });
    const refs: SegmentRef[] = [];
    for await (const { key, value } of before) {
      // Segments of a level are disjoint: only the nearest one that starts before can reach into the range.
      const ref = decodeEntry(key, value);
      if (compareBytes(ref.last, range.start) >= 0) refs.push(ref);
      break;
    }
    const nearest = refs[0]?.id;
    const inside = { from: bound(level, range.start, 0x00), to: bound(level, range.end, 0xff) };
    for await (const { key, value } of this.#tree.scan(inside)) {
      const ref = decodeEntry(key, value);
      if (ref.id !== nearest) refs.push(ref);
    }
    return refs;
  }

  /**
   * The whole manifest in memory.
   *
   * @throws {@link ManifestError} `ERR_HOLDFAST_MANIFEST_CORRUPT` when an entry breaks the rules.
   */
  async view(): Promise<ManifestView> {
    return ManifestView.of(await this.list());
  }

  async #nextOrder(): Promise<bigint> {
    let newest = 0n;
    for (const { order } of await this.list(0)) if (order > newest) newest = order;
    return newest + 1n;
  }
}

/** The key under which a segment stands in the tree. */
export function manifestKey(ref: SegmentRef): Uint8Array {
  const key = bound(ref.level, ref.first, 0);
  new DataView(key.buffer).setBigUint64(1 + KEY_BYTES, ref.id);
  return key;
}

function bound(level: number, first: Key, idFill: number): Uint8Array {
  const key = new Uint8Array(MANIFEST_KEY_BYTES);
  key[0] = level;
  key.set(first, 1);
  key.fill(idFill, 1 + KEY_BYTES);
  return key;
}

function levelEnd(level: number): Uint8Array {
  const key = new Uint8Array(MANIFEST_KEY_BYTES).fill(0xff);
  key[0] = level;
  return key;
}

function decodeEntry(key: Uint8Array, value: Uint8Array): SegmentRef {
  const level = key[0] ?? 0;
  if (value.length === SegmentRef.sizeBytes) {
    const ref = SegmentRef.decode(value);
    if (equalBytes(key, manifestKey(ref))) return ref;
  }
  throw new ManifestError(`an entry of level ${level} does not describe a segment under its own key`, {
    level,
    segment:
      key.length === MANIFEST_KEY_BYTES ? new DataView(key.slice().buffer).getBigUint64(1 + KEY_BYTES) : 0n,
  });
}
