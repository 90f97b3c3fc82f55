/*
 * The manifest in memory, as of one version. Immutable.
 *
 * Two rules hold in it, and every reader relies on them:
 *
 *   1. Segments of a level from 1 on are disjoint.
 *   2. Of one key, a version on a smaller level is newer; on level 0, the one in the segment of greater order.
 */
import { type SegmentRef } from "@holdfast/segment";
import { type Key, type KeyRange, compareBytes, rangesOverlap } from "@holdfast/wire-format";
import { ManifestError } from "./errors.ts";

/** Levels that exist: 0 … 7. */
export const LEVELS_MAX = 8;

/** One version of the manifest. */
export class ManifestView {
  /** The view of a store without segments. */
  static readonly EMPTY: ManifestView = new ManifestView([]);
  /** Segments by level, down to the deepest in use: level 0 newest first, others by key. */
  readonly levels: readonly (readonly SegmentRef[])[];

  private constructor(levels: readonly (readonly SegmentRef[])[]) {
    this.levels = levels;
  }

  /**
   * The view of these segments, in any order.
   *
   * @throws {@link ManifestError} `ERR_HOLDFAST_MANIFEST_CORRUPT` when segments overlap on a level from 1 on.
   */
  static of(refs: Iterable<SegmentRef>): ManifestView {
    const levels: SegmentRef[][] = [];
    for (const ref of refs) {
      if (ref.level >= LEVELS_MAX) throw corrupt(ref, `level ${ref.level} does not exist`);
      while (levels.length <= ref.level) levels.push([]);
      (levels[ref.level] as SegmentRef[]).push(ref);
    }
    levels.forEach((level, number) => {
      if (number === 0) level.sort(compareAge);
      else checkDisjoint(level.sort(compareFirst));
    });
    return new ManifestView(levels);
  }

  /** Segments in it. */
  get segmentCount(): number {
    return this.levels.reduce((count, level) => count + level.length, 0);
  }

  /** Deepest level with a segment; 0 when there is none. */
  get deepestLevel(): number {
    return Math.max(0, this.levels.length - 1);
  }

  /** Segments that may hold `key`, newest first. */
  sourcesFor(key: Key): readonly SegmentRef[] {
    const sources: SegmentRef[] = [];
    this.levels.forEach((level, number) => {
      if (number === 0) {
        for (const ref of level)
          if (compareBytes(ref.first, key) <= 0 && compareBytes(key, ref.last) <= 0) sources.push(ref);
      } else {
        const ref = level[firstEndingAtOrAfter(level, key)];
        if (ref !== undefined && compareBytes(ref.first, key) <= 0) sources.push(ref);
      }
    });
    return sources;
  }

  /** Segments that may hold keys of `range`, newest first, those of one level from 1 on by key. */
  sourcesIn(range: KeyRange): readonly SegmentRef[] {
    return this.runsIn(range).flat();
  }

  /** The same in runs, newest first: each is a list of disjoint segments by key, to be read one after another. */
  runsIn(range: KeyRange): readonly (readonly SegmentRef[])[] {
    return this.levels.flatMap((_, number) => {
      const overlapping = this.overlapping(number, range);
      if (number === 0) return overlapping.map((ref) => [ref]);
      return overlapping.length === 0 ? [] : [overlapping];
    });
  }

  /** Segments of one level that overlap `range`, in the level's order. */
  overlapping(level: number, range: KeyRange): readonly SegmentRef[] {
    const refs = this.levels[level] ?? [];
    if (level === 0) return refs.filter((ref) => rangesOverlap(rangeOf(ref), range));
    const from = firstEndingAtOrAfter(refs, range.start);
    let to = from;
    while (to < refs.length && compareBytes((refs[to] as SegmentRef).first, range.end) <= 0) to += 1;
    return refs.slice(from, to);
  }

  /** The view without the segments of these ids and with others added. */
  replace(removedIds: ReadonlySet<bigint>, added: readonly SegmentRef[]): ManifestView {
    return ManifestView.of([...this.levels.flat().filter(({ id }) => !removedIds.has(id)), ...added]);
  }
}

/** The keys from a segment's first to its last. */
export function rangeOf(ref: SegmentRef): KeyRange {
  return { start: ref.first, end: ref.last };
}

/** The smallest range that covers all these segments, of which there is at least one. */
export function hullOf(refs: readonly SegmentRef[]): KeyRange {
  let { first: start, last: end } = refs[0] as SegmentRef;
  for (const { first, last } of refs) {
    if (compareBytes(first, start) < 0) start = first;
    if (compareBytes(last, end) > 0) end = last;
  }
  return { start, end };
}

/** Order of segments by first key. */
export function compareFirst(a: SegmentRef, b: SegmentRef): number {
  return compareBytes(a.first, b.first);
}

/** Order of level-0 segments, newest first; pieces of one segment by key. */
export function compareAge(a: SegmentRef, b: SegmentRef): number {
  if (a.order !== b.order) return a.order > b.order ? -1 : 1;
  return compareFirst(a, b);
}

function checkDisjoint(sorted: readonly SegmentRef[]): void {
  sorted.forEach((ref, index) => {
    const previous = sorted[index - 1];
    if (previous !== undefined && compareBytes(previous.last, ref.first) >= 0)
      throw corrupt(ref, `it overlaps segment ${previous.id} on level ${ref.level}`);
  });
}

function firstEndingAtOrAfter(sorted: readonly SegmentRef[], key: Key): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes((sorted[middle] as SegmentRef).last, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function corrupt(ref: SegmentRef, reason: string): ManifestError {
  return new ManifestError(`segment ${ref.id} cannot be in the manifest: ${reason}`, {
    level: ref.level,
    segment: ref.id,
  });
}
