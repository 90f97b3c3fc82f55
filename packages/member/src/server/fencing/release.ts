/*
 * Blocks of an owner that is confirmed dead become free, but for nodes that trees still reach.
 *
 * Every step is one change of bounded size and leaves every block with one owner: free, or in quarantine under the dead
 * owner, or retained under nobody. So a release that a crash cut off is simply done again.
 *
 * A retained block is a node of the trees. When a newer one replaces it nothing happens to it at once: the next sweep
 * finds that no tree reaches it. Since nodes are written to a server's own grants alone, a block elsewhere that is not
 * reached once is never reached again, so what a sweep has seen does not become wrong while it works.
 */
import { type Extent, extentBetween, extentEnd, type QuarantineEntry } from "@holdfast/alloc-extent";
import { NOBODY, type VolumeTrees } from "../volume-trees.ts";

/** Pieces of extents that one change moves at most: each may touch several leaves of several trees. */
const PIECES_PER_CHANGE = 32;

/** Entries that one change looks at: most retained blocks are reached still, and nothing is to be done with them. */
const ENTRIES_PER_CHANGE = 1024;

/** One step of a release. */
export interface ReleaseStep {
  readonly owner: bigint;
  /** Blocks that trees reach, in order: {@link VolumeTrees.reachedElsewhere} at any time since the owner's end was confirmed. */
  readonly reached: readonly bigint[];
  /** Where the step before ended; 0 at first. */
  readonly from: bigint;
}

/** Releases some of what is in quarantine under one owner. Resolves with where to go on; undefined when that was all. */
export async function releaseSome(
  trees: VolumeTrees,
  { owner, reached, from }: ReleaseStep,
): Promise<bigint | undefined> {
  const entries: QuarantineEntry[] = [];
  for await (const entry of trees.quarantined(owner, from)) {
    entries.push(entry);
    if (entries.length === ENTRIES_PER_CHANGE) break;
  }
  let left = PIECES_PER_CHANGE;
  for (const entry of entries) {
    const pieces = piecesOf(entry.extent, reached);
    if (owner === NOBODY && pieces.every(({ isReached }) => isReached)) continue;
    if (left === 0) return entry.extent.start;
    await trees.unquarantine(entry);
    const now = pieces.slice(0, left);
    left -= now.length;
    for (const { extent, isReached } of now) {
      if (isReached) await trees.quarantine(extent, NOBODY, entry.term);
      else await trees.free.add(extent);
    }
    const rest = pieces[now.length]?.extent.start;
    if (rest === undefined) continue;
    await trees.quarantine(extentBetween(rest, extentEnd(entry.extent)), owner, entry.term);
    return rest;
  }
  const last = entries.at(-1);
  return last === undefined || entries.length < ENTRIES_PER_CHANGE ? undefined : extentEnd(last.extent);
}

interface Piece {
  readonly extent: Extent;
  readonly isReached: boolean;
}

/** An extent cut where trees reach into it. */
function piecesOf(extent: Extent, reached: readonly bigint[]): readonly Piece[] {
  const pieces: Piece[] = [];
  const end = extentEnd(extent);
  let at = extent.start;
  for (let index = firstFrom(reached, at); at < end;) {
    const next = reached[index] ?? end;
    const isReached = next === at;
    let stop = next < end ? next : end;
    if (isReached) for (stop = at; reached[index] === stop && stop < end; index += 1) stop += 1n;
    pieces.push({ extent: extentBetween(at, stop), isReached });
    at = stop;
  }
  return pieces;
}

/** Index of the first of `sorted` that is not below `from`. */
function firstFrom(sorted: readonly bigint[], from: bigint): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? from) < from) low = middle + 1;
    else high = middle;
  }
  return low;
}
