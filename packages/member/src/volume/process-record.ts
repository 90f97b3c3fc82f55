/*
 * The process that a member lives in, as records and messages carry it.
 *
 * Only a process of the same host, the same start of its kernel, with a device that no network stands in front of, proves
 * anything by being gone: elsewhere its writes may be under way still.
 */
import { type Processes, type ProcessIdentity, UNKNOWN_PROCESS } from "@holdfast/environment";
import {
  bool,
  flag,
  type MessageCodec,
  message,
  type StructCodec,
  string,
  struct,
  text,
  u32,
  u64,
  uint,
  uint64,
} from "@holdfast/wire-format";

/** A process and how it reaches the volume. */
export interface ProcessRecord extends ProcessIdentity {
  /** True if its writes end with it: the device is on its host. */
  readonly isDeviceLocal: boolean;
}

/** Linux allows host names of 64 bytes; the id of a boot is a UUID. */
const HOST_NAME_BYTES_MAX = 64;
const BOOT_ID_BYTES_MAX = 36;

/** Layout of a process in records. */
export const ProcessRecord: StructCodec<ProcessRecord> = struct("ProcessRecord", {
  hostName: text(HOST_NAME_BYTES_MAX),
  bootId: text(BOOT_ID_BYTES_MAX),
  namespace: u64,
  pid: u32,
  startTime: u64,
  isDeviceLocal: flag,
});

/** Codec of a process in messages. */
export const ProcessMessage: MessageCodec<ProcessRecord> = message("Process", {
  hostName: string(HOST_NAME_BYTES_MAX),
  bootId: string(BOOT_ID_BYTES_MAX),
  namespace: uint64,
  pid: uint,
  startTime: uint64,
  isDeviceLocal: bool,
});

/** A process that proves nothing. */
export const NO_PROCESS: ProcessRecord = { ...UNKNOWN_PROCESS, isDeviceLocal: false };

/** This process, by what its host and its device say. */
export function ownProcess(
  processes: Processes | undefined,
  device: { readonly isLocal: boolean },
): ProcessRecord {
  return { ...(processes?.own ?? UNKNOWN_PROCESS), isDeviceLocal: device.isLocal };
}

/** True if both are of one host since its start, and nothing that either wrote can be under way elsewhere. */
export function canJudge(judge: ProcessRecord, other: ProcessRecord): boolean {
  const isSameHost = judge.bootId === other.bootId && judge.namespace === other.namespace;
  const isKnown = other.bootId !== "" && other.namespace !== 0n && other.pid !== 0;
  return isSameHost && isKnown && judge.isDeviceLocal && other.isDeviceLocal;
}

/** True if a process can never write to the volume again, as the host that it shares with `judge` knows. */
export async function isProvenGone(
  processes: Processes | undefined,
  judge: ProcessRecord,
  other: ProcessRecord,
): Promise<boolean> {
  return processes !== undefined && canJudge(judge, other) && (await processes.isGone(other));
}
