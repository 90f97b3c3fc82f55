import { expect, test } from "vitest";
import {
  describePlan,
  type Fault,
  MemberCluster,
  planRun,
  readPlans,
  runPlan,
  type RunPlan,
  runScenario,
  shrinkPlan,
  shrinkRun,
} from "../src/index.ts";
import { fileURLToPath } from "node:url";
import { NO_BROKEN_RULES } from "@holdfast/environment";

const PLANS_FOLDER = fileURLToPath(new URL("../plans", import.meta.url));
const A_WHILE = { timeout: 120_000 };

function crashes(count: number): readonly Fault[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `crash-${index + 1}`,
    kind: "crash",
    atMs: 100 * index,
    lastsMs: 640,
    choice: index,
  }));
}

function planOf(faults: readonly Fault[]): RunPlan {
  return { ...planRun(5n, { membersMin: 5, membersMax: 5 }), faults };
}

test("of forty faults the two that matter are left, and everything else is as small as it can be", async () => {
  const isBad = ({ faults, config }: RunPlan): Promise<boolean> => {
    const ids = new Set(faults.map(({ id }) => id));
    return Promise.resolve(ids.has("crash-7") && ids.has("crash-31") && config.hostCount >= 2);
  };

  const { plan, runCount } = await shrinkPlan(planOf(crashes(40)), { isBad, runsMax: 200 });

  expect(plan.faults.map(({ id }) => id)).toEqual(["crash-7", "crash-31"]);
  expect(plan.faults.every(({ lastsMs }) => lastsMs < 20)).toBe(true);
  expect(plan.config.hostCount).toBe(2);
  expect(plan.config.load).toMatchObject({ clientCount: 1, keyCount: 1, rangeCount: 1, visitorCount: 0 });
  expect(runCount).toBeLessThan(150);
});

test("a plan that fails without any fault keeps none", async () => {
  const { plan } = await shrinkPlan(planOf(crashes(9)), { isBad: () => Promise.resolve(true), runsMax: 100 });

  expect(plan.faults).toEqual([]);
});

test("when the runs are used up the smallest plan so far is good enough", async () => {
  const isBad = ({ faults }: RunPlan): Promise<boolean> => Promise.resolve(faults.length >= 3);

  const { plan, runCount } = await shrinkPlan(planOf(crashes(40)), { isBad, runsMax: 2 });

  expect(runCount).toBe(2);
  expect(plan.faults.length).toBeGreaterThanOrEqual(3);
});

test(
  "the plan of a run without a rule is shrunk to a few faults, and fails in the same way",
  A_WHILE,
  async () => {
    const run = { brokenRules: new Set(["adopt-from-the-top"]), makeCluster: () => new MemberCluster() };
    const wishes = { membersMin: 3, membersMax: 3, faults: ["crash-server", "slow-links"] as const };
    const found = await runScenario({
      ...run,
      ...wishes,
      cluster: new MemberCluster(),
      seed: 2n,
      chaosMs: 2500,
    });

    const { plan } = await shrinkRun(found, { ...run, runsMax: 20 });
    const again = await runPlan(plan, { ...run, cluster: new MemberCluster() });

    expect(found.violations).not.toEqual([]);
    expect(plan.faults.length).toBeLessThanOrEqual(3);
    expect(again.violations.map(({ type }) => type)).toContain(found.violations[0]?.type);
    expect(describePlan(plan).split("\n")).toHaveLength(plan.faults.length + 2);
  },
);

test.each(readPlans(PLANS_FOLDER).map(({ name, plan }) => [name, plan] as const))(
  "the kept plan %s finds nothing",
  A_WHILE,
  async (_name, plan) => {
    const { violations } = await runPlan(plan, {
      cluster: new MemberCluster(),
      brokenRules: NO_BROKEN_RULES,
    });

    expect(violations).toEqual([]);
  },
);
