/*
 * Plans that are kept as files: runs that failed once, and schedules that are worth a run each time.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parsePlan } from "../plan/plan-text.ts";
import type { RunPlan } from "../plan/run-plan.ts";

/** A plan in a file. */
export interface KeptPlan {
  readonly name: string;
  readonly plan: RunPlan;
}

/**
 * All plans of a folder, by name.
 *
 * @throws {@link PlanFormatError} when a file is no plan.
 */
export function readPlans(folder: string): readonly KeptPlan[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => ({
      name: name.slice(0, -".json".length),
      plan: parsePlan(readFileSync(join(folder, name), "utf8")),
    }));
}
