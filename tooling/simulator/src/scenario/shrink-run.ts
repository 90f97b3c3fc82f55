/*
 * Shrinks the plan of a run that found something, to one that finds something of the same kind.
 */
import { type ShrunkPlan, shrinkPlan } from "../plan/shrink.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { type PlanOptions, runPlan, type ScenarioResult } from "./run-scenario.ts";

/** What {@link shrinkRun} works with. */
export interface ShrinkRunOptions extends Omit<PlanOptions, "cluster"> {
  readonly makeCluster: () => PlanOptions["cluster"];
  readonly runsMax?: number;
  readonly onSmaller?: (plan: RunPlan, runCount: number) => void;
}

/** Runs for one plan: about a minute. */
const RUNS_MAX = 150;

/** Shrinks the plan of a bad run; what it found first must be found again. */
export async function shrinkRun(
  { plan, violations }: Pick<ScenarioResult, "plan" | "violations">,
  options: ShrinkRunOptions,
): Promise<ShrunkPlan> {
  const { makeCluster, runsMax = RUNS_MAX, onSmaller, ...rest } = options;
  const [first] = violations;
  return await shrinkPlan(plan, {
    runsMax,
    ...(onSmaller === undefined ? {} : { onSmaller }),
    isBad: async (smaller) => {
      const run = await runPlan(smaller, { ...rest, cluster: makeCluster() });
      return run.violations.some(({ type }) => type === first?.type);
    },
  });
}

/** A plan in words: its shape in one line, one more for each fault. */
export function describePlan({ seed, config, faults }: RunPlan): string {
  const { hostCount, voterCount, load, chaosMs, damage } = config;
  const shape =
    `seed ${seed}: ${hostCount} members, ${voterCount} of them voters, ${load.clientCount} clients, ` +
    `${chaosMs} ms, damage: ${damage}`;
  const lines = faults.map(
    ({ id, atMs, lastsMs, choice }) =>
      `  after ${atMs.toFixed(0).padStart(6)} ms: ${id} for ${lastsMs.toFixed(0)} ms, host ${(choice % hostCount) + 1}`,
  );
  return `${[shape, ...lines].join("\n")}\n`;
}
