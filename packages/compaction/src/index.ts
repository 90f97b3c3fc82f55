export { type AppliedCompaction, applyResult } from "./apply.ts";
export { checkJob } from "./check-job.ts";
export { CompactionJobError, CompactionRefusedError, CompactionSpaceError, ManifestError } from "./errors.ts";
export {
  CompactionJob,
  CompactionOutput,
  CompactionResult,
  JOB_OUTPUTS_MAX,
  jobOf,
  unusedExtents,
} from "./job.ts";
export { LEVELS_MAX, ManifestView, rangeOf } from "./manifest-view.ts";
export { MANIFEST_KEY_BYTES, Manifest, type ManifestTree, manifestKey } from "./manifest.ts";
export {
  type CompactionLimits,
  type CompactionPlan,
  DEFAULT_COMPACTION_LIMITS,
  JOB_INPUTS_MAX,
  type LevelCursors,
  levelLimit,
  planCompaction,
} from "./plan.ts";
export { type CompactionPorts, WORK_MS, runCompaction } from "./run.ts";
