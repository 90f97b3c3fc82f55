/*
 * Cuts a plan that fails down to what it needs to fail: first its faults, by delta debugging (Zeller and Hildebrandt,
 * "Simplifying and isolating failure-inducing input", 2002), then its load, its members and its times.
 *
 * Every fault has chance of its own under its own label, so one that is left out shifts no other.
 */
import type { Fault } from "./draw-faults.ts";
import type { LoadConfig, RunConfig } from "./run-config.ts";
import type { RunPlan } from "./run-plan.ts";

/** What a plan is shrunk with. */
export interface ShrinkOptions {
  /** Runs a plan; true if it still fails in the same way. */
  readonly isBad: (plan: RunPlan) => Promise<boolean>;
  /** Runs after which the best so far is good enough. */
  readonly runsMax: number;
  /** Told of each smaller plan. */
  readonly onSmaller?: (plan: RunPlan, runCount: number) => void;
}

/** A plan that still fails. */
export interface ShrunkPlan {
  readonly plan: RunPlan;
  /** How often a plan was run for it. */
  readonly runCount: number;
}

/** Rounds over everything: what is small in one respect can often become smaller in another. */
const ROUNDS_MAX = 3;

/** A shorter time than this explains nothing any more, milliseconds. */
const LASTS_MIN_MS = 10;

/** Shrinks a plan that fails. */
export async function shrinkPlan(plan: RunPlan, options: ShrinkOptions): Promise<ShrunkPlan> {
  return await new Shrinker(plan, options).run();
}

class Shrinker {
  readonly #options: ShrinkOptions;
  #best: RunPlan;
  #runCount = 0;

  constructor(plan: RunPlan, options: ShrinkOptions) {
    this.#best = plan;
    this.#options = options;
  }

  async run(): Promise<ShrunkPlan> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const before = this.#best;
      await this.#shrinkFaults();
      for (const change of CHANGES) await this.#tryConfig(change);
      await this.#shrinkTimes();
      if (this.#best === before || this.#isOver) break;
    }
    return { plan: this.#best, runCount: this.#runCount };
  }

  get #isOver(): boolean {
    return this.#runCount >= this.#options.runsMax;
  }

  /** Keeps one part of the faults, or leaves one out, in ever smaller parts. */
  async #shrinkFaults(): Promise<void> {
    let partCount = 2;
    while (this.#best.faults.length > 0 && !this.#isOver) {
      const { faults } = this.#best;
      const parts = partsOf(faults, Math.min(partCount, faults.length));
      const rests = parts.map((part) => faults.filter((fault) => !part.includes(fault)));
      const found = await this.#firstBad(partCount === 2 ? [[], ...parts, ...rests] : [...parts, ...rests]);
      if (found !== undefined) partCount = parts.includes(found) ? 2 : Math.max(partCount - 1, 2);
      else if (partCount >= faults.length) return;
      else partCount *= 2;
    }
  }

  async #firstBad(candidates: readonly (readonly Fault[])[]): Promise<readonly Fault[] | undefined> {
    for (const faults of candidates) {
      if (faults.length < this.#best.faults.length && (await this.#try({ ...this.#best, faults })))
        return faults;
    }
    return undefined;
  }

  /** Applies a change of the shape as often as it helps. */
  async #tryConfig(change: (config: RunConfig) => RunConfig | undefined): Promise<void> {
    for (;;) {
      const config = change(this.#best.config);
      if (config === undefined || !(await this.#try({ ...this.#best, config }))) return;
    }
  }

  /** Halves how long each fault lasts. */
  async #shrinkTimes(): Promise<void> {
    for (const { id } of this.#best.faults) {
      for (;;) {
        const fault = this.#best.faults.find((one) => one.id === id);
        if (fault === undefined || fault.lastsMs < 2 * LASTS_MIN_MS) break;
        const shorter = { ...fault, lastsMs: Math.round(fault.lastsMs / 2) };
        const faults = this.#best.faults.map((one) => (one.id === id ? shorter : one));
        if (!(await this.#try({ ...this.#best, faults }))) break;
      }
    }
  }

  async #try(plan: RunPlan): Promise<boolean> {
    if (this.#isOver) return false;
    this.#runCount += 1;
    if (!(await this.#options.isBad(plan))) return false;
    this.#best = plan;
    this.#options.onSmaller?.(plan, this.#runCount);
    return true;
  }
}

/** Changes that make a shape smaller; undefined when they cannot. */
const CHANGES: readonly ((config: RunConfig) => RunConfig | undefined)[] = [
  ({ load, ...rest }) =>
    load.visitorCount === 0 ? undefined : { ...rest, load: { ...load, visitorCount: 0 } },
  (config) => {
    const { sessions } = config;
    return sessions.callerCount === 0
      ? undefined
      : { ...config, sessions: { ...sessions, callerCount: sessions.callerCount - 1 } };
  },
  (config) => fewer(config, "clientCount"),
  (config) => fewer(config, "groupCount"),
  (config) => fewer(config, "keyCount"),
  (config) => fewer(config, "rangeCount"),
  (config) => {
    const { hostCount, voterCount, volume } = config;
    const isLeast = hostCount === 1 || volume.votes > hostCount - 1;
    return isLeast
      ? undefined
      : { ...config, hostCount: hostCount - 1, voterCount: Math.min(voterCount, hostCount - 1) };
  },
  (config) => (config.volume.votes === 1 ? undefined : { ...config, volume: { ...config.volume, votes: 1 } }),
  (config) => (config.volume.isAged ? { ...config, volume: { ...config.volume, isAged: false } } : undefined),
  (config) => (config.driftPpmMax === 0 ? undefined : { ...config, driftPpmMax: 0 }),
  (config) => (config.chaosMs < 500 ? undefined : { ...config, chaosMs: Math.round(config.chaosMs / 2) }),
];

/** Half of something, at least one. */
function fewer(
  { load, ...rest }: RunConfig,
  name: "clientCount" | "groupCount" | "keyCount" | "rangeCount",
): RunConfig | undefined {
  const least: LoadConfig = { ...load, [name]: Math.max(1, Math.floor(load[name] / 2)) };
  return load[name] === 1 ? undefined : { ...rest, load: least };
}

function partsOf(faults: readonly Fault[], count: number): (readonly Fault[])[] {
  const size = Math.ceil(faults.length / count);
  return Array.from({ length: count }, (_, index) => faults.slice(index * size, (index + 1) * size)).filter(
    (part) => part.length > 0,
  );
}
