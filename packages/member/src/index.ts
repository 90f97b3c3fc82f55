export * from "./catalog.ts";
export * from "./dataset.ts";
export * from "./errors.ts";
export * from "./formats.ts";
export { CloseTimeoutError } from "./leaving.ts";
export * from "./member.ts";
export { Command } from "./protocol.ts";
export {
  FenceReply,
  FenceRequest,
  MemberStatus,
  QuarantineStatus,
  StatusReply,
  TuneRequest,
} from "./protocol.ts";
export { type CompactorLimits, DEFAULT_COMPACTOR_LIMITS } from "./server/compactor.ts";
export * from "./server/fencing/owner-record.ts";
export * from "./server/member-records.ts";
export { NOBODY, NoSpaceError, type NoSpaceErrorCode } from "./server/volume-trees.ts";
export * from "./timing.ts";
export * from "./volume/format-volume.ts";
export * from "./volume/layout.ts";
export * from "./volume/living-voters.ts";
export * from "./volume/node-store.ts";
export * from "./volume/process-record.ts";
export * from "./volume/quorum-region.ts";
export * from "./volume/renew-volume.ts";
export * from "./volume/super-block.ts";
export * from "./volume/volume-state.ts";
