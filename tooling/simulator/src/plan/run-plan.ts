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

/** The run of a seed. */
export function planRun(seed: bigint, wishes: PlanWishes): RunPlan {
  const random = new RandomStream(seed, "plan");
  const config = drawConfig(random.fork("config"), wishes);
  const { chaosMs, damage } = config;
  return {
    seed,
    config,
    faults: drawFaults(random.fork("faults"), { chaosMs, damage, kinds: wishes.faults }),
  };
}
