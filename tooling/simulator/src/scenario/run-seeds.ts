/*
 * Runs seed after seed until one is bad or all are done.
 */
import type { LogLine } from "../world/ports.ts";
import type { Cluster } from "./cluster.ts";
import type { SimulateArguments } from "./command-line.ts";
import { Counters } from "./counters.ts";
import { runScenario, type ScenarioResult } from "./run-scenario.ts";

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
  const { seedCount, firstSeed, membersMin, membersMax, brokenRules, eventsMax, chaosMs, faults } =
    options.arguments;
  const counters = new Counters();
  let last: ScenarioResult | undefined;
  let eventCount = 0;
  let doneCount = 0;
  while (doneCount < seedCount && (last?.violations.length ?? 0) === 0) {
    last = await runScenario({
      seed: firstSeed + BigInt(doneCount),
      cluster: options.makeCluster(),
      membersMin,
      membersMax,
      brokenRules,
      faults,
      onLog: options.onLog,
      ...(eventsMax === undefined ? {} : { eventsMax }),
      ...(chaosMs === undefined ? {} : { chaosMs }),
    });
    doneCount += 1;
    eventCount += last.eventCount;
    for (const [name, count] of last.counters) counters.add(name, count);
    options.onProgress(doneCount, eventCount);
  }
  return { seedCount: doneCount, eventCount, counters: counters.entries(), last };
}
