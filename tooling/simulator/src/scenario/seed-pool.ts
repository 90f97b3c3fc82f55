/*
 * Seeds spread over processes. A run depends on its seed alone, so what is found does not depend on who runs it: results
 * are added up in the order of the seeds, and the first bad seed is the one of the smallest number.
 */
import { fork, type ChildProcess } from "node:child_process";
import { type Deferred, deferred } from "@holdfast/environment";
import type { ScenarioResult } from "./run-scenario.ts";
import { type SeedsOptions, type SeedsResult, Tally } from "./run-seeds.ts";

/** What a worker is told to do. */
export interface SeedOrder {
  readonly seed: bigint;
  /** It is run a second time, and must come to the same. */
  readonly isTwice: boolean;
  /** The history is wanted even if nothing is wrong. */
  readonly isHistoryWanted: boolean;
}

/** What {@link runSeedsInParallel} works with. */
export interface SeedPoolOptions extends Pick<SeedsOptions, "arguments" | "onProgress"> {
  /** How many processes. */
  readonly jobCount: number;
  /** The module that a worker runs. */
  readonly workerPath: string;
  /** The arguments that a worker parses again. */
  readonly workerArguments: readonly string[];
}

/** A run makes much garbage that dies young, and many errors that are caught: a large nursery and short stacks save a tenth each. */
const WORKER_FLAGS = ["--max-semi-space-size=64", "--stack-trace-limit=3"];

/** Runs the seeds that the arguments ask for in several processes; the result is that of `runSeeds`. */
export async function runSeedsInParallel(options: SeedPoolOptions): Promise<SeedsResult> {
  const pool = new SeedPool(options);
  try {
    return await pool.run();
  } finally {
    pool.end();
  }
}

class SeedPool {
  readonly #options: SeedPoolOptions;
  readonly #tally: Tally;
  readonly #done: Deferred<void> = deferred();
  readonly #workers: ChildProcess[] = [];
  /** Runs that wait for those before them, by their place in the order of seeds. */
  readonly #finished: Map<number, ScenarioResult> = new Map();
  #orderedCount = 0;
  /** No seed behind this place matters any more. */
  #end: number;

  constructor(options: SeedPoolOptions) {
    this.#options = options;
    this.#tally = new Tally(options.onProgress);
    this.#end = options.arguments.seedCount;
  }

  async run(): Promise<SeedsResult> {
    const { jobCount, workerPath, workerArguments } = this.#options;
    for (let job = 0; job < jobCount; job++) {
      const worker = fork(workerPath, workerArguments, {
        serialization: "advanced",
        execArgv: WORKER_FLAGS,
      });
      this.#workers.push(worker);
      worker.on("exit", (code) => this.#done.reject(new Error(`a worker ended with status ${code}`)));
      worker.on("error", (error) => this.#done.reject(error));
      this.#order(worker);
    }
    await this.#done.promise;
    return this.#tally.result();
  }

  end(): void {
    for (const worker of this.#workers) worker.kill();
  }

  /** Gives a worker the next seed, if one is left. */
  #order(worker: ChildProcess): void {
    if (this.#orderedCount >= this.#end) return;
    const place = this.#orderedCount;
    this.#orderedCount += 1;
    const { firstSeed, seedCount, twiceCount } = this.#options.arguments;
    const order: SeedOrder = {
      seed: firstSeed + BigInt(place),
      isTwice: place < twiceCount,
      isHistoryWanted: place === seedCount - 1,
    };
    worker.once("message", (message) => {
      // The other end of this channel is seed-worker.ts, which sends nothing else.
      this.#take(place, message as ScenarioResult);
      this.#order(worker);
    });
    worker.send(order);
  }

  /** Takes a run, and adds up all whose turn has come. */
  #take(place: number, run: ScenarioResult): void {
    this.#finished.set(place, run);
    if (run.violations.length > 0) this.#end = Math.min(this.#end, place + 1);
    while (this.#tally.seedCount < this.#end) {
      const next = this.#finished.get(this.#tally.seedCount);
      if (next === undefined) return;
      this.#finished.delete(this.#tally.seedCount);
      this.#tally.add(next);
    }
    this.#done.resolve();
  }
}
