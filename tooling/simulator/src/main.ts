#!/usr/bin/env node
/*
 * The `simulate` command: many runs of a whole cluster in a deterministic world.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { countCoverage, missingPoints } from "./coverage/points.ts";
import { formatHistory } from "./judge/history-text.ts";
import { formatPlan, parsePlan } from "./plan/plan-text.ts";
import { BREAKABLE_RULES } from "./scenario/broken-rules.ts";
import { MemberCluster } from "./scenario/cluster-member.ts";
import {
  parseSimulateArguments,
  USAGE,
  UsageError,
  type SimulateArguments,
} from "./scenario/command-line.ts";
import type { ScenarioResult } from "./scenario/run-scenario.ts";
import { runSeeds, type SeedsResult } from "./scenario/run-seeds.ts";
import { describePlan, shrinkRun } from "./scenario/shrink-run.ts";
import { readPlans } from "./scenario/kept-plans.ts";
import { runSeedsInParallel } from "./scenario/seed-pool.ts";
import { describeFacts, type LogLine } from "./world/ports.ts";
import type { TraceLine } from "./world/trace.ts";

const PROGRESS_MS = 2000;

/** Where plans are kept that are run before any seed. */
const PLANS_FOLDER = fileURLToPath(new URL("../plans", import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const parsed = parseSimulateArguments(args);
    if (parsed.isHelpWanted) return print(USAGE);
    if (parsed.isListWanted) {
      return print(BREAKABLE_RULES.map(({ name, omission }) => `${name}: ${omission}\n`).join(""));
    }
    return await simulate(withPlan(parsed), args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

/** The arguments with the plan that they name. */
function withPlan(parsed: SimulateArguments): SimulateArguments {
  if (parsed.planPath === undefined) return parsed;
  try {
    const plan = parsePlan(readFileSync(parsed.planPath, "utf8"));
    return { ...parsed, plan, firstSeed: plan.seed, seedCount: 1 };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`cannot use ${parsed.planPath}: ${why}`, { cause });
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** Runs the seeds: in processes of their own, if there is more than one and nobody wants to hear each line of a log. */
function run(
  parsed: SimulateArguments,
  args: readonly string[],
  onProgress: (seedCount: number, eventCount: number) => void,
): Promise<SeedsResult> {
  const { seedCount, isVerbose, jobCount = availableParallelism() } = parsed;
  if (seedCount > 1 && jobCount > 1 && !isVerbose) {
    return runSeedsInParallel({
      arguments: parsed,
      jobCount: Math.min(jobCount, seedCount),
      workerPath: fileURLToPath(new URL("seed-worker.js", import.meta.url)),
      workerArguments: args,
      onProgress,
    });
  }
  return runSeeds({
    arguments: parsed,
    makeCluster: () => new MemberCluster(),
    onLog: isVerbose ? printLog : undefined,
    onProgress,
  });
}

/** Runs the kept plans; the first that fails ends the command. They are of use to whoever runs many seeds as they come. */
async function runKeptPlans(parsed: SimulateArguments): Promise<number> {
  const { seedCount, brokenRules, faults, plan: only } = parsed;
  if (seedCount === 1 || brokenRules.size > 0 || faults !== undefined || only !== undefined) return 0;
  const plans = readPlans(PLANS_FOLDER);
  for (const { name, plan } of plans) {
    const planPath = join(PLANS_FOLDER, `${name}.json`);
    const one = { ...parsed, plan, planPath, seedCount: 1, firstSeed: plan.seed };
    const { last } = await runSeeds({
      arguments: one,
      makeCluster: () => new MemberCluster(),
      onProgress: () => {},
    });
    if (last === undefined || last.violations.length === 0) continue;
    process.stdout.write(`the kept plan ${name} fails\n${describeViolations(last, one)}`);
    return 1;
  }
  process.stderr.write(`${plans.length} kept plans, 0 violations\n`);
  return 0;
}

/** Cuts the plan of a bad run down; the result takes the place of what ran. */
async function shrink(last: ScenarioResult, parsed: SimulateArguments): Promise<ScenarioResult> {
  const { brokenRules, eventsMax } = parsed;
  const { plan, runCount } = await shrinkRun(last, {
    brokenRules,
    eventsMax,
    makeCluster: () => new MemberCluster(),
    onSmaller: ({ faults, config }, count) =>
      process.stderr.write(`run ${count}: ${faults.length} faults, ${config.hostCount} members\n`),
  });
  process.stdout.write(`shrunk in ${runCount} runs to ${plan.faults.length} faults\n${describePlan(plan)}`);
  return { ...last, plan };
}

async function simulate(parsed: SimulateArguments, args: readonly string[]): Promise<number> {
  if ((await runKeptPlans(parsed)) !== 0) return 1;
  const startedMs = performance.now();
  let toldMs = startedMs;
  const result = await run(parsed, args, (seedCount, eventCount) => {
    const nowMs = performance.now();
    if (parsed.isJson || nowMs - toldMs < PROGRESS_MS) return;
    toldMs = nowMs;
    const speed = Math.round((eventCount / (nowMs - startedMs)) * 1000);
    process.stderr.write(
      `${seedCount} of ${parsed.seedCount} seeds, ${eventCount} events, ${speed} events/s\n`,
    );
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const { last } = result;
  const isBad = last !== undefined && last.violations.length > 0;
  if (last !== undefined) keep(isBad && parsed.isShrinkWanted ? await shrink(last, parsed) : last, parsed);
  process.stdout.write(parsed.isJson ? toJson(result, seconds) : toText(result, seconds));
  if (isBad && !parsed.isJson) process.stdout.write(describeViolations(last, parsed));
  return isBad || isCoverageMissing(result, parsed) ? 1 : 0;
}

/** Says which points were not met; true if they were required. */
function isCoverageMissing(
  { counters, seedCount }: SeedsResult,
  { isCoverageRequired }: SimulateArguments,
): boolean {
  if (!isCoverageRequired) return false;
  const missing = missingPoints(countCoverage(counters), seedCount);
  for (const { name, what } of missing)
    process.stderr.write(`never happened in ${seedCount} seeds: ${name}: ${what}\n`);
  return missing.length > 0;
}

function row(count: number, name: string): string {
  return `  ${String(count).padStart(9)}  ${name}\n`;
}

function toText({ seedCount, eventCount, counters, last }: SeedsResult, seconds: number): string {
  const coverage = countCoverage(counters);
  const isPoint = new Set(coverage.map(({ name }) => name));
  const others = counters.filter(([name]) => !isPoint.has(name)).map(([name, count]) => row(count, name));
  const points = coverage.map(({ name, frequency, what, count }) =>
    row(count, `${frequency.padEnd(6)}  ${name}: ${what}`),
  );
  const counts = [...others, "coverage:\n", ...points].join("");
  const speed = Math.round(eventCount / seconds);
  const violationCount = last?.violations.length ?? 0;
  return (
    `${counts}${seedCount} seeds, ${violationCount} violations, ${eventCount} events, ` +
    `${speed} events/s, last trace ${last?.traceHash ?? "none"}\n`
  );
}

function toJson({ seedCount, eventCount, counters, last }: SeedsResult, seconds: number): string {
  const violations = last?.violations ?? [];
  return `${JSON.stringify({
    seedCount,
    eventCount,
    eventsPerSecond: Math.round(eventCount / seconds),
    lastSeed: last?.seed.toString(),
    lastTraceHash: last?.traceHash,
    violatingSeed: violations.length > 0 ? last?.seed.toString() : undefined,
    violations,
    counters: Object.fromEntries(counters),
    coverage: Object.fromEntries(countCoverage(counters).map(({ name, count }) => [name, count])),
  })}\n`;
}

function describeViolations(last: ScenarioResult, parsed: SimulateArguments): string {
  const { seed, plan, violations, tail, virtualMs } = last;
  const { hostCount, damage } = plan.config;
  const kinds = [...new Set(plan.faults.map(({ kind }) => kind))].join(", ");
  return [
    `\nlast events of seed ${seed}, ${hostCount} members, ${virtualMs.toFixed(0)} virtual ms, damage: ${damage}:\n`,
    ...(parsed.isEventLogWanted ? [] : tail.map(describeLine)),
    `\n${plan.faults.length} faults: ${kinds}\n`,
    `\nviolations:\n`,
    ...violations.map(({ type, message }) => `  ${type}: ${message}\n`),
    `\nseed ${seed}: run it again with ${argumentsFor(seed, parsed)}\n`,
  ].join("");
}

function describeLine({ timeMs, process, what }: TraceLine): string {
  return `  ${timeMs.toFixed(3).padStart(12)}  ${process.padEnd(12)} ${what}\n`;
}

/** Writes down what was asked for of the last run. */
function keep({ plan, history, tail }: ScenarioResult, parsed: SimulateArguments): void {
  const { historyPath, savePlanPath } = parsed;
  if (historyPath !== undefined && history !== undefined) writeFileSync(historyPath, formatHistory(history));
  if (savePlanPath === "-") process.stdout.write(formatPlan(plan));
  else if (savePlanPath !== undefined) writeFileSync(savePlanPath, formatPlan(plan));
  if (parsed.isEventLogWanted) for (const line of tail) process.stdout.write(describeLine(line));
}

/** Arguments that repeat one run. */
function argumentsFor(seed: bigint, parsed: SimulateArguments): string {
  const { membersMin, membersMax, brokenRules, faults, chaosMs, eventsMax, planPath } = parsed;
  return [
    planPath === undefined ? `--seed ${seed} --members ${membersMin}..${membersMax}` : `--plan ${planPath}`,
    ...(brokenRules.size === 0 ? [] : [`--break ${[...brokenRules].join(",")}`]),
    ...(faults === undefined ? [] : [`--faults ${faults.join(",")}`]),
    ...(chaosMs === undefined ? [] : [`--chaos ${chaosMs}`]),
    ...(eventsMax === undefined ? [] : [`--events ${eventsMax}`]),
  ].join(" ");
}

function printLog({ timeMs, process: name, level, facts, message }: LogLine): void {
  process.stderr.write(
    `${timeMs.toFixed(3).padStart(12)} ${name.padEnd(12)} ${level.padEnd(5)} ${message} ${describeFacts(facts)}\n`,
  );
}
