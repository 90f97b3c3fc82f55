/*
 * One run: a cluster under load in a world with faults, as a plan says.
 *
 * Phases: set up (format, open) → chaos (only safety is asked for) → heal → liveness (every call ends, one member
 * serves) → quiet (late writes land) → final read of everything through every member → leave → judgement.
 *
 * Nothing but the plan and the code decides what happens, so a plan that fails fails again.
 */
import type { BrokenRules } from "@holdfast/environment";
import { UNKNOWN_ANATOMY } from "../atlas/anatomy.ts";
import { FaultAtlas } from "../atlas/fault-atlas.ts";
import type { History } from "../judge/history.ts";
import { checkHistory } from "../judge/linearizability.ts";
import { Nemesis } from "../nemesis/nemesis.ts";
import { planRun, type PlanWishes, type RunPlan } from "../plan/run-plan.ts";
import { SimulatedDisk } from "../world/disk.ts";
import { SimulatedNetwork } from "../world/network.ts";
import { portsOf, type LogLine, type SimulatedPorts } from "../world/ports.ts";
import type { TraceLine } from "../world/trace.ts";
import { SimulatedWorld } from "../world/world.ts";
import type { Cluster } from "./cluster.ts";
import { SessionLoad } from "../sessions/session-load.ts";
import { Counters } from "./counters.ts";
import { describeError, Fleet } from "./fleet.ts";
import { KeySpace } from "./key-space.ts";
import { Recorder } from "./recorder.ts";
import { isExcused } from "./excuses.ts";
import { toViolation, type Violation } from "./violation.ts";
import { Workload } from "./workload.ts";

/** What a plan is run with. */
export interface PlanOptions {
  /** Fresh for each run. */
  readonly cluster: Cluster;
  readonly brokenRules: BrokenRules;
  /** Events after which the run is given up. Default 3 million. */
  readonly eventsMax?: number | undefined;
  /** Time that everything has to finish after the faults, virtual milliseconds. Default 60 000. */
  readonly livenessMs?: number | undefined;
  /** Lines of the protocol log that are kept. Default 256. */
  readonly traceLinesMax?: number | undefined;
  /** Hears the log of every member. */
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** What a seed is run with. */
export interface ScenarioOptions extends PlanOptions, PlanWishes {
  /** 0 … 2^64−1. */
  readonly seed: bigint;
}

/** What a run came to. */
export interface ScenarioResult {
  readonly seed: bigint;
  readonly plan: RunPlan;
  readonly violations: readonly Violation[];
  /** Equal for equal plans. */
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
const LIVENESS_MS = 60_000;
/** Where elections have halted nobody can make progress: long enough to see that all are told so, until no term is left. */
const HALTED_MS = 30_000;
const SETUP_MS = 30_000;
/** So long after the last late write has landed the cluster is left alone. */
const QUIET_MS = 100;
const POLL_MS = 100;
const VIOLATIONS_MAX = 20;

/** Runs one seed. */
export function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  return runPlan(planRun(options.seed, options), options);
}

/** Runs one plan. */
export async function runPlan(plan: RunPlan, options: PlanOptions): Promise<ScenarioResult> {
  return await new Scenario(plan, options).run();
}

class Scenario {
  readonly #plan: RunPlan;
  readonly #options: PlanOptions;
  readonly #world: SimulatedWorld;
  readonly #network: SimulatedNetwork;
  readonly #disk: SimulatedDisk;
  readonly #atlas: FaultAtlas;
  readonly #fleet: Fleet;
  readonly #workload: Workload;
  readonly #nemesis: Nemesis;
  readonly #recorder: Recorder;
  readonly #sessions: SessionLoad;
  readonly #counters = new Counters();
  readonly #violations: Violation[] = [];

  constructor(plan: RunPlan, options: PlanOptions) {
    const { cluster, brokenRules, onLog, traceLinesMax } = options;
    const { seed, config } = plan;
    const { hostCount, voterCount, load, device, driftPpmMax } = config;
    this.#plan = plan;
    this.#options = options;
    const world = new SimulatedWorld({
      seed,
      driftPpmMax,
      ...(traceLinesMax === undefined ? {} : { traceLinesMax }),
    });
    const network = new SimulatedNetwork(world, config.network);
    const disk = new SimulatedDisk(world, {
      sizeBytes: BigInt(config.volume.sizeMiB) * 1024n * 1024n,
      latencyMinMs: device.latencyMinMs,
      latencyMaxMs: device.latencyMaxMs,
      isCacheVolatile: device.isCacheVolatile,
      tearing: device.isTornAtBytes ? "bytes" : "sectors",
    });
    const counters = this.#counters;
    const onViolation = (violation: Violation): void => this.#found(violation);
    if (cluster.judgeLanding !== undefined) disk.setJudge(cluster.judgeLanding);
    const atlas = new FaultAtlas({
      anatomy: cluster.anatomy ?? UNKNOWN_ANATOMY,
      scope: config.damage,
      random: world.random("atlas"),
    });
    cluster.useWorld?.({
      config,
      counters,
      random: world.random("volume"),
      medium: disk.medium,
      complain: (message) => this.#found({ type: "inspection", message }),
      note: (process, what) => world.note(process, what),
      watched: { world, network, disk },
      halted: (isUnreadable) => atlas.halted(isUnreadable),
      identify: (name, rid) => {
        const process = world.processes.find((one) => one.name === name);
        if (process !== undefined) process.rid ??= rid;
      },
    });
    const base = { world, network, disk, counters, atlas };
    const { visitorCount } = load;
    const crew = { hostCount, voterCount, visitorCount };
    const fleet = new Fleet({ ...base, ...crew, cluster, brokenRules, onLog, onViolation });
    this.#recorder = new Recorder(world, `seed ${seed}, ${hostCount} members`);
    const keys = new KeySpace(load);
    this.#workload = new Workload({
      world,
      counters,
      fleet,
      recorder: this.#recorder,
      keys,
      load,
      onViolation,
    });
    this.#nemesis = new Nemesis({ ...base, fleet });
    const sessions = { world, network, disk, counters, brokenRules, onViolation };
    this.#sessions = new SessionLoad({ ...sessions, config: config.sessions });
    this.#world = world;
    this.#network = network;
    this.#disk = disk;
    this.#atlas = atlas;
    this.#fleet = fleet;
  }

  async run(): Promise<ScenarioResult> {
    if (await this.#setUp()) {
      await this.#chaos();
      if (!this.#isWrong() && (await this.#becomeLive()) && (await this.#finish())) await this.#renew();
    }
    return this.#judge();
  }

  /** An operator does something to the volume in a process of its own; false if that failed. */
  async #operate(
    name: string,
    action: (ports: SimulatedPorts) => Promise<void> | undefined,
  ): Promise<boolean> {
    const process = this.#world.startProcess(name);
    let isDone = false;
    process.post("message", () => {
      const ports = portsOf(process, { network: this.#network, disk: this.#disk });
      void Promise.resolve(action(ports)).then(
        () => {
          isDone = true;
        },
        (error: unknown) =>
          this.#found({ type: "failure", message: `cannot ${name}: ${describeError(error)}` }),
      );
    });
    await this.#runUntil(SETUP_MS, () => isDone || this.#isWrong());
    process.kill();
    if (!isDone) this.#found({ type: "no-progress", message: `the operator could not ${name} the volume` });
    return isDone;
  }

  async #setUp(): Promise<boolean> {
    const { cluster } = this.#options;
    if (!(await this.#operate("format", (ports) => cluster.format(ports)))) return false;
    for (const host of this.#fleet.hosts) this.#fleet.start(host);
    const isUp = await this.#runUntil(SETUP_MS, () => this.#fleet.up().length > 0);
    if (!isUp) this.#found({ type: "no-progress", message: "no member could open the fresh volume" });
    return isUp;
  }

  async #chaos(): Promise<void> {
    this.#nemesis.start(this.#plan.faults);
    this.#workload.start();
    this.#sessions.start();
    await this.#runUntil(this.#plan.config.chaosMs, () => this.#isWrong());
  }

  async #becomeLive(): Promise<boolean> {
    const { hosts } = this.#fleet;
    this.#world.note("", "healed");
    this.#workload.stop();
    this.#nemesis.heal();
    this.#sessions.stop();
    const isEnded = await this.#runUntil(
      this.#livenessMs(),
      () =>
        this.#workload.runningCount + this.#sessions.runningCount === 0 &&
        this.#fleet.up().length === hosts.length,
    );
    if (!isEnded) {
      const upCount = this.#fleet.up().length;
      const message =
        `${this.#livenessMs()} ms after the last fault ${this.#recorder.openCount} calls are open ` +
        `(${this.#fleet.openCalls()}), ${this.#sessions.runningCount} callers wait, ` +
        `${upCount} of ${hosts.length} members are up`;
      this.#found({ type: "no-progress", message });
      return false;
    }
    if (!(await this.#outside(() => this.#waitForOneServer()))) {
      this.#found({
        type: "servers",
        message: "there was never exactly one server after everything was healed",
      });
      return false;
    }
    const leftovers = (): readonly string[] => this.#options.cluster.leftovers?.() ?? [];
    const isTidy = await this.#runUntil(this.#livenessMs(), () => leftovers().length === 0);
    if (!isTidy) this.#found({ type: "no-progress", message: leftovers().join(", ") });
    return isTidy;
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

  /** Reads everything through everybody, and has all leave. */
  async #finish(): Promise<boolean> {
    const quietMs = this.#disk.lastLandingMs - this.#world.nowMs + QUIET_MS;
    await this.#runUntil(quietMs, () => this.#isWrong());
    const hosts = this.#fleet.up();
    const isRead = await this.#outside(async () => {
      for (const [index, host] of hosts.entries()) await this.#workload.readAll(host, 10_000 + index);
    });
    if (!isRead) {
      this.#found({ type: "no-progress", message: "the final read did not end" });
      return false;
    }
    const haveLeft = await this.#outside(() => this.#leaveAll());
    if (!haveLeft) this.#found({ type: "no-progress", message: "the members could not all leave" });
    return haveLeft && !this.#isWrong();
  }

  /** Between two reigns an operator renews the terms; who comes back finds everything. Damage would be his to repair first. */
  async #renew(): Promise<void> {
    const { config } = this.#plan;
    const { cluster } = this.#options;
    if (cluster.renew === undefined || !config.volume.isRenewed || config.damage !== "none") return;
    await this.#stopAll();
    if (!(await this.#operate("renew", (ports) => cluster.renew?.(ports)))) return;
    for (const host of this.#fleet.hosts) this.#fleet.start(host);
    const areUp = await this.#runUntil(
      this.#livenessMs(),
      () => this.#fleet.up().length === config.hostCount,
    );
    if (!areUp || !(await this.#outside(() => this.#waitForOneServer())))
      this.#found({ type: "no-progress", message: "the members did not come back to renewed terms" });
    else if (await this.#finish()) this.#counters.add("terms-renewed");
  }

  /** One whose farewell failed may be about to start again. */
  async #stopAll(): Promise<void> {
    const { everybody } = this.#fleet;
    await this.#runUntil(SETUP_MS, () => everybody.every(({ isComing }) => !isComing));
    for (const host of everybody) this.#fleet.kill(host);
  }

  /** One after another; at once where the last ones could not elect each other, for then nobody may go before the others want to. */
  async #leaveAll(): Promise<void> {
    const hosts = this.#world.random("leaving").shuffle(this.#fleet.up());
    const { voterCount, hostCount, volume } = this.#plan.config;
    if (volume.votes > 1 || voterCount < hostCount) {
      await Promise.all(hosts.map((host) => this.#fleet.leave(host)));
      return;
    }
    for (const host of hosts) await this.#fleet.leave(host);
  }

  #judge(): ScenarioResult {
    const { cluster } = this.#options;
    for (const { process, error } of this.#world.failures) {
      this.#found({ type: "failure", message: `${process ?? "the world"}: ${describeError(error)}` });
    }
    for (const { processId, firstBlock, complaint } of this.#disk.landings.violations) {
      this.#found({ type: "landing", message: `${processId}, block ${firstBlock}: ${complaint}` });
    }
    if (!this.#isWrong())
      for (const message of cluster.inspect?.() ?? []) this.#found({ type: "inspection", message });
    const history = this.#recorder.callCount > 0 ? this.#recorder.finish() : undefined;
    for (const complaint of history === undefined ? [] : checkHistory(history)) {
      this.#found(toViolation(complaint));
    }
    return {
      seed: this.#plan.seed,
      plan: this.#plan,
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
    if (isExcused(violation, this.#atlas)) {
      this.#counters.add(`excused ${violation.type}`);
      return;
    }
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(violation);
    this.#world.note("", `violation: ${violation.type}`);
  }

  /** Time from now that everything has to finish; what the device holds back does not count. */
  #livenessMs(): number {
    const stalledMs = Math.max(0, this.#disk.lastStallMs - this.#world.nowMs);
    const livenessMs = this.#options.livenessMs ?? LIVENESS_MS;
    return stalledMs + (this.#atlas.isHalted ? Math.min(livenessMs, HALTED_MS) : livenessMs);
  }

  /** Runs the world until something is so; false when the time or the events ran out first. */
  async #runUntil(ms: number, isDone: () => boolean): Promise<boolean> {
    const eventsMax = this.#options.eventsMax ?? EVENTS_MAX;
    const end = await this.#world.run({ untilMs: this.#world.nowMs + ms, isDone, eventsMax });
    return end === "done";
  }

  /** Lets an inspector from outside do its work while the world runs. */
  async #outside(work: () => Promise<void>): Promise<boolean> {
    let isDone = false;
    this.#world.after(0, () => {
      void work().then(() => {
        isDone = true;
      });
    });
    return await this.#runUntil(this.#livenessMs(), () => isDone);
  }
}
