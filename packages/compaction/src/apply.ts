/*
 * What the server does with a result: inputs out, outputs in, in one change of the manifest.
 *
 * The result comes from another process. It is checked against the job as the server remembers it and against the
 * manifest of now before anything is changed.
 */
import type { SegmentExtent, SegmentRef } from "@holdfast/segment";
import { type KeyRange, compareBytes } from "@holdfast/wire-format";
import { CompactionRefusedError } from "./errors.ts";
import { type CompactionJob, type CompactionResult, unusedExtents } from "./job.ts";
import { hullOf } from "./manifest-view.ts";
import type { Manifest } from "./manifest.ts";
import { orderOf } from "./run.ts";

/** What a result changed. */
export interface AppliedCompaction {
  /** Ids that left the manifest (a moved segment leaves one level and enters another). */
  readonly removedIds: ReadonlySet<bigint>;
  /** Segments that entered it. */
  readonly added: readonly SegmentRef[];
  /** Blocks that are free once the change is committed: inputs, and granted blocks that hold nothing. */
  readonly freed: readonly SegmentExtent[];
}

/**
 * Enters a result into the manifest. The caller commits the tree, and restores it if this fails with an error of I/O.
 *
 * @param job - The job as the server gave it out; undefined when it knows of none such.
 * @throws {@link CompactionRefusedError} `ERR_HOLDFAST_COMPACTION_REFUSED` nothing was changed.
 */
export async function applyResult(
  manifest: Manifest,
  job: CompactionJob | undefined,
  result: CompactionResult,
): Promise<AppliedCompaction> {
  if (job === undefined || job.id !== result.jobId)
    throw new CompactionRefusedError(result.jobId, "the job is not known (any more)");
  const fault = job.isMove ? faultOfMove(job, result) : faultOfOutputs(job, result.outputs);
  if (fault !== undefined) throw new CompactionRefusedError(job.id, fault);
  // What is said of a moved segment is the server's own word, not the worker's.
  const added = job.isMove ? job.upper.map((ref) => ({ ...ref, level: ref.level + 1 })) : result.outputs;
  const inputs = [...job.upper, ...job.lower];
  const removedIds = new Set(inputs.map(({ id }) => id));
  for (const input of inputs)
    if (!(await manifest.has(input)))
      throw new CompactionRefusedError(
        job.id,
        `segment ${input.id} is not in the manifest as the job names it`,
      );
  for (const { id, level, first, last } of added)
    if (level > 0)
      await checkRoom(manifest, job.id, { id, level, range: { start: first, end: last } }, removedIds);
  for (const input of inputs) await manifest.remove(input);
  for (const output of added) await manifest.add(output);
  const freedInputs = job.isMove ? [] : inputs.map(({ extent }) => extent);
  const freed = [...freedInputs, ...unusedExtents(job, result.outputs)];
  return { removedIds, added, freed };
}

async function checkRoom(
  manifest: Manifest,
  job: bigint,
  output: { readonly id: bigint; readonly level: number; readonly range: KeyRange },
  removedIds: ReadonlySet<bigint>,
): Promise<void> {
  for (const { id } of await manifest.overlapping(output.level, output.range))
    if (!removedIds.has(id))
      throw new CompactionRefusedError(
        job,
        `output ${output.id} overlaps segment ${id} on level ${output.level}`,
      );
}

function faultOfMove(job: CompactionJob, result: CompactionResult): string | undefined {
  const [input] = job.upper;
  const [output] = result.outputs;
  const isMoved =
    input !== undefined &&
    output !== undefined &&
    result.outputs.length === 1 &&
    output.id === input.id &&
    output.level === input.level + 1 &&
    output.extent.start === input.extent.start &&
    output.extent.lengthBlocks === input.extent.lengthBlocks &&
    output.footer.address === input.footer.address &&
    compareBytes(output.footer.hash, input.footer.hash) === 0 &&
    compareBytes(output.first, input.first) === 0 &&
    compareBytes(output.last, input.last) === 0;
  return isMoved ? undefined : "a moved segment came back changed";
}

function faultOfOutputs(job: CompactionJob, outputs: readonly SegmentRef[]): string | undefined {
  const hull = hullOf([...job.upper, ...job.lower]);
  const granted = new Map(job.outputs.map((output) => [output.id, output.extent]));
  let previous: SegmentRef | undefined;
  for (const output of outputs) {
    const extent = granted.get(output.id);
    if (extent === undefined) return `segment ${output.id} was not granted, or came twice`;
    granted.delete(output.id);
    const end = extent.start + BigInt(output.extent.lengthBlocks) - 1n;
    if (output.extent.start !== extent.start || output.extent.lengthBlocks > extent.lengthBlocks)
      return `segment ${output.id} leaves the extent granted to it`;
    if (output.footer.address !== end || output.itemCount === 0) return `segment ${output.id} is malformed`;
    if (previous !== undefined && compareBytes(previous.last, output.first) >= 0)
      return `segment ${output.id} is out of order`;
    if (!isPlaced(job, output, hull)) return `segment ${output.id} does not belong on level ${output.level}`;
    previous = output;
  }
  return undefined;
}

/** True when the output lies in the hull, on the right side of the split, with the level and the age of that side. */
function isPlaced(job: CompactionJob, output: SegmentRef, hull: KeyRange): boolean {
  const { first, last, level } = output;
  if (compareBytes(first, last) > 0) return false;
  if (compareBytes(first, hull.start) < 0 || compareBytes(last, hull.end) > 0) return false;
  if (output.order !== orderOf(job, level)) return false;
  if (level === job.upperLevel + 1)
    return job.splitAfter === undefined || compareBytes(last, job.splitAfter) <= 0;
  return level === job.upperLevel && job.splitAfter !== undefined && compareBytes(first, job.splitAfter) > 0;
}
