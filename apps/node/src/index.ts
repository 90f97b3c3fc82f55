export {
  type Bytes,
  type Change,
  ClosedError,
  type CloseOptions,
  CloseTimeoutError,
  Dataset,
  DatasetError,
  type DatasetTransaction,
  DEFAULT_MEMBER_TIMING,
  type Entry,
  EvictedError,
  type FenceOptions,
  FenceRefusedError,
  type FenceReply,
  type MemberReport,
  type MemberTiming,
  NoSpaceError,
  RenewRefusedError,
  type RenewReport,
  type ScanOptions,
  type StatusReply,
  TooFewVotersError,
  type TuneRequest,
  VolumeError,
  VolumeTooSmallError,
} from "@holdfast/member";
export { DeviceError, HoldfastError, type Logger, TransportError } from "@holdfast/environment";
export { type MakeVolumeOptions, makeVolume } from "./make-volume.ts";
export { DEFAULT_LISTEN_ADDRESS } from "./listen-address.ts";
export { renewTerms, type RenewTermsOptions } from "./renew-terms.ts";
export { openVolume, type OpenVolumeOptions, Volume } from "./open-volume.ts";
export type { Access, AccessScan } from "./access.ts";
export { MemberGoneError, RemoteError } from "./admin/admin-client.ts";
export { connectToMember } from "./connect-to-member.ts";
export { FenceAgentError } from "./open-fence-agent.ts";
