export { type CreateOptions, createVolumeFile } from "./create-volume-file.ts";
export { detectForeignSignature, type ForeignSignature } from "./foreign-signature.ts";
export { MEMORY_DEVICE_BYTES_MAX, removeMemoryDevice } from "./memory-device.ts";
export { InFlight, type PartialReply, type ReplyTarget } from "./nbd/in-flight.ts";
export {
  Negotiation,
  type NbdExport,
  type NegotiationEffect,
  type NegotiationEvent,
} from "./nbd/negotiation.ts";
export type { NbdDevice, NbdLimits } from "./nbd/nbd-device.ts";
export { isNbdUrl } from "./nbd/nbd-url.ts";
export { type NbdOptions, openNbdDevice } from "./nbd/open-nbd-device.ts";
export { type Answered, ReplyParser } from "./nbd/reply-parser.ts";
export { openBlockDevice } from "./open-block-device.ts";
export type { OpenedBlockDevice, OpenOptions } from "./opened-block-device.ts";
