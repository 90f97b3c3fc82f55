/*
 * A job comes from another process; its worker believes nothing that it can check.
 */
import { SEGMENT_BLOCKS_MIN, type SegmentRef } from "@holdfast/segment";
import { KEY_BYTES, compareBytes, rangesOverlap } from "@holdfast/wire-format";
import { CompactionJobError } from "./errors.ts";
import type { CompactionJob } from "./job.ts";
import { LEVELS_MAX, compareAge, hullOf, rangeOf } from "./manifest-view.ts";

/**
 * Checks a job.
 *
 * @throws {@link CompactionJobError} `ERR_HOLDFAST_COMPACTION_JOB` naming the first rule that it breaks.
 */
export function checkJob(job: CompactionJob): void {
  const fault = faultOf(job);
  if (fault !== undefined) throw new CompactionJobError(job.id, fault);
}

function faultOf(job: CompactionJob): string | undefined {
  const { upperLevel, upper, lower, outputs } = job;
  if (upperLevel > LEVELS_MAX - 2) return `level ${upperLevel} has none below it`;
  if (upper.length === 0) return "it has no upper segment";
  if (upper.some(({ level }) => level !== upperLevel)) return "an upper segment is of another level";
  if (lower.some(({ level }) => level !== upperLevel + 1)) return "a lower segment is of another level";
  if ([...upper, ...lower].some(({ first, last }) => compareBytes(first, last) > 0))
    return "a segment ends before it starts";
  const ids = [...upper, ...lower, ...outputs].map(({ id }) => id);
  if (new Set(ids).size !== ids.length) return "a segment is named twice";
  if (!isRising(lower)) return "lower segments overlap or are out of order";
  if (upperLevel > 0 && !isRising(upper)) return "upper segments overlap or are out of order";
  if (upperLevel === 0 && !isNewestFirst(upper)) return "upper segments are not in the order of their age";
  const hull = hullOf(upper);
  if (lower.some((ref) => !rangesOverlap(rangeOf(ref), hull)))
    return "a lower segment lies beside the upper ones";
  if (outputs.some(({ extent }) => extent.lengthBlocks < SEGMENT_BLOCKS_MIN))
    return `an output extent has less than ${SEGMENT_BLOCKS_MIN} blocks`;
  if (job.isMove) return faultOfMove(job);
  return faultOfSplit(job);
}

function faultOfMove({ upper, lower, splitAfter, dropTombstones }: CompactionJob): string | undefined {
  if (upper.length !== 1 || lower.length !== 0 || splitAfter !== undefined)
    return "a move has exactly one segment";
  if (dropTombstones && upper[0]?.tombstoneCount !== 0) return "a move cannot drop tombstones";
  return undefined;
}

function faultOfSplit({ lower, splitAfter }: CompactionJob): string | undefined {
  if (splitAfter === undefined) return undefined;
  if (splitAfter.length !== KEY_BYTES) return "its split is not a key";
  if (lower.some(({ last }) => compareBytes(last, splitAfter) > 0))
    return "a lower segment lies behind the split";
  return undefined;
}

function isRising(refs: readonly SegmentRef[]): boolean {
  return refs.every((ref, index) => {
    const previous = refs[index - 1];
    return previous === undefined || compareBytes(previous.last, ref.first) < 0;
  });
}

function isNewestFirst(refs: readonly SegmentRef[]): boolean {
  return refs.every((ref, index) => {
    const previous = refs[index - 1];
    return previous === undefined || compareAge(previous, ref) < 0;
  });
}
