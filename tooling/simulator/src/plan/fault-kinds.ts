/*
 * Kinds of fault, and when a seed may draw them.
 */
import type { DamageScope } from "./run-config.ts";

/** Faults of processes. */
const PROCESS_FAULTS = [
  /** A random member is killed and started again. */
  "crash",
  /** The server is killed and started again. */
  "crash-server",
  /** A random member is stopped for longer or shorter than all time-outs. */
  "pause",
  /** The server is stopped likewise. */
  "pause-server",
  /** A random member is stopped together with its clock, as by a hypervisor: it cannot know. */
  "hidden-pause",
  /** A random member leaves as it should, and comes back. */
  "leave",
  /** Its wall clock jumps by up to ten years, forwards or back. */
  "wall-jump",
  /** Its wall clock jumps to and fro, each second or more often. */
  "wall-strobe",
] as const;

/** Faults of links. */
const NETWORK_FAULTS = [
  /** The server reaches nobody, and nobody reaches it. */
  "isolate-server",
  /** A random member reaches nobody, but hears. */
  "one-way",
  /** A random member is reached by nobody, but is heard. */
  "one-way-in",
  /** The members fall into two halves. */
  "halves",
  /** The members fall into two halves, and one member reaches both. */
  "bridge",
  /** Each member reaches its two neighbours only. */
  "ring",
  /** A random subset of members is stopped from talking one by one, and let go one by one in another order. */
  "swizzle-clog",
  /** The links of a random member break and mend many times. */
  "flapping",
  /** A random member's links are slow. */
  "slow-links",
  /** All streams between two members are reset. */
  "reset-streams",
  /** All streams between two members die without a word: each end believes in them. */
  "half-open",
] as const;

/** Faults of the device that change the time and the success of requests. */
const DEVICE_FAULTS = [
  /** What a random member writes to the disk lands much later. */
  "hold-writes",
  /** What the server writes to the disk lands later, and the server is stopped meanwhile. */
  "hold-server",
  /** A random member is killed, and what it had written lands much later, after its eviction too. */
  "ghost-writes",
  /** The disk answers nobody for a while. */
  "stall-disk",
  /** The disk does not answer a random member for a while, up to a minute. */
  "stall-path",
  /** The disk and all members lose power; what was not flushed is lost. */
  "power-loss",
  /** Requests to the disk fail now and then. */
  "disk-errors",
  /** Every request of some kind of a random member fails. */
  "path-fails",
  /** Every request of some kind of the server fails. */
  "server-path-fails",
] as const;

/** Faults that strike at one tender moment of the protocol. */
const AIMED_FAULTS = [
  /** A random member is cut off as it writes to its journal: it is evicted before that write lands. */
  "hold-member",
  /** The server reaches nobody and what it writes lands later, while it goes on. */
  "cut-off-server",
  /** The server dies silently, and the first claim of a term that follows lands late: two run for one term. */
  "race-election",
  /** A random member reaches nobody until its lease is over and it is evicted. */
  "outlast-lease",
  /** The server is cut off from the others but not from the disk, and whoever claims its succession first dies of it. */
  "stumbling-election",
  /** Whoever next makes a write of a drawn kind dies of it: before, after or in the middle of its landing. */
  "crash-at-write",
  /** Whoever next makes a write of a drawn kind is stopped, and the write lands before it goes on. */
  "pause-at-write",
  /** All lose power while a write of a drawn kind lands. */
  "power-loss-at-write",
] as const;

/** Damage that a lying device does; see atlas/ for what it may strike. */
const DAMAGE_FAULTS = [
  /** Bits of a block flip, or it becomes garbage or zeros. */
  "bit-rot",
  /** A write is acknowledged and not done. */
  "lost-write",
  /** A write is acknowledged, not done, and done elsewhere instead. */
  "misdirected-write",
  /** For a while some reads return another block. */
  "misdirected-reads",
  /** For a while some reads return what the block held before. */
  "stale-reads",
] as const;

/** Damage that must end the service of a volume: few seeds draw it, since nothing else happens behind it. */
const HALTING_FAULTS = [
  /** A server dies of a torn copy of its record while the other copy of that half rots: elections must halt. */
  "rot-beside-torn-record",
] as const;

/** Faults that a seed never draws by itself: their outcome needs a judge who knows of them. */
const SPECIAL_FAULTS = [
  /** The whole device goes back to what it held some time ago, under running members. */
  "roll-back-device",
] as const;

/** Kinds of faults of processes and their clocks. */
export type ProcessFault = (typeof PROCESS_FAULTS)[number];

/** Kinds of faults of links. */
export type NetworkFault = (typeof NETWORK_FAULTS)[number];

/** Kinds of faults that change when and whether requests of the device end. */
export type DeviceFault = (typeof DEVICE_FAULTS)[number];

/** Kinds of faults that wait for one moment. */
export type AimedFault = (typeof AIMED_FAULTS)[number];

/** A kind that damages what the device holds or shows. */
export type DamageKind = (typeof DAMAGE_FAULTS)[number];

/** A kind of damage behind which no election can end. */
export type HaltingFault = (typeof HALTING_FAULTS)[number];

/** One kind of fault. */
export type FaultKind =
  | ProcessFault
  | NetworkFault
  | DeviceFault
  | AimedFault
  | DamageKind
  | HaltingFault
  | (typeof SPECIAL_FAULTS)[number];

/** All kinds of fault. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...DEVICE_FAULTS,
  ...AIMED_FAULTS,
  ...DAMAGE_FAULTS,
  ...HALTING_FAULTS,
  ...SPECIAL_FAULTS,
];

/** True for kinds of damage. */
export function isDamage(kind: FaultKind): kind is DamageKind {
  return DAMAGE_FAULTS.some((one) => one === kind);
}

/** True for kinds that end the service of a volume. */
export function isHalting(kind: FaultKind): kind is HaltingFault {
  return HALTING_FAULTS.some((one) => one === kind);
}

/** The kinds that a seed may draw by itself. */
export function drawableKinds(damage: DamageScope): readonly FaultKind[] {
  const ordinary = [...PROCESS_FAULTS, ...NETWORK_FAULTS, ...DEVICE_FAULTS, ...AIMED_FAULTS];
  return damage === "none" ? ordinary : [...ordinary, ...DAMAGE_FAULTS, ...HALTING_FAULTS];
}

/** The kind of a name. */
export function faultKindOf(name: string): FaultKind | undefined {
  return FAULT_KINDS.find((known) => known === name);
}
