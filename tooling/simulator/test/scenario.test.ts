import { NO_BROKEN_RULES } from "@holdfast/environment";
import { expect, test } from "vitest";
import {
  checkHistory,
  formatHistory,
  parseHistory,
  parseSimulateArguments,
  runScenario,
  runSeeds,
  type ScenarioResult,
} from "../src/index.ts";
import { ToyCluster, type ToyFault } from "./toy-cluster.ts";

function run(seed: bigint, fault?: ToyFault): Promise<ScenarioResult> {
  return runScenario({
    seed,
    cluster: new ToyCluster(fault),
    membersMin: 2,
    membersMax: 5,
    brokenRules: NO_BROKEN_RULES,
    chaosMs: 8000,
    livenessMs: 20_000,
    // What a toy does wrong shows under faults that leave its processes alone.
    faults: fault === undefined ? undefined : ["slow-links", "one-way", "stall-disk"],
  });
}

test.each([1n, 2n, 3n, 4n, 5n, 6n])("a correct cluster passes under all faults (seed %s)", async (seed) => {
  const { violations, history, counters } = await run(seed);

  expect(violations).toEqual([]);
  expect(Object.fromEntries(counters)["write value"]).toBeGreaterThan(20);
  expect(history?.operations.length).toBeGreaterThan(100);
});

test("one seed gives one run, event for event", async () => {
  const [first, again, other] = [await run(11n), await run(11n), await run(12n)];

  expect(again.traceHash).toBe(first.traceHash);
  expect(again.eventCount).toBe(first.eventCount);
  expect(other.traceHash).not.toBe(first.traceHash);
});

test.each<[ToyFault, string]>([
  ["stale-read", "not-linearizable"],
  ["lost-write", "not-linearizable"],
  ["late-key", "not-linearizable"],
  ["throws", "failure"],
  ["rejects", "failure"],
  ["hangs", "no-progress"],
  ["two-servers", "servers"],
  ["damages", "damaged-value"],
  ["writes-outside", "landing"],
])("a cluster with the fault %s is found out: %s", async (fault, type) => {
  const { violations } = await run(3n, fault);

  expect(violations.map((violation) => violation.type)).toContain(type);
});

test("the history of a run can be written, read by an outside checker, and judged the same", async () => {
  const { history } = await run(2n);
  if (history === undefined) throw new Error("the run has no history");

  const read = parseHistory(formatHistory(history));

  expect(read.operations).toEqual(history.operations);
  expect(checkHistory(read)).toEqual([]);
});

test("seeds run until one is bad, and that one is told", async () => {
  const progress: number[] = [];
  const broken = parseSimulateArguments([
    "--seeds",
    "5",
    "--seed",
    "40",
    "--break",
    "commit-check",
    "--chaos",
    "8000",
  ]);

  const result = await runSeeds({
    arguments: broken,
    makeCluster: () => new ToyCluster(),
    onProgress: (seedCount) => progress.push(seedCount),
  });

  expect(result.last?.violations[0]?.type).toBe("not-linearizable");
  expect(result.last?.seed).toBe(40n + BigInt(result.seedCount) - 1n);
  expect(progress).toEqual(Array.from({ length: result.seedCount }, (_, index) => index + 1));
});
