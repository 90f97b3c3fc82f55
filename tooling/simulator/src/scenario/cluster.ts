/*
 * What the scenario knows of the thing it tests: a cluster of members that store text under text.
 */
import type { BrokenRules } from "@holdfast/environment";
import type { Anatomy } from "../atlas/anatomy.ts";
import type { FaultAtlas } from "../atlas/fault-atlas.ts";
import type { RunConfig } from "../plan/run-config.ts";
import type { LandingJudge } from "../world/landings.ts";
import type { SimulatedDisk } from "../world/disk.ts";
import type { Medium } from "../world/medium.ts";
import type { SimulatedNetwork } from "../world/network.ts";
import type { SimulatedPorts } from "../world/ports.ts";
import type { SimulatedProcess } from "../world/process.ts";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedWorld } from "../world/world.ts";
import type { Counters } from "./counters.ts";

/** One write of a transaction; without a value it deletes. */
export interface KeyWrite {
  readonly key: string;
  readonly value: string | undefined;
}

/** What a member says of itself. */
export interface ClusterStatus {
  /** True if it serves the others now. */
  readonly isServing: boolean;
  /** Newest term it knows. */
  readonly term: bigint;
}

/** A member that has opened the volume. */
export interface ClusterMember {
  /** Resolves when the write is acknowledged. */
  put(key: string, value: string): Promise<void>;
  /** Resolves when the deletion is acknowledged; an absent key is no error. */
  del(key: string): Promise<void>;
  /** Writes several keys at once or none. */
  transact(writes: readonly KeyWrite[]): Promise<void>;
  /** Values of several keys as of one moment. */
  readTogether(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  get(key: string): Promise<string | undefined>;
  /** All keys; each value was the key's at some moment during the call. */
  scan(): Promise<ReadonlyMap<string, string>>;
  /** Leaves the cluster. */
  close(): Promise<void>;
  status(): ClusterStatus | Promise<ClusterStatus>;
}

/** What a member is opened with. */
export interface OpenOptions {
  readonly ports: SimulatedPorts;
  /** The process it runs in; whoever knows its identity on the volume sets `process.rid`. */
  readonly process: SimulatedProcess;
  /** Where it listens; a member without an address never votes. */
  readonly listenAddress: string | undefined;
  readonly brokenRules: BrokenRules;
  /** Told when the membership ended by itself; the process is replaced then. */
  readonly onLost: (error: unknown) => void;
}

/** Where a cluster's watchers may look. */
export interface WatchedWorld {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
}

/** What a cluster may use of the world it lives in, for judging and for drawing what the seed decides. */
export interface ClusterWorld {
  readonly config: RunConfig;
  /** For events worth counting. */
  readonly counters: Counters;
  /** Chance for the volume alone. */
  readonly random: RandomStream;
  /** The bytes of the device, past all ports. */
  readonly medium: Medium;
  /** Tells the atlas that elections have halted for want of a record; false if no damage to records explains that. */
  readonly halted: FaultAtlas["halted"];
  /** Tells the world who a process is on the volume, as soon as somebody says so. */
  readonly identify: (process: string, rid: bigint) => void;
  /** Told at once what is wrong with the whole. */
  readonly complain: (message: string) => void;
  /** Notes an event for people who read the log of a run; asked for the words only if somebody does. */
  readonly note: (process: string, what: () => string) => void;
  readonly watched: WatchedWorld;
}

/** A cluster that a scenario can put to the test. One object serves one run. */
export interface Cluster {
  /** Makes a fresh volume. */
  format(ports: SimulatedPorts): Promise<void>;
  open(options: OpenOptions): Promise<ClusterMember>;
  /** Starts the term slots afresh, while nobody is a member. */
  renew?(ports: SimulatedPorts): Promise<void>;
  /** Judges each write that lands on the device. */
  readonly judgeLanding?: LandingJudge;
  /** Asked after everything was healed, until it is nothing: what must come to an end by itself, in words. */
  leftovers?(): readonly string[];
  /** Asked once everything is quiet and everybody has left: what is wrong with the whole, one complaint each. */
  inspect?(): readonly string[];
  /** Given once before the run. */
  useWorld?(world: ClusterWorld): void;
  /** What may be damaged; without it nothing is. */
  readonly anatomy?: Anatomy;
}
