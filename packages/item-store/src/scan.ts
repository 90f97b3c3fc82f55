/*
 * Walks a range of keys in order, page by page, one lock range after the other.
 *
 * Each lock range is seen as of one moment, while its READ lock is held: memtables and manifest are captured without an
 * await in between, and what they consist of never changes. The lock is held until the first page is fetched and is
 * never held while the consumer has the page: a slow consumer does not stop writers. Should the space of a captured
 * segment be used again under a slow scan, the rest of that lock range is captured anew.
 *
 * Locks of the next ranges are asked for ahead, and let go at once: that brings the grant to this member, where the walk
 * finds it. Never does a scan hold one lock and wait for another, so it takes part in no deadlock in either direction.
 */
import { type PositionedCursor, mergeCursors } from "@holdfast/segment";
import { type Key, type KeyRange, compareBytes, keyAfter, keyBefore } from "@holdfast/wire-format";
import { ROW_BYTES } from "./item-table.ts";
import type { CachedRange } from "./lock-ranges.ts";
import type { Memtables } from "./memtables.ts";
import { Page, type ScanItem } from "./page.ts";
import type { StorePorts } from "./ports.ts";
import type { ReadCache } from "./read-cache.ts";
import { StaleRetry } from "./reads.ts";
import type { SegmentLookup } from "./segment-lookup.ts";

/** Items in a page unless the options say less. */
export const SCAN_PAGE_ITEMS_MAX = 1024;

/** Bytes of keys and values after which a page is full, 256 KiB; one item may exceed it. */
export const SCAN_PAGE_BYTES_MAX = 262_144;

/** Lock ranges asked for ahead of the walk once it has passed as many. */
export const SCAN_PREFETCH_MAX = 8;

/** Steps between two turns of other events. */
const STEPS_PER_TURN = 4096;

/** How a scan goes. */
export interface ScanOptions {
  /** True: from the greatest key down. */
  readonly isReverse?: boolean | undefined;
  /** Ends after so many items. */
  readonly limit?: number | undefined;
  /** Items in a page, 1 … {@link SCAN_PAGE_ITEMS_MAX}. */
  readonly pageItemsMax?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a scan works with. */
export interface ScanSources {
  readonly ports: StorePorts;
  readonly memtables: Memtables;
  readonly cache: ReadCache;
  readonly segments: SegmentLookup;
  /** Throws if the store has ended. */
  check(): void;
}

/** What one scan may still put into the read cache. */
interface Keeping {
  bytesLeft: number;
}

/** Pages of the items of `range`, in order. `ranges` are its lock ranges in key order. */
export async function* scanPages(
  sources: ScanSources,
  range: KeyRange,
  ranges: readonly CachedRange[],
  options: ScanOptions,
): AsyncGenerator<readonly ScanItem[]> {
  const isReverse = options.isReverse === true;
  const ordered = isReverse ? ranges.toReversed() : ranges;
  const keeping: Keeping = { bytesLeft: sources.cache.scanBytesMax };
  let remaining = options.limit ?? Infinity;
  let prefetched = 0;
  for (let index = 0; index < ordered.length && remaining > 0; index += 1) {
    const to = Math.min(ordered.length, index + 1 + Math.min(index, SCAN_PREFETCH_MAX));
    prefetch(sources, ordered.slice(Math.max(prefetched, index + 1), to));
    prefetched = Math.max(prefetched, to);
    const part = ordered[index] as CachedRange;
    for await (const page of scanLockRange({ ...sources, keeping }, range, part, {
      ...options,
      limit: remaining,
    })) {
      remaining -= page.length;
      yield page;
    }
  }
}

/** Brings locks to this member without keeping them. */
function prefetch({ ports }: ScanSources, ranges: readonly CachedRange[]): void {
  for (const { range } of ranges) {
    const held = ports.locks.tryAcquire(range, "read");
    if (held !== undefined) held.release();
    else
      ports.locks.acquire(range, "read").then(
        (hold) => hold.release(),
        // Whoever needs the lock will ask for it again and get the error.
        () => {},
      );
  }
}

async function* scanLockRange(
  sources: ScanSources & { readonly keeping: Keeping },
  wanted: KeyRange,
  part: CachedRange,
  options: ScanOptions & { readonly limit: number },
): AsyncGenerator<readonly ScanItem[]> {
  const { ports, cache } = sources;
  const isReverse = options.isReverse === true;
  const retry = new StaleRetry(ports, sources.segments);
  let left: KeyRange | undefined = intersection(wanted, part.range);
  let remaining = options.limit;
  while (left !== undefined && remaining > 0) {
    sources.check();
    const hold =
      ports.locks.tryAcquire(part.range, "read") ??
      (await ports.locks.acquire(part.range, "read", options.signal));
    const stamp = cache.stamp;
    const { version } = ports.manifest();
    let isHeld = true;
    try {
      const cursor = await capture(sources, left, isReverse);
      let isFirst = true;
      for (;;) {
        const page = await readPage(cursor, ports, Math.min(remaining, options.pageItemsMax ?? Infinity));
        sources.check();
        if (isFirst && !ports.lease.isValid) break;
        if (isFirst && page.isLast && isWhole(left, part.range)) keep(sources, page, part, stamp);
        if (isHeld) hold.release();
        isHeld = false;
        isFirst = false;
        remaining -= page.items.length;
        if (page.items.length > 0) yield page.items;
        if (page.isLast || remaining <= 0) return;
        left = rest(left, page.items.at(-1)?.key, isReverse);
        if (left === undefined) return;
      }
      // What was captured may be out of date: it is read again once the lease is renewed.
      hold.release();
      isHeld = false;
      await ports.lease.valid(options.signal);
    } catch (error) {
      if (isHeld) hold.release();
      isHeld = false;
      await retry.after(error, version);
    } finally {
      if (isHeld) hold.release();
    }
  }
}

/**
 * Remembers a whole lock range until the scan has filled its share of the cache. What is known already counts, so that
 * a scan that is repeated does not fill share after share.
 */
function keep(
  { cache, keeping }: { readonly cache: ReadCache; readonly keeping: Keeping },
  page: Page,
  part: CachedRange,
  stamp: number,
): void {
  const sizeBytes = page.sizeBytes + page.items.length * ROW_BYTES;
  if (sizeBytes > keeping.bytesLeft) return;
  keeping.bytesLeft -= sizeBytes;
  cache.addRange(page.items, part, stamp);
}

/** A cursor over everything there is in `range` now. The captured state is whole before the first await. */
async function capture(sources: ScanSources, range: KeyRange, isReverse: boolean): Promise<PositionedCursor> {
  const tables = sources.memtables.tables.map((table) => table.cursor(range, isReverse));
  const refs = sources.ports.manifest().view.sourcesIn(range);
  const segments = await sources.segments.cursors(refs, range, isReverse);
  return mergeCursors([...tables, ...segments], { dropTombstones: true, isReverse });
}

async function readPage(cursor: PositionedCursor, ports: StorePorts, itemsMax: number): Promise<Page> {
  const countMax = Math.min(itemsMax, SCAN_PAGE_ITEMS_MAX);
  const page = new Page(countMax);
  for (let step = 1; page.items.length < countMax && page.sizeBytes < SCAN_PAGE_BYTES_MAX; step += 1) {
    if (step % STEPS_PER_TURN === 0) await ports.clock.yield();
    if (!(cursor.nextSync() ?? (await cursor.next()))) {
      page.isLast = true;
      return page;
    }
    page.add(cursor.position);
  }
  return page;
}

function intersection(a: KeyRange, b: KeyRange): KeyRange | undefined {
  const start = compareBytes(a.start, b.start) > 0 ? a.start : b.start;
  const end = compareBytes(a.end, b.end) < 0 ? a.end : b.end;
  return compareBytes(start, end) <= 0 ? { start, end } : undefined;
}

function isWhole(part: KeyRange, lockRange: KeyRange): boolean {
  return compareBytes(part.start, lockRange.start) === 0 && compareBytes(part.end, lockRange.end) === 0;
}

/** What is left of `range` behind `key`; positions rise strictly, so a scan cannot turn in circles. */
function rest(range: KeyRange, key: Key | undefined, isReverse: boolean): KeyRange | undefined {
  if (key === undefined) return range;
  const start = isReverse ? range.start : keyAfter(key);
  const end = isReverse ? keyBefore(key) : range.end;
  if (start === undefined || end === undefined || compareBytes(start, end) > 0) return undefined;
  return { start, end };
}
