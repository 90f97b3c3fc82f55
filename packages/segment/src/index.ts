export { BLOCK_CACHE_BYTES, BlockCache } from "./block-cache.ts";
export {
  type ItemCursor,
  type ItemPosition,
  type PositionedCursor,
  keyAt,
  noPosition,
  positioned,
  seqAt,
  valueAt,
} from "./cursor.ts";
export { StaleSegmentError, type StaleSegmentFacts } from "./errors.ts";
export {
  DATA_BLOCK_BYTES,
  SEGMENT_BLOCKS,
  SEGMENT_BLOCKS_MIN,
  SEGMENT_FORMAT,
  SegmentExtent,
  SegmentFooter,
  SegmentRef,
  type SegmentSummary,
  VALUE_BYTES_MAX,
} from "./format.ts";
export { KeyProbe, compareKeysAt } from "./key-probe.ts";
export { type MergeOptions, concatenateCursors, mergeCursors } from "./merge.ts";
export { type Located, type SegmentItem, SegmentReader } from "./reader.ts";
export { SegmentWriter, type SegmentWriterOptions } from "./writer.ts";
