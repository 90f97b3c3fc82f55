/*
 * One run: a cluster under load in a world with faults, from one seed.
 *
 * Phases: set up (format, open) → chaos (only safety is asked for) → heal → liveness (every call ends, one member
 * serves) → quiet (late writes land) → final read of everything through every member → leave → judgement.
 */
import type { BrokenRules } from "@holdfast/environment";
import type { History } from "../judge/history.ts";
import { checkHistory, type KeyComplaint } from "../judge/linearizability.ts";
import { SimulatedDisk } from "../world/disk.ts";
import { SimulatedNetwork } from "../world/network.ts";
import { portsOf, type LogLine } from "../world/ports.ts";
import type { TraceLine } from "../world/trace.ts";
import { SimulatedWorld } from "../world/world.ts";
import type { Cluster } from "./cluster.ts";
import { Counters } from "./counters.ts";
import { planFaults, type FaultKind } from "./fault-plan.ts";
import { describeError, Fleet } from "./fleet.ts";
import { Nemesis } from "./nemesis.ts";
import { Recorder } from "./recorder.ts";
import type { Violation } from "./violation.ts";
import { Workload } from "./workload.ts";

/** What a run is made from. */
export interface ScenarioOptions {
  /** 0 … 2^64−1. */
  readonly seed: bigint;
  readonly cluster: Cluster;
  readonly membersMin: number;
  readonly membersMax: number;
  readonly brokenRules: BrokenRules;
  /** Events after which the run is given up. Default 3 million. */
  readonly eventsMax?: number;
  /** Length of the chaos, virtual milliseconds. Default 8000. */
  readonly chaosMs?: number;
  /** Time that everything has to finish after the faults, virtual milliseconds. Default 60 000. */
  readonly livenessMs?: number;
  /** Kinds of fault to use, all of them; without it the seed draws. */
  readonly faults?: readonly FaultKind[] | undefined;
  /** Hears the log of every member. */
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** What a run came to. */
export interface ScenarioResult {
  readonly seed: bigint;
  readonly memberCount: number;
  readonly violations: readonly Violation[];
  /** Equal for equal seeds. */
  readonly traceHash: string;
  readonly eventCount: number;
  /** Length of the run, virtual milliseconds. */
  readonly virtualMs: number;
  readonly history: History | undefined;
  /** How often what happened, by name. */
  readonly counters: readonly (readonly [string, number])[];
  /** The last events in words. */
  readonly tail: readonly TraceLine[];
}

const EVENTS_MAX = 3_000_000;
const CHAOS_MS = 8000;
const LIVENESS_MS = 60_000;
const SETUP_MS = 30_000;
/** So long after the last late write has landed the cluster is left alone. */
const QUIET_MS = 100;
const POLL_MS = 100;
const VIOLATIONS_MAX = 20;

/** Runs one seed. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  return await new Scenario(options).run();
}

class Scenario {
  readonly #options: ScenarioOptions;
  readonly #world: SimulatedWorld;
  readonly #network: SimulatedNetwork;
  readonly #disk: SimulatedDisk;
  readonly #fleet: Fleet;
  readonly #workload: Workload;
  readonly #nemesis: Nemesis;
  readonly #recorder: Recorder;
  readonly #counters = new Counters();
  readonly #violations: Violation[] = [];

  constructor(options: ScenarioOptions) {
    const { cluster, seed } = options;
    this.#options = options;
    const world = new SimulatedWorld({ seed });
    const random = world.random("scenario");
    const network = new SimulatedNetwork(world);
    const disk = new SimulatedDisk(world, { sizeBytes: cluster.deviceSizeBytes });
    const counters = this.#counters;
    const onViolation = (violation: Violation): void => this.#found(violation);
    if (cluster.judgeLanding !== undefined) disk.setJudge(cluster.judgeLanding);
    cluster.useWorld?.({
      counters,
      random: world.random("volume"),
      medium: disk.medium,
      complain: (message) => this.#found({ type: "inspection", message }),
    });
    const hostCount = random.between(options.membersMin, options.membersMax);
    const { brokenRules, onLog } = options;
    const base = { world, network, disk, counters };
    this.#fleet = new Fleet({ ...base, cluster, hostCount, brokenRules, onLog, onViolation });
    this.#recorder = new Recorder(world, `seed ${seed}, ${hostCount} members`);
    this.#workload = new Workload({
      ...base,
      fleet: this.#fleet,
      recorder: this.#recorder,
      keys: makeKeys(random.between(8, 16), random.between(3, 6)),
      clientCount: random.between(3, 8),
      thinkMaxMs: random.between(10, 80),
      onViolation,
    });
    this.#nemesis = new Nemesis({ ...base, fleet: this.#fleet });
    this.#world = world;
    this.#network = network;
    this.#disk = disk;
  }

  async run(): Promise<ScenarioResult> {
    if (await this.#setUp()) {
      await this.#chaos();
      if (!this.#isWrong() && (await this.#becomeLive())) await this.#finish();
    }
    return this.#judge();
  }

  async #setUp(): Promise<boolean> {
    const { cluster } = this.#options;
    const process = this.#world.startProcess("format");
    let isFormatted = false;
    process.post("message", () => {
      void cluster.format(portsOf(process, { network: this.#network, disk: this.#disk })).then(
        () => {
          isFormatted = true;
        },
        (error: unknown) =>
          this.#found({ type: "failure", message: `cannot format: ${describeError(error)}` }),
      );
    });
    await this.#runUntil(SETUP_MS, () => isFormatted || this.#isWrong());
    process.kill();
    if (!isFormatted) {
      this.#found({ type: "no-progress", message: "the volume was not formatted" });
      return false;
    }
    for (const host of this.#fleet.hosts) this.#fleet.start(host);
    const isUp = await this.#runUntil(SETUP_MS, () => this.#fleet.up().length > 0);
    if (!isUp) this.#found({ type: "no-progress", message: "no member could open the fresh volume" });
    return isUp;
  }

  async #chaos(): Promise<void> {
    const chaosMs = this.#options.chaosMs ?? CHAOS_MS;
    const kinds = this.#options.faults;
    this.#nemesis.start(planFaults(this.#world.random("faults"), { chaosMs, kinds }));
    this.#workload.start();
    await this.#runUntil(chaosMs, () => this.#isWrong());
  }

  async #becomeLive(): Promise<boolean> {
    const livenessMs = this.#options.livenessMs ?? LIVENESS_MS;
    const { hosts } = this.#fleet;
    this.#world.note("", "healed");
    this.#workload.stop();
    this.#nemesis.heal();
    const isEnded = await this.#runUntil(
      livenessMs,
      () => this.#workload.runningCount === 0 && this.#fleet.up().length === hosts.length,
    );
    if (!isEnded) {
      const upCount = this.#fleet.up().length;
      const message =
        `${livenessMs} ms after the last fault ${this.#recorder.openCount} calls are open ` +
        `(${this.#fleet.openCalls()}), ` +
        `${upCount} of ${hosts.length} members are up`;
      this.#found({ type: "no-progress", message });
      return false;
    }
    if (await this.#outside(livenessMs, () => this.#waitForOneServer())) return true;
    this.#found({
      type: "servers",
      message: "there was never exactly one server after everything was healed",
    });
    return false;
  }

  async #waitForOneServer(): Promise<void> {
    while (true) {
      const servers = await Promise.all(
        this.#fleet.up().map((host) => this.#fleet.call(host, (member) => member.status())),
      );
      const serving = servers.filter((end) => end.type === "value" && end.value.isServing);
      for (const end of servers) {
        if (end.type === "value") this.#counters.atLeast("terms", Number(end.value.term));
      }
      if (serving.length === 1) return;
      await this.#world.sleep(POLL_MS);
    }
  }

  async #finish(): Promise<void> {
    const livenessMs = this.#options.livenessMs ?? LIVENESS_MS;
    const quietMs = this.#disk.lastLandingMs - this.#world.nowMs + QUIET_MS;
    await this.#runUntil(quietMs, () => this.#isWrong());
    const hosts = this.#fleet.up();
    const isRead = await this.#outside(livenessMs, async () => {
      for (const [index, host] of hosts.entries()) await this.#workload.readAll(host, 10_000 + index);
    });
    if (!isRead) {
      this.#found({ type: "no-progress", message: "the final read did not end" });
      return;
    }
    const hasLeft = await this.#outside(livenessMs, async () => {
      for (const host of this.#world.random("leaving").shuffle(this.#fleet.up()))
        await this.#fleet.leave(host);
    });
    if (!hasLeft) this.#found({ type: "no-progress", message: "the members could not all leave" });
  }

  #judge(): ScenarioResult {
    const { cluster, seed } = this.#options;
    for (const { process, error } of this.#world.failures) {
      this.#found({ type: "failure", message: `${process ?? "the world"}: ${describeError(error)}` });
    }
    for (const { processId, firstBlock, complaint } of this.#disk.landings.violations) {
      this.#found({ type: "landing", message: `${processId}, block ${firstBlock}: ${complaint}` });
    }
    if (!this.#isWrong())
      for (const message of cluster.inspect?.() ?? []) this.#found({ type: "inspection", message });
    const history = this.#counters.count("write value") > 0 ? this.#recorder.finish() : undefined;
    for (const complaint of history === undefined ? [] : checkHistory(history)) {
      this.#found(toViolation(complaint));
    }
    return {
      seed,
      memberCount: this.#fleet.hosts.length,
      violations: this.#violations,
      traceHash: this.#world.trace.hash(),
      eventCount: this.#world.eventCount,
      virtualMs: this.#world.nowMs,
      history,
      counters: this.#counters.entries(),
      tail: this.#world.trace.tail(),
    };
  }

  /** True once something is known to be wrong: the rest of the run would tell nothing new. */
  #isWrong(): boolean {
    const { failures } = this.#world;
    return this.#violations.length + failures.length + this.#disk.landings.violations.length > 0;
  }

  #found(violation: Violation): void {
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(violation);
    this.#world.note("", `violation: ${violation.type}`);
  }

  /** Runs the world until something is so; false when the time or the events ran out first. */
  async #runUntil(ms: number, isDone: () => boolean): Promise<boolean> {
    const eventsMax = this.#options.eventsMax ?? EVENTS_MAX;
    const end = await this.#world.run({ untilMs: this.#world.nowMs + ms, isDone, eventsMax });
    return end === "done";
  }

  /** Lets an inspector from outside do its work while the world runs. */
  async #outside(ms: number, work: () => Promise<void>): Promise<boolean> {
    let isDone = false;
    this.#world.after(0, () => {
      void work().then(() => {
        isDone = true;
      });
    });
    return await this.#runUntil(ms, () => isDone);
  }
}

/** Keys over so many lock ranges: those of one range share their first character. */
function makeKeys(count: number, ranges: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const first = String.fromCharCode(97 + (index % ranges) * 3);
    return `${first}${String(index).padStart(2, "0")}`;
  });
}

function toViolation({ key, verdict }: KeyComplaint): Violation {
  switch (verdict.type) {
    case "unknown":
      return { type: "history-undecided", message: `key ${key}: given up after ${verdict.stepCount} steps` };
    case "violation": {
      const { operation, state, placedCount } = verdict;
      const what = operation.f === "read" ? `read that saw ${JSON.stringify(operation.out)}` : operation.f;
      const message =
        `key ${key}: call ${operation.id}, a ${what}, fits nowhere: ` +
        `after ${placedCount} operations the key was ${JSON.stringify(state)}`;
      return { type: "not-linearizable", message };
    }
  }
}
