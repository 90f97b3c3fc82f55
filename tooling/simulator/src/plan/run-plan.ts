/*
 * A run as data: a seed for everything small, the shape of the world, and each fault with its time.
 *
 * `planRun` draws one from a seed; `runPlan` (scenario/run-plan.ts) runs one, and nothing but the plan and the code
 * decides what happens. So a plan can be kept in a file, cut down, and run again.
 */
import { RandomStream } from "../world/random-stream.ts";
import { drawFaults, type Fault } from "./draw-faults.ts";
import type { FaultKind } from "./fault-kinds.ts";
import { type ConfigWishes, drawConfig, type RunConfig } from "./run-config.ts";

/** Everything that decides a run. */
export interface RunPlan {
  /** Seed of latencies, ties and clients, 0 … 2^64−1. */
  readonly seed: bigint;
  readonly config: RunConfig;
  /** In the order of their times. */
  readonly faults: readonly Fault[];
}

/** What the one who asks for a run may decide. */
export interface PlanWishes extends ConfigWishes {
  /** Kinds of fault to use, all of them; without it the seed draws. */
  readonly faults?: readonly FaultKind[] | undefined;
}

/** Of so many seeds one has a process that stands still for longer than every time-out; more would cost more than they show. */
const OUTLASTING_ONE_IN = 60;

/** Longer than what a member waits for when it closes, and a server until it forgets a session. */
const LONG_PAUSE_MIN_MS = 31_000;
const LONG_PAUSE_MAX_MS = 35_000;

/** Longest time between two calls of a client meanwhile. */
const OUTLASTING_THINK_MS = 400;

/** So long it may go on before everything is healed. */
const BEHIND_LONG_PAUSE_MS = 1500;

/** The run of a seed. */
export function planRun(seed: bigint, wishes: PlanWishes): RunPlan {
  const random = new RandomStream(seed, "plan");
  const config = drawConfig(random.fork("config"), wishes);
  const { chaosMs, damage } = config;
  const faults = drawFaults(random.fork("faults"), { chaosMs, damage, kinds: wishes.faults });
  const isShaped = wishes.faults !== undefined || wishes.chaosMs !== undefined;
  const outlasting = random.fork("outlasting");
  if (isShaped || !outlasting.chance(1 / OUTLASTING_ONE_IN)) return { seed, config, faults };
  const long = drawLongPause(outlasting, chaosMs);
  const untilMs = long.atMs + long.lastsMs + BEHIND_LONG_PAUSE_MS;
  return {
    seed,
    config: {
      ...config,
      chaosMs: untilMs,
      // A fence agent would kill it.
      volume: { ...config.volume, isFenced: false },
      // Not more calls than in other runs, or the judge's search would take longer than all else.
      load: { ...config.load, thinkMaxMs: OUTLASTING_THINK_MS },
    },
    faults: [...faults, long].sort((a, b) => a.atMs - b.atMs),
  };
}

/** The server, or anybody, stands still among the other faults and goes on when all others have long recovered. */
function drawLongPause(random: RandomStream, chaosMs: number): Fault {
  return {
    id: "long-pause",
    kind: random.chance(0.5) ? "pause-server" : "pause",
    atMs: random.between(300, chaosMs),
    lastsMs: random.between(LONG_PAUSE_MIN_MS, LONG_PAUSE_MAX_MS),
    choice: random.u32(),
  };
}
