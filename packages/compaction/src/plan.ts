/*
 * Which segments to merge next.
 *
 * Leveled compaction (O'Neil and others, 1996, as LevelDB shaped it): level k may hold 10^k segments; one that
 * exceeds its limit gives a segment to the level below, merged with those that it overlaps there. The deepest such
 * level goes first, so that levels below are drained before more comes from above. Each level has a cursor that
 * walks round the keys, so that every segment gets its turn.
 *
 * What keeps the newest version of every key on top:
 *
 *   1. A level-0 segment goes down only together with every older level-0 segment that it overlaps.
 *   2. A job takes all segments of the target level in its range, and no busy segment of the two levels lies in the
 *      hull of its inputs; so the outputs of jobs that run together cannot overlap.
 *   3. Tombstones are dropped only where no level below the target has a segment in the hull.
 *
 * A segment that would overlap more below than a job may take goes down in part: what lies behind `splitAfter`
 * returns to its own level, tombstones included.
 */
import { SEGMENT_BLOCKS, SEGMENT_BLOCKS_MIN, type SegmentRef } from "@holdfast/segment";
import {
  FIRST_KEY,
  type Key,
  type KeyRange,
  compareBytes,
  keyAfter,
  keyBefore,
  rangesOverlap,
} from "@holdfast/wire-format";
import { LEVELS_MAX, type ManifestView, hullOf, rangeOf } from "./manifest-view.ts";

/** What the planner may do. */
export interface CompactionLimits {
  /** Level 0 is compacted while it has more segments than this. */
  readonly level0Segments: number;
  /** Segments that level 1 may hold. */
  readonly level1Segments: number;
  /** How many times more a level may hold than the level above. */
  readonly fanOut: number;
  /** Segments that one job takes in at most; at least 2, at most {@link JOB_INPUTS_MAX}. */
  readonly inputsMax: number;
}

/** Limits for every volume: 4, 10, 10, 40. */
export const DEFAULT_COMPACTION_LIMITS: CompactionLimits = {
  level0Segments: 4,
  level1Segments: 10,
  fanOut: 10,
  inputsMax: 40,
};

/** Segments that a job names at most, on each of its two levels. */
export const JOB_INPUTS_MAX = 64;

/** Where each level goes on: the key from which its next segment is searched. A missing level starts at the front. */
export type LevelCursors = ReadonlyMap<number, Key>;

/** A merge to be done. */
export interface CompactionPlan {
  /** Level that gives; the level below it takes. */
  readonly upperLevel: number;
  /** Segments of the upper level, newest first on level 0, else by key. At least one. */
  readonly upper: readonly SegmentRef[];
  /** Segments of the level below, by key. */
  readonly lower: readonly SegmentRef[];
  /** True: the one upper segment goes down as it is; nobody reads or writes it. */
  readonly isMove: boolean;
  /** True: a tombstone that reaches the lower level has done its work and is left out. */
  readonly dropTombstones: boolean;
  /** Greatest key that goes down; what lies behind stays on the upper level. Undefined: all goes down. */
  readonly splitAfter: Key | undefined;
  /** Lengths, in blocks, of the extents to grant for the output. Empty for a move. */
  readonly outputBlocks: readonly number[];
  /** The upper level's cursor from now on. */
  readonly nextCursor: Key;
}

/**
 * Chooses the next merge; undefined when none is wanted or possible now.
 *
 * @param busyIds - Segments that are inputs of jobs still running.
 */
export function planCompaction(
  view: ManifestView,
  busyIds: ReadonlySet<bigint>,
  cursors: LevelCursors,
  limits: CompactionLimits = DEFAULT_COMPACTION_LIMITS,
): CompactionPlan | undefined {
  const deepest = Math.min(view.deepestLevel, LEVELS_MAX - 2);
  for (let level = deepest; level >= 0; level -= 1) {
    const refs = view.levels[level] ?? [];
    const idleCount = refs.filter(({ id }) => !busyIds.has(id)).length;
    if (idleCount <= levelLimit(level, limits)) continue;
    const plan = new LevelPlanner(view, busyIds, limits, level).choose(cursors.get(level) ?? FIRST_KEY);
    if (plan !== undefined) return plan;
  }
  return undefined;
}

/** Segments that a level may hold before it gives some away. */
export function levelLimit(level: number, limits: CompactionLimits = DEFAULT_COMPACTION_LIMITS): number {
  if (level === 0) return limits.level0Segments;
  return limits.level1Segments * limits.fanOut ** (level - 1);
}

/** Chooses within one level. */
class LevelPlanner {
  readonly #view: ManifestView;
  readonly #busyIds: ReadonlySet<bigint>;
  readonly #limits: CompactionLimits;
  readonly #level: number;

  constructor(view: ManifestView, busyIds: ReadonlySet<bigint>, limits: CompactionLimits, level: number) {
    this.#view = view;
    this.#busyIds = busyIds;
    this.#limits = limits;
    this.#level = level;
  }

  choose(cursor: Key): CompactionPlan | undefined {
    const refs = this.#view.levels[this.#level] ?? [];
    if (this.#level === 0) {
      for (const seed of refs.toReversed()) {
        const plan = this.#planUpper(this.#gatherLevel0(seed), cursor);
        if (plan !== undefined) return plan;
      }
      return undefined;
    }
    const at = refs.findIndex(({ first }) => compareBytes(first, cursor) >= 0);
    const start = at < 0 ? 0 : at;
    for (let step = 0; step < refs.length; step += 1) {
      const index = (start + step) % refs.length;
      const upper = this.#gatherNeighbours(refs, index);
      const plan = this.#planUpper(upper, keyAfter(upper.at(-1)?.last ?? cursor) ?? FIRST_KEY);
      if (plan !== undefined) return plan;
    }
    return undefined;
  }

  /** The seed with all older segments that it must not pass, then newer ones that cost nothing more below. */
  #gatherLevel0(seed: SegmentRef): readonly SegmentRef[] {
    const uppersMax = Math.max(1, Math.floor(this.#limits.inputsMax / 2));
    const oldestFirst = (this.#view.levels[0] ?? []).toReversed();
    let chosen = withOlder([seed], oldestFirst);
    if (chosen.length > uppersMax) return [];
    const lowerCount = this.#lowerOf(hullOf(chosen)).length;
    for (const ref of oldestFirst) {
      if (chosen.includes(ref)) continue;
      const more = withOlder([...chosen, ref], oldestFirst);
      if (more.length > uppersMax || this.#isBusyIn(hullOf(more))) continue;
      if (this.#lowerOf(hullOf(more)).length <= lowerCount) chosen = more;
    }
    return oldestFirst.filter((ref) => chosen.includes(ref)).reverse();
  }

  /** The segment at `index` with those behind it while all together fill one segment and overlap no more below. */
  #gatherNeighbours(refs: readonly SegmentRef[], index: number): readonly SegmentRef[] {
    let upper: readonly SegmentRef[] = refs.slice(index, index + 1);
    const lowerCount = this.#lowerOf(hullOf(upper)).length;
    const uppersMax = Math.max(1, Math.floor(this.#limits.inputsMax / 2));
    for (const next of refs.slice(index + 1, index + uppersMax)) {
      const more = [...upper, next];
      const isWorthwhile =
        !this.#isBusyIn(hullOf(more)) &&
        blocksOf(more) <= SEGMENT_BLOCKS &&
        this.#lowerOf(hullOf(more)).length <= lowerCount;
      if (!isWorthwhile) break;
      upper = more;
    }
    return upper;
  }

  /** The plan for these upper segments, unless a job that runs now is in the way. */
  #planUpper(upper: readonly SegmentRef[], nextCursor: Key): CompactionPlan | undefined {
    if (upper.length === 0) return undefined;
    const allLower = this.#lowerOf(hullOf(upper));
    const lower = allLower.slice(0, Math.max(1, this.#limits.inputsMax - upper.length));
    const beyond = allLower[lower.length];
    const hull = hullOf([...upper, ...lower]);
    if (this.#isBusyIn(hull)) return undefined;
    const splitAfter = beyond === undefined ? undefined : keyBefore(beyond.first);
    const dropTombstones = !this.#isBelowTarget(hull);
    const [only] = upper;
    const isMove =
      upper.length === 1 && lower.length === 0 && (!dropTombstones || only?.tombstoneCount === 0);
    const outputBlocks = isMove ? [] : outputsFor(blocksOf([...upper, ...lower]), splitAfter !== undefined);
    return {
      upperLevel: this.#level,
      upper,
      lower,
      isMove,
      dropTombstones,
      splitAfter,
      outputBlocks,
      nextCursor,
    };
  }

  #lowerOf(range: KeyRange): readonly SegmentRef[] {
    return this.#view.overlapping(this.#level + 1, range);
  }

  #isBusyIn(hull: KeyRange): boolean {
    return [this.#level, this.#level + 1].some((level) =>
      this.#view.overlapping(level, hull).some(({ id }) => this.#busyIds.has(id)),
    );
  }

  #isBelowTarget(hull: KeyRange): boolean {
    return this.#view.levels.some(
      (_, level) => level > this.#level + 1 && this.#view.overlapping(level, hull).length > 0,
    );
  }
}

/** These level-0 segments and, to the last, every older one that one of them overlaps. */
function withOlder(chosen: readonly SegmentRef[], oldestFirst: readonly SegmentRef[]): SegmentRef[] {
  const closed = new Set(chosen);
  // Newest first: whatever a segment pulls in is older, so it is looked at later.
  for (let index = oldestFirst.length - 1; index >= 0; index -= 1) {
    const ref = oldestFirst[index] as SegmentRef;
    const mustGo = [...closed].some(
      (other) => other.order > ref.order && rangesOverlap(rangeOf(other), rangeOf(ref)),
    );
    if (mustGo) closed.add(ref);
  }
  return [...closed];
}

function blocksOf(refs: readonly SegmentRef[]): number {
  return refs.reduce((sum, { extent }) => sum + extent.lengthBlocks, 0);
}

/**
 * Extents that surely hold the merge of so many blocks. A data block is at least three quarters full when it is
 * closed, so items packed afresh take at most a third more; and a segment stays at most 5 % below its extent.
 */
function outputsFor(inputBlocks: number, isSplit: boolean): readonly number[] {
  const worst = Math.ceil((inputBlocks * 4) / 3) + SEGMENT_BLOCKS_MIN;
  const one = Math.min(worst, SEGMENT_BLOCKS);
  const count = worst <= SEGMENT_BLOCKS ? 1 : Math.ceil(worst / (SEGMENT_BLOCKS * 0.95));
  return Array.from({ length: count + (isSplit ? 1 : 0) }, () => one);
}
