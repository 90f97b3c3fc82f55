export {
  type Bytes,
  type Change,
  ClosedError,
  Dataset,
  DatasetError,
  type DatasetTransaction,
  DEFAULT_MEMBER_TIMING,
  type Entry,
  EvictedError,
  type MemberReport,
  type MemberTiming,
  NoSpaceError,
  type ScanOptions,
  type StatusReply,
  VolumeError,
  VolumeTooSmallError,
} from "@holdfast/member";
export { DeviceError, HoldfastError, type Logger, TransportError } from "@holdfast/environment";
export { type MakeVolumeOptions, makeVolume } from "./make-volume.ts";
export { DEFAULT_LISTEN_ADDRESS } from "./listen-address.ts";
export { openVolume, type OpenVolumeOptions, Volume } from "./open-volume.ts";
export type { Access, AccessScan } from "./access.ts";
export { MemberGoneError, RemoteError } from "./admin/admin-client.ts";
export { connectToMember } from "./connect-to-member.ts";
