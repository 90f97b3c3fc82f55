import { HoldfastError } from "@holdfast/environment";

/** A manifest that breaks its own rules: a malformed entry, or segments that overlap where none may. */
export class ManifestError extends HoldfastError<
  "ERR_HOLDFAST_MANIFEST_CORRUPT",
  { readonly level: number; readonly segment: bigint }
> {
  constructor(
    message: string,
    facts: { readonly level: number; readonly segment: bigint },
    options?: ErrorOptions,
  ) {
    super("ERR_HOLDFAST_MANIFEST_CORRUPT", "corruption", message, facts, options);
  }
}

/** A compaction job that no planner makes: it came from a faulty or foreign peer and is not run. */
export class CompactionJobError extends HoldfastError<
  "ERR_HOLDFAST_COMPACTION_JOB",
  { readonly job: bigint }
> {
  constructor(job: bigint, reason: string) {
    super("ERR_HOLDFAST_COMPACTION_JOB", "protocol", `compaction job ${job} is malformed: ${reason}`, {
      job,
    });
  }
}

/** The extents granted with a job do not hold its output; the inputs are untouched. */
export class CompactionSpaceError extends HoldfastError<
  "ERR_HOLDFAST_COMPACTION_SPACE",
  { readonly job: bigint; readonly outputCount: number }
> {
  constructor(job: bigint, outputCount: number) {
    super(
      "ERR_HOLDFAST_COMPACTION_SPACE",
      "retry",
      `compaction job ${job} needs more than its ${outputCount} output extents`,
      { job, outputCount },
    );
  }
}

/** A result that does not fit the job it answers, or the manifest of now; nothing was changed. */
export class CompactionRefusedError extends HoldfastError<
  "ERR_HOLDFAST_COMPACTION_REFUSED",
  { readonly job: bigint }
> {
  constructor(job: bigint, reason: string) {
    super(
      "ERR_HOLDFAST_COMPACTION_REFUSED",
      "conflict",
      `the result of compaction job ${job} is refused: ${reason}`,
      { job },
    );
  }
}
