/*
 * Runs of the real cluster: seeds that once found something, and broken rules that must be found.
 *
 * A seed names a run of one state of the code: what it once met may come at another seed today. So a found seed is kept
 * for what it is about, and the rest is left to the many seeds of `npm run simulate`.
 */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  checkHistory,
  formatHistory,
  MemberCluster,
  parseHistory,
  parseSimulateArguments,
  runSeeds,
  runSeedsInParallel,
  type SeedsResult,
} from "../src/index.ts";

function simulate(...args: readonly string[]): Promise<SeedsResult> {
  return runSeeds({
    arguments: parseSimulateArguments(args),
    makeCluster: () => new MemberCluster(),
    onProgress: () => {},
  });
}

const A_WHILE = { timeout: 60_000 };

test.each([
  ["a member whose joining was recorded but never answered does not stall the recovery of locks", "34"],
  ["locks of a member that is marked as evicted do not go on before its journal is replayed", "113"],
  ["a write that waits for its lock when the member leaves is refused, not lost", "126"],
  ["a member that is evicted twice at once goes into quarantine once", "322"],
])("%s (seed %s)", A_WHILE, async (_title, seed) => {
  const { last } = await simulate("--seed", seed);

  expect(last?.violations).toEqual([]);
});

test("a run tells a history that an outside checker can judge, and what it met", A_WHILE, async () => {
  const { last, counters } = await simulate("--seed", "2", "--chaos", "4000");
  if (last?.history === undefined) throw new Error("the run has no history");

  expect(last.violations).toEqual([]);
  expect(Object.fromEntries(counters)["commit recorded"]).toBeGreaterThan(10);
  expect(checkHistory(parseHistory(formatHistory(last.history)))).toEqual([]);
});

test("one seed gives one run, whoever runs it and in whatever company", A_WHILE, async () => {
  const args = ["--seeds", "2", "--seed", "7", "--chaos", "2500"];
  const alone = await simulate(...args);

  const shared = await runSeedsInParallel({
    arguments: parseSimulateArguments(args),
    jobCount: 2,
    workerPath: fileURLToPath(new URL("../dist/seed-worker.js", import.meta.url)),
    workerArguments: args,
    onProgress: () => {},
  });

  expect(shared.last?.traceHash).toBe(alone.last?.traceHash);
  expect(shared.counters).toEqual(alone.counters);
  expect(shared.eventCount).toBe(alone.eventCount);
});

test.each([
  ["splitter", "race-election"],
  ["commit-check", "pause-at-write"],
  ["check-next-term-only", "stumbling-election"],
  ["answer-before-commit", "pause"],
  ["metadata-outside-grant", "crash"],
])("a cluster without the rule %s is found out soon", A_WHILE, async (rule, fault) => {
  const { last } = await simulate("--seeds", "12", "--break", rule, "--faults", fault, "--chaos", "6000");

  expect(last?.violations).not.toEqual([]);
});
