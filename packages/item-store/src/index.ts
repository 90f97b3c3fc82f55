export * from "./errors.ts";
export { COMMIT_QUEUE_BYTES_MAX, GROUP_BYTES_MAX, type Operation } from "./group-commit.ts";
export { ItemStore, type ItemStoreOptions, type ItemStoreStats } from "./item-store.ts";
export { ARENA_CHUNK_BYTES, ITEM_VALUE_BYTES_MAX, ItemTable, ROW_BYTES } from "./item-table.ts";
export {
  JOURNAL_HALF_BLOCKS_MAX,
  JOURNAL_HALF_BLOCKS_MIN,
  Journal,
  JournalHalf,
  JournalRegion,
  entryItemsBytesMax,
  halfOfEpoch,
} from "./journal.ts";
export {
  EntryBuilder,
  type EntryPlace,
  type FoundEntry,
  JOURNAL_ENTRY_BYTES_MAX,
  JOURNAL_ITEM_BYTES,
  JOURNAL_MAGIC,
  JournalEntryHeader,
  type ParsedHalf,
  entrySizeBlocks,
  itemSizeBytes,
  parseJournalHalf,
  visitItems,
} from "./journal-format.ts";
export {
  type CachedRange,
  LOCK_FAMILIES_MAX,
  LOCK_PREFIX_BYTES,
  LOCK_RANGES_PER_FAMILY,
  LockRanges,
  lockRangeOf,
} from "./lock-ranges.ts";
export { MEMTABLE_BYTES_MAX } from "./memtables.ts";
export type { ScanItem } from "./page.ts";
export type {
  StoreExtent,
  StoreLease,
  StoreLockHold,
  StoreLocks,
  StoreManifestView,
  StorePool,
  StorePorts,
  StoreSpace,
} from "./ports.ts";
export {
  CACHE_GENERATIONS_MAX,
  type Lookup,
  READ_CACHE_BYTES_MAX,
  ReadCache,
  UNKNOWN,
} from "./read-cache.ts";
export { type JournalReplay, type ReplayedJournal, replayJournal } from "./replay.ts";
export { SCAN_PAGE_BYTES_MAX, SCAN_PAGE_ITEMS_MAX, SCAN_PREFETCH_MAX, type ScanOptions } from "./scan.ts";
export { OPEN_SEGMENTS_MAX } from "./segment-lookup.ts";
export {
  FLUSH_FAILURES_MAX,
  SHORTAGE_PATIENCE,
  SHORTAGE_PAUSE_MS_MAX,
  SHORTAGE_PAUSE_MS_MIN,
} from "./shortage.ts";
export { TableCursor, type TableRows } from "./table-cursor.ts";
export { TRANSACTION_ATTEMPTS_MAX, TRANSACTION_READS_MAX, type Transaction } from "./transactions.ts";
export {
  DATASET_ZONE,
  DatasetKeys,
  USER_ITEM_TYPE,
  USER_KEY_BYTES_MAX,
  datasetOf,
  datasetRange,
  prefixRange,
  userKey,
  userKeyBytes,
} from "./user-key.ts";
export { type SegmentTarget, TABLE_SEGMENTS_MAX, writeSegments } from "./write-segments.ts";
