import { NO_BROKEN_RULES } from "@holdfast/environment";
import { expect, test } from "vitest";
import { Counters } from "../src/scenario/counters.ts";
import type { Violation } from "../src/scenario/violation.ts";
import { SessionLoad } from "../src/sessions/session-load.ts";
import { simulate } from "./simulated.ts";

const CHAOS_MS = 4000;
const END_MS = 30_000;

interface Run {
  readonly counters: Counters;
  readonly violations: readonly Violation[];
  readonly traceHash: string;
}

async function run(seed: bigint, brokenRules: ReadonlySet<string> = NO_BROKEN_RULES): Promise<Run> {
  const { world, network, disk, advance } = simulate(seed);
  const counters = new Counters();
  const violations: Violation[] = [];
  const config = { callerCount: 2, requestsInFlightMax: 4, requestBytesMax: 3000, gapMs: 150 };
  const load = new SessionLoad({
    world,
    network,
    disk,
    counters,
    config,
    brokenRules,
    onViolation: (violation) => violations.push(violation),
  });
  load.start();
  await advance(CHAOS_MS);
  network.heal();
  load.stop();
  await world.run({ untilMs: world.nowMs + END_MS, isDone: () => load.runningCount === 0 });
  if (load.runningCount > 0) violations.push({ type: "no-progress", message: "a caller waits" });
  return { counters, violations, traceHash: world.trace.hash() };
}

test("windows fill by count and by bytes, questions are given up in each state, callers are forgotten and come back, connections take over", async () => {
  const met = new Set<string>();
  for (let seed = 1n; seed <= 8n; seed++) {
    const { counters, violations } = await run(seed);
    expect(violations).toEqual([]);
    for (const [name, count] of counters.entries()) if (count > 0) met.add(name);
  }

  expect([...met].sort()).toEqual([
    "cancelled-heard",
    "cancelled-under-way",
    "cancelled-waiting",
    "session-forgotten",
    "session-held-back",
    "session-stolen",
    "window-full-bytes",
    "window-full-count",
  ]);
});

test("one seed is one course of events", async () => {
  expect((await run(3n)).traceHash).toBe((await run(3n)).traceHash);
});

test("a server that takes again what it did not acknowledge is noticed", async () => {
  const found: string[] = [];
  for (let seed = 1n; seed <= 4n; seed++)
    found.push(...(await run(seed, new Set(["session-dedupe"]))).violations.map(({ type }) => type));

  expect(found).toContain("session");
});
