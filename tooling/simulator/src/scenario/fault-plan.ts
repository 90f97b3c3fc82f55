/*
 * The plan of a run's faults: drawn once from the seed, before anything happens.
 *
 * Each seed first draws which kinds of fault it knows at all (a "swarm"), then when each strikes. What a fault strikes
 * is chosen when it does, from a number in the plan, so that a plan without one of its faults still makes sense.
 */
import type { RandomStream } from "../world/random-stream.ts";

/** Kinds of fault. */
export const FAULT_KINDS = [
  /** A random member is killed and started again. */
  "crash",
  /** The server is killed and started again. */
  "crash-server",
  /** A random member is stopped for longer or shorter than all time-outs. */
  "pause",
  /** The server is stopped likewise. */
  "pause-server",
  /** The server reaches nobody, and nobody reaches it. */
  "isolate-server",
  /** A random member reaches nobody, but hears. */
  "one-way",
  /** The members fall into two halves. */
  "halves",
  /** A random member's links are slow. */
  "slow-links",
  /** All streams between two members are reset. */
  "reset-streams",
  /** What a random member writes to the disk lands much later. */
  "hold-writes",
  /** What the server writes to the disk lands later, and the server is stopped meanwhile. */
  "hold-server",
  /** A random member is cut off as it writes to its journal: it is evicted before that write lands. */
  "hold-member",
  /** The server reaches nobody and what it writes lands later, while it goes on. */
  "cut-off-server",
  /** The server dies silently, and the first claim of a term that follows lands late: two run for one term. */
  "race-election",
  /** The server is cut off from the others but not from the disk, and whoever claims its succession first dies of it. */
  "stumbling-election",
  /** Whoever next makes a write of a drawn kind dies of it: before, after or in the middle of its landing. */
  "crash-at-write",
  /** Whoever next makes a write of a drawn kind is stopped, and the write lands before it goes on. */
  "pause-at-write",
  /** All lose power while a write of a drawn kind lands. */
  "power-loss-at-write",
  /** The disk answers nobody for a while. */
  "stall-disk",
  /** The disk and all members lose power; what was not flushed is lost. */
  "power-loss",
  /** A random member leaves as it should, and comes back. */
  "leave",
  /** Requests to the disk fail now and then. Not part of a swarm unless asked for. */
  "disk-errors",
] as const;

/** One kind of fault. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault of a plan. */
export interface Fault {
  readonly kind: FaultKind;
  /** When it strikes, milliseconds after the start of chaos. */
  readonly atMs: number;
  /** How long it lasts, milliseconds. */
  readonly lastsMs: number;
  /** Chooses its victims, 0 … 2^32−1. */
  readonly choice: number;
}

/** What a plan is drawn from. */
export interface FaultPlanOptions {
  /** Length of the chaos, milliseconds. */
  readonly chaosMs: number;
  /** Kinds to use, all of them; without it each seed draws its own. */
  readonly kinds?: readonly FaultKind[] | undefined;
}

const GAP_MIN_MS = 100;
const GAP_MEAN_MS = 600;
const LASTS_MIN_MS = 30;
const LASTS_MAX_MS = 5000;
const SWARM_PROBABILITY = 0.45;

/** Draws the faults of one run, in the order of their times. */
export function planFaults(random: RandomStream, options: FaultPlanOptions): Fault[] {
  const kinds = options.kinds ?? drawKinds(random);
  const faults: Fault[] = [];
  let atMs = 500;
  while (kinds.length > 0) {
    atMs += GAP_MIN_MS - Math.log(1 - random.unit()) * GAP_MEAN_MS;
    if (atMs >= options.chaosMs) break;
    const kind = random.pick(kinds);
    const lastsMs = Math.exp(random.range(Math.log(LASTS_MIN_MS), Math.log(LASTS_MAX_MS)));
    const choice = random.u32();
    if (kind !== undefined) faults.push({ kind, atMs, lastsMs, choice });
  }
  return faults;
}

function drawKinds(random: RandomStream): FaultKind[] {
  const drawn = FAULT_KINDS.filter((kind) => {
    const isDrawn = random.chance(SWARM_PROBABILITY);
    return isDrawn && kind !== "disk-errors";
  });
  return drawn.length > 0 ? drawn : ["crash-server"];
}
