/*
 * Runs seed after seed until one is bad or all are done: in this process, or in several.
 */
import type { LogLine } from "../world/ports.ts";
import type { Cluster } from "./cluster.ts";
import type { SimulateArguments } from "./command-line.ts";
import { Counters } from "./counters.ts";
import { runPlan, runScenario, type ScenarioResult } from "./run-scenario.ts";

/** What a number of runs came to. */
export interface SeedsResult {
  /** Seeds that were run. */
  readonly seedCount: number;
  /** Events of all of them. */
  readonly eventCount: number;
  /** What happened how often in all of them. */
  readonly counters: readonly (readonly [string, number])[];
  /** The last run; the bad one if there is a bad one. */
  readonly last: ScenarioResult | undefined;
}

/** What {@link runSeeds} works with. */
export interface SeedsOptions {
  readonly arguments: SimulateArguments;
  /** Makes the cluster for one run. */
  readonly makeCluster: () => Cluster;
  /** Told after each run. */
  readonly onProgress: (seedCount: number, eventCount: number) => void;
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** Runs the seeds that the arguments ask for, in order; stops after the first with a violation. */
export async function runSeeds(options: SeedsOptions): Promise<SeedsResult> {
  const tally = new Tally(options.onProgress);
  const { firstSeed, seedCount, twiceCount } = options.arguments;
  while (tally.seedCount < seedCount && !tally.isBad)
    tally.add(await runSeed(firstSeed + BigInt(tally.seedCount), options, tally.seedCount < twiceCount));
  return tally.result();
}

type SeedOptions = Pick<SeedsOptions, "arguments" | "makeCluster" | "onLog">;

/** Runs one seed as the arguments say; if it is run twice, it must come to the same. */
export async function runSeed(
  seed: bigint,
  options: SeedOptions,
  isTwice: boolean = false,
): Promise<ScenarioResult> {
  const first = await runOnce(seed, options);
  if (!isTwice) return first;
  const second = await runOnce(seed, { ...options, onLog: undefined });
  if (second.traceHash === first.traceHash) return first;
  const message =
    `two runs of seed ${seed} differ: traces ${first.traceHash} after ${first.eventCount} events and ` +
    `${second.traceHash} after ${second.eventCount}`;
  return { ...first, violations: [...first.violations, { type: "not-deterministic", message }] };
}

function runOnce(seed: bigint, options: SeedOptions): Promise<ScenarioResult> {
  const { membersMin, membersMax, brokenRules, eventsMax, chaosMs, faults, plan, traceLinesMax } =
    options.arguments;
  const run = { cluster: options.makeCluster(), brokenRules, onLog: options.onLog, eventsMax, traceLinesMax };
  if (plan !== undefined) return runPlan(plan, run);
  return runScenario({ ...run, seed, membersMin, membersMax, faults, chaosMs });
}

/** Adds up runs in the order of their seeds. */
export class Tally {
  readonly #onProgress: SeedsOptions["onProgress"];
  readonly #counters = new Counters();
  #last: ScenarioResult | undefined;
  #seedCount = 0;
  #eventCount = 0;

  constructor(onProgress: SeedsOptions["onProgress"]) {
    this.#onProgress = onProgress;
  }

  /** Runs added. */
  get seedCount(): number {
    return this.#seedCount;
  }

  /** True once a run found something. */
  get isBad(): boolean {
    return this.#last !== undefined && this.#last.violations.length > 0;
  }

  /** Adds the run of the next seed. */
  add(run: ScenarioResult): void {
    this.#last = run;
    this.#seedCount += 1;
    this.#eventCount += run.eventCount;
    for (const [name, count] of run.counters) this.#counters.add(name, count);
    this.#onProgress(this.#seedCount, this.#eventCount);
  }

  /** What they came to. */
  result(): SeedsResult {
    const [seedCount, eventCount] = [this.#seedCount, this.#eventCount];
    return { seedCount, eventCount, counters: this.#counters.entries(), last: this.#last };
  }
}
