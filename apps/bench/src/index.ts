export { type BenchRequest, type Outputs, parseRequest, runCommandLine, USAGE } from "./command-line.ts";
export { type Contest, type Measure, measureRow, median, ratePerSecond, type Row } from "./contest.ts";
export { type Machine, reportOf, type SuiteReport, tableOf } from "./report.ts";
export {
  FULL_SIZES,
  type ItemsSizes,
  type LocksSizes,
  type MessagingSizes,
  QUICK_SIZES,
  type SegmentsSizes,
  type Sizes,
} from "./sizes.ts";
export { SUITE_NAMES, SUITES, type SuiteName } from "./suites.ts";
