/*
 * What the server asks of a member, and what it answers.
 */
import { SegmentExtent, SegmentRef } from "@holdfast/segment";
import {
  KEY_BYTES,
  type Kind,
  type MessageCodec,
  type StructCodec,
  array,
  binary,
  bool,
  message,
  optional,
  uint,
  uint64,
} from "@holdfast/wire-format";
import { type CompactionPlan, JOB_INPUTS_MAX } from "./plan.ts";

/** Extents that a job grants at most. */
export const JOB_OUTPUTS_MAX = 256;

/** Room for one output segment. */
export interface CompactionOutput {
  /** Identity of the segment that is written there. */
  readonly id: bigint;
  readonly extent: SegmentExtent;
}

/** Layout of an output on the wire. */
export const CompactionOutput: MessageCodec<CompactionOutput> = message("CompactionOutput", {
  id: uint64,
  extent: structKind(SegmentExtent),
});

/** A merge, with all that its worker needs. */
export interface CompactionJob extends Omit<CompactionPlan, "outputBlocks" | "nextCursor"> {
  /** Identity of the job; never given twice on a volume. */
  readonly id: bigint;
  /** Where the worker writes, in this order. */
  readonly outputs: readonly CompactionOutput[];
}

/** Layout of a job on the wire. */
export const CompactionJob: MessageCodec<CompactionJob> = message("CompactionJob", {
  id: uint64,
  upperLevel: uint,
  upper: array(structKind(SegmentRef), JOB_INPUTS_MAX),
  lower: array(structKind(SegmentRef), JOB_INPUTS_MAX),
  isMove: bool,
  dropTombstones: bool,
  splitAfter: optional(binary(KEY_BYTES)),
  outputs: array(CompactionOutput, JOB_OUTPUTS_MAX),
});

/** What a worker did. Failure is the error code of the response; then nothing of the output counts. */
export interface CompactionResult {
  /** The job. */
  readonly jobId: bigint;
  /** Segments that take the place of the inputs, by key; none when everything was deleted. */
  readonly outputs: readonly SegmentRef[];
  /** Granted blocks that hold nothing. */
  readonly unused: readonly SegmentExtent[];
}

/** Layout of a result on the wire. */
export const CompactionResult: MessageCodec<CompactionResult> = message("CompactionResult", {
  jobId: uint64,
  outputs: array(structKind(SegmentRef), JOB_OUTPUTS_MAX),
  unused: array(structKind(SegmentExtent), JOB_OUTPUTS_MAX),
});

/** The job that carries a plan out. */
export function jobOf(plan: CompactionPlan, id: bigint, outputs: readonly CompactionOutput[]): CompactionJob {
  const { upperLevel, upper, lower, isMove, dropTombstones, splitAfter } = plan;
  return { id, upperLevel, upper, lower, isMove, dropTombstones, splitAfter, outputs };
}

/** Granted blocks of a job that these segments do not use. */
export function unusedExtents(job: CompactionJob, outputs: readonly SegmentRef[]): SegmentExtent[] {
  return job.outputs.flatMap(({ id, extent }) => {
    const usedBlocks = outputs.find((ref) => ref.id === id)?.extent.lengthBlocks ?? 0;
    if (usedBlocks >= extent.lengthBlocks) return [];
    const start = extent.start + BigInt(usedBlocks);
    return [{ start, lengthBlocks: extent.lengthBlocks - usedBlocks }];
  });
}

/** A struct within a message: its bytes. */
function structKind<V>(codec: StructCodec<V>): Kind<V> {
  const bytes = binary(codec.sizeBytes);
  return {
    kind: codec.signature,
    pack: (value) => codec.encode(value),
    unpack: (data) => codec.decode(bytes.unpack(data)),
  };
}
