import { NO_BROKEN_RULES } from "@holdfast/environment";
import { expect, test } from "vitest";
import { KeySpace, planRun, runPlan } from "../src/index.ts";
import { ToyCluster } from "./toy-cluster.ts";

test("groups of keys lie in several lock ranges, and none of their keys is used alone", () => {
  const { load } = planRun(1n, { membersMin: 2, membersMax: 5 }).config;
  const keys = new KeySpace(load);

  for (const group of keys.groups) {
    expect(new Set(group.keys.map((key) => key[0])).size).toBe(group.keys.length);
    expect(group.keys.filter((key) => keys.single.includes(key))).toEqual([]);
    expect(group.keys.every((key) => keys.has(key))).toBe(true);
  }
});

test("a transaction that is seen in parts is found out: not-atomic", async () => {
  const plan = planRun(1n, { membersMin: 2, membersMax: 2, faults: ["slow-links"], chaosMs: 8000 });
  const load = { ...plan.config.load, keyCount: 1, groupShare: 0.9, readShare: 0, scanShare: 0 };

  const { violations } = await runPlan(
    { ...plan, config: { ...plan.config, load } },
    { cluster: new ToyCluster("late-key"), brokenRules: NO_BROKEN_RULES, livenessMs: 20_000 },
  );

  expect(violations.map(({ type }) => type)).toContain("not-atomic");
});

test("a plan that is run again comes to the same, and without one of its faults the others strike alike", async () => {
  const plan = planRun(5n, { membersMin: 3, membersMax: 3, faults: ["crash", "pause", "flapping"] });
  const run = (faults = plan.faults) =>
    runPlan({ ...plan, faults }, { cluster: new ToyCluster(), brokenRules: NO_BROKEN_RULES });

  const [first, again, less] = [await run(), await run(), await run(plan.faults.slice(1))];

  expect(again.traceHash).toBe(first.traceHash);
  expect(less.plan.faults).toEqual(plan.faults.slice(1));
  expect(less.violations).toEqual([]);
});
