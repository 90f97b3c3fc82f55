export {
  ExtentError,
  type ExtentErrorCode,
  type ExtentFacts,
  FreeSpaceCorruptError,
  type FreeSpaceCorruptFacts,
  GrantExhaustedError,
} from "./errors.ts";
export * from "./extent.ts";
export { ExtentSet } from "./extent-set.ts";
export { FreeSpace, FreeSpaceCounters, type FreeSpaceSnapshot, NO_FREE_SPACE } from "./free-space.ts";
export { FREE_SPACE_FORMAT } from "./free-space-keys.ts";
export * from "./limits.ts";
export { DEFAULT_POOL_MARKS, MemberPool, type PoolMarks } from "./member-pool.ts";
export { MetadataGrant, type MetadataGrantSnapshot } from "./metadata-grant.ts";
export * from "./quarantine.ts";
