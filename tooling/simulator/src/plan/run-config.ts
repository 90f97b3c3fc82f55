/*
 * The shape of one run: how large everything is and which features are on, drawn once from the seed.
 *
 * Each dimension draws from a stream of its own label, so that a new dimension, or one that is set by hand, shifts no
 * other. Most stay at their usual value in most seeds (a "swarm"): a rare size shows what it breaks best where the rest is
 * ordinary.
 */
import type { RandomStream } from "../world/random-stream.ts";

/** What of the device may be damaged in a run, beside what every device does. */
export type DamageScope =
  /** Nothing. */
  | "none"
  /** One copy of what stands twice, and marks of elections: nobody may notice. */
  | "mirrored"
  /** Also what stands once: errors and loss of service are allowed, wrong data is not. */
  | "anything";

/** The volume and its members' memory. */
export interface VolumeConfig {
  readonly sizeMiB: number;
  readonly termsMax: number;
  /** True: free space is in pieces, as after years of use. */
  readonly isAged: boolean;
  /** True: members can ask a fence agent, so what dead ones held comes back. */
  readonly isFenced: boolean;
  /** True: when all have left an operator renews the terms, and they come back. */
  readonly isRenewed: boolean;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
  readonly memtableBytes: number;
  readonly readCacheBytes: number;
  readonly blockCacheBytes: number;
}

/** What clients do; shares of operations add up to 1 or less, the rest are deletions. */
export interface LoadConfig {
  readonly clientCount: number;
  readonly thinkMaxMs: number;
  readonly keyCount: number;
  /** Lock ranges that the keys lie in. */
  readonly rangeCount: number;
  /** Groups of keys that are written and read together only. */
  readonly groupCount: number;
  /** Members that open the volume for one operation, again and again. */
  readonly visitorCount: number;
  readonly readShare: number;
  readonly scanShare: number;
  readonly writeShare: number;
  readonly batchShare: number;
  readonly groupShare: number;
}

/** How the device behaves when nothing disturbs it. */
export interface DeviceConfig {
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  /** False: whatever has completed survives a loss of power. */
  readonly isCacheVolatile: boolean;
  /** True: a torn write may end anywhere, not only between sectors. */
  readonly isTornAtBytes: boolean;
}

/** How the network behaves when nothing disturbs it. */
export interface NetworkConfig {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  readonly chunkingProbability: number;
}

/** Sessions beside those of the members, with windows that are full all the time. */
export interface SessionsConfig {
  /** 0: there are none. */
  readonly callerCount: number;
  /** Questions of one caller without an answer, at most. */
  readonly requestsInFlightMax: number;
  /** Bytes of them, at most. */
  readonly requestBytesMax: number;
  /** Mean time between two things that disturb a session. */
  readonly gapMs: number;
}

/** The shape of one run. */
export interface RunConfig {
  readonly hostCount: number;
  /** The first so many hosts listen and vote. */
  readonly voterCount: number;
  readonly volume: VolumeConfig;
  readonly load: LoadConfig;
  readonly device: DeviceConfig;
  readonly network: NetworkConfig;
  readonly sessions: SessionsConfig;
  /** Clocks run so much faster or slower than the world, at most. */
  readonly driftPpmMax: number;
  readonly damage: DamageScope;
  /** Length of the chaos, milliseconds. */
  readonly chaosMs: number;
}

/** What the one who asks for a run may decide. */
export interface ConfigWishes {
  readonly membersMin: number;
  readonly membersMax: number;
  readonly chaosMs?: number | undefined;
}

/** A rare size or feature is on in so many seeds. */
const RARE = 0.25;

/** A renewal shows little after the first hundreds. */
const RENEWED = 0.05;

/** Callers are half as much work as a whole cluster. */
const CALLED = 0.12;

const CHAOS_MIN_MS = 2500;
const CHAOS_MAX_MS = 5000;

/** Draws the shape of one run. */
export function drawConfig(random: RandomStream, wishes: ConfigWishes): RunConfig {
  const { membersMin, membersMax } = wishes;
  const hostCount = random.fork("hosts").between(membersMin, membersMax);
  const voters = random.fork("voters");
  const voterCount = voters.chance(RARE) ? voters.between(1, hostCount) : hostCount;
  const drift = random.fork("drift");
  const network = random.fork("network");
  return {
    hostCount,
    voterCount,
    volume: drawVolume(random.fork("volume"), voterCount),
    load: drawLoad(random.fork("load")),
    device: drawDevice(random.fork("device")),
    network: {
      delayMinMs: 0.05,
      delayMaxMs: network.chance(RARE) ? network.range(2, 20) : 1,
      chunkingProbability: network.chance(RARE) ? 0.5 : 0.1,
    },
    sessions: drawSessions(random.fork("sessions")),
    driftPpmMax: drift.chance(RARE) ? 1000 : 200,
    damage: drawDamage(random.fork("damage")),
    chaosMs: wishes.chaosMs ?? Math.round(random.fork("chaos").range(CHAOS_MIN_MS, CHAOS_MAX_MS)),
  };
}

function drawVolume(random: RandomStream, voterCount: number): VolumeConfig {
  const memory = random.fork("memory");
  const isTiny = memory.chance(RARE);
  const votes = random.fork("votes");
  return {
    sizeMiB: 4096,
    termsMax: random.fork("terms").chance(RARE) ? 64 : 256,
    isAged: random.fork("age").chance(0.5),
    isFenced: !random.fork("fence").chance(RARE),
    isRenewed: random.fork("renewal").chance(RENEWED),
    votes: votes.chance(RARE) ? votes.between(1, Math.ceil(voterCount / 2)) : 1,
    memtableBytes: (memory.chance(RARE) ? 16 : 64) * 1024,
    readCacheBytes: isTiny ? 4096 : 8 * 1024 * 1024,
    blockCacheBytes: isTiny ? 65_536 : 8 * 1024 * 1024,
  };
}

function drawLoad(random: RandomStream): LoadConfig {
  const mix = random.fork("mix");
  const isReadMostly = mix.chance(RARE);
  const visitors = random.fork("visitors");
  return {
    clientCount: random.fork("clients").between(3, 8),
    thinkMaxMs: random.fork("think").between(10, 80),
    keyCount: random.fork("keys").between(8, 16),
    rangeCount: random.fork("ranges").between(3, 6),
    groupCount: random.fork("groups").between(1, 2),
    visitorCount: visitors.chance(RARE) ? visitors.between(1, 2) : 0,
    readShare: isReadMostly ? 0.6 : 0.35,
    scanShare: 0.05,
    writeShare: isReadMostly ? 0.12 : 0.3,
    batchShare: 0.08,
    groupShare: isReadMostly ? 0.1 : 0.16,
  };
}

function drawDevice(random: RandomStream): DeviceConfig {
  const latency = random.fork("latency");
  return {
    latencyMinMs: 0.03,
    latencyMaxMs: latency.chance(RARE) ? latency.range(2, 15) : 0.4,
    isCacheVolatile: !random.fork("cache").chance(RARE),
    isTornAtBytes: random.fork("tearing").chance(0.5),
  };
}

function drawSessions(random: RandomStream): SessionsConfig {
  return {
    callerCount: random.chance(CALLED) ? random.between(1, 2) : 0,
    requestsInFlightMax: random.fork("count").between(2, 8),
    requestBytesMax: random.fork("bytes").between(1000, 5000),
    gapMs: random.fork("density").between(100, 600),
  };
}

function drawDamage(random: RandomStream): DamageScope {
  const dice = random.unit();
  if (dice < 0.12) return "anything";
  return dice < 0.4 ? "mirrored" : "none";
}
