/*
 * The hosts of a run and what runs on them: opens members, restarts what died, carries the clients' calls in.
 *
 * A call goes into a member as a message to its process, so that a paused process does not run it; it ends when the
 * member answers or when its process dies.
 */
import type { FaultAtlas } from "../atlas/fault-atlas.ts";
import { HoldfastError, InvariantError, type BrokenRules } from "@holdfast/environment";
import type { SimulatedDisk } from "../world/disk.ts";
import type { SimulatedNetwork } from "../world/network.ts";
import { portsOf, type LogLine } from "../world/ports.ts";
import type { KillOptions, SimulatedProcess } from "../world/process.ts";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedWorld } from "../world/world.ts";
import type { Cluster, ClusterMember } from "./cluster.ts";
import type { Counters } from "./counters.ts";
import type { Violation } from "./violation.ts";

/** How a call ended for its client. */
export type CallEnd<T> =
  | { readonly type: "value"; readonly value: T }
  | { readonly type: "error"; readonly error: unknown }
  /** The process died; nobody knows. */
  | { readonly type: "died" };

/** What a fleet works with. */
export interface FleetOptions {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  readonly cluster: Cluster;
  readonly hostCount: number;
  /** The first so many hosts listen and vote. */
  readonly voterCount: number;
  /** Hosts beside them, whose members come for one operation at a time. */
  readonly visitorCount: number;
  readonly atlas: FaultAtlas;
  readonly brokenRules: BrokenRules;
  readonly counters: Counters;
  readonly onViolation: (violation: Violation) => void;
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** One host. */
export interface Host {
  readonly name: string;
  readonly isVoter: boolean;
  /** The incarnation that runs there, if any. */
  process: SimulatedProcess | undefined;
  /** The member in it, once it is open. */
  member: ClusterMember | undefined;
  /** True while a restart is arranged for. */
  isComing: boolean;
}

/** Errors that no world can cause: whoever logs one and goes on has a bug. */
const BUGS = [InvariantError, TypeError, ReferenceError] as const;

const RESTART_MIN_MS = 20;
const RESTART_MAX_MS = 500;

/** The hosts of a run. */
export class Fleet {
  readonly hosts: readonly Host[];
  /** Hosts of members that come for one operation at a time; faults do not look for them. */
  readonly visitors: readonly Host[];
  readonly #options: FleetOptions;
  readonly #random: RandomStream;
  #calls = new Map<SimulatedProcess, Set<() => void>>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#random = options.world.random("fleet");
    const { hostCount, voterCount, visitorCount } = options;
    this.hosts = makeHosts("member", hostCount, voterCount);
    this.visitors = makeHosts("visitor", visitorCount, 0);
  }

  /** All hosts, visitors included. */
  get everybody(): readonly Host[] {
    return [...this.hosts, ...this.visitors];
  }

  /** Hosts whose member is open. */
  up(): Host[] {
    return this.hosts.filter((host) => host.member !== undefined);
  }

  /** Calls that wait for an answer, by the process they wait for. */
  openCalls(): string {
    return [...this.#calls]
      .filter(([, calls]) => calls.size > 0)
      .map(([process, calls]) => `${calls.size} at ${process.name}`)
      .join(", ");
  }

  /** Starts a process on a host and opens a member in it. */
  start(host: Host): void {
    if (host.process !== undefined) return;
    const { world, cluster, brokenRules, counters } = this.#options;
    const process = world.startProcess(host.name);
    const calls = new Set<() => void>();
    this.#calls.set(process, calls);
    host.process = process;
    counters.add("process started");
    process.onState((state, { isFenced }) => {
      if (state !== "dead") return;
      if (isFenced === true && this.hosts.includes(host))
        this.startLater(host, this.#random.range(RESTART_MIN_MS, RESTART_MAX_MS));
      this.#calls.delete(process);
      if (host.process === process) {
        host.process = undefined;
        host.member = undefined;
      }
      for (const end of calls) end();
    });
    const ports = portsOf(process, this.#options, (line) => this.#heard(line));
    const listenAddress = host.isVoter ? `sim://${host.name}:0` : undefined;
    const onLost = (error: unknown): void => this.#judgeError(host, process, error);
    process.post("message", () => {
      void Promise.resolve()
        .then(() => cluster.open({ ports, process, listenAddress, brokenRules, onLost }))
        .then(
          (member) => {
            if (host.process === process) host.member = member;
          },
          (error: unknown) => this.#openFailed(host, process, error),
        );
    });
  }

  /** Kills what runs on a host; without `restartMs` it stays down until somebody starts it. */
  kill(host: Host, options: KillOptions & { readonly restartMs?: number } = {}): void {
    host.process?.kill(options);
    if (options.restartMs !== undefined) this.startLater(host, options.restartMs);
  }

  /** Starts a host after some time, unless it runs by then. */
  startLater(host: Host, delayMs: number): void {
    if (host.isComing) return;
    host.isComing = true;
    this.#options.world.after(delayMs, () => {
      host.isComing = false;
      this.start(host);
    });
  }

  /** Closes the member of a host as its program would, then ends the process. */
  async leave(host: Host): Promise<CallEnd<void>> {
    const { process } = host;
    const end = await this.call(host, (member) => member.close());
    process?.kill();
    return end;
  }

  /** Calls a host's member from outside. */
  call<T>(host: Host, action: (member: ClusterMember) => Promise<T> | T): Promise<CallEnd<T>> {
    return new Promise((resolve) => {
      const { process, member } = host;
      const calls = process === undefined ? undefined : this.#calls.get(process);
      if (process === undefined || member === undefined || calls === undefined) {
        resolve({ type: "died" });
        return;
      }
      const died = (): void => resolve({ type: "died" });
      calls.add(died);
      process.post("message", () => {
        void Promise.resolve()
          .then(() => action(member))
          .then(
            (value) => {
              calls.delete(died);
              resolve({ type: "value", value });
            },
            (error: unknown) => {
              calls.delete(died);
              this.#judgeError(host, process, error);
              resolve({ type: "error", error });
            },
          );
      });
    });
  }

  /** A member that others gave up, or that gave itself up, is replaced; bugs are violations. */
  #judgeError(host: Host, process: SimulatedProcess, error: unknown): void {
    const { counters, onViolation } = this.#options;
    if (!(error instanceof HoldfastError)) {
      onViolation({ type: "failure", message: `${process.name}: ${describeError(error)}` });
      return;
    }
    counters.add(`error ${error.code}`);
    if (error.category === "corruption") counters.add("damage-told");
    if (error.category === "corruption" && !this.#options.atlas.explains(error.code)) {
      onViolation({ type: "unexpected-error", message: `${process.name}: ${describeError(error)}` });
    }
    if (error.category === "conflict") return;
    this.#replace(host, process);
  }

  #openFailed(host: Host, process: SimulatedProcess, error: unknown): void {
    const { counters, onViolation } = this.#options;
    const { atlas } = this.#options;
    const isBad =
      !(error instanceof HoldfastError) || (error.category === "corruption" && !atlas.explains(error.code));
    if (isBad) {
      onViolation({ type: "failure", message: `${process.name} cannot open: ${describeError(error)}` });
    } else {
      counters.add(`open ${error.code}`);
    }
    this.#replace(host, process);
  }

  #replace(host: Host, process: SimulatedProcess): void {
    if (host.process !== process) return;
    this.kill(host, { restartMs: this.#random.range(RESTART_MIN_MS, RESTART_MAX_MS) });
  }

  #heard(line: LogLine): void {
    this.#options.onLog?.(line);
    for (const fact of Object.values(line.facts)) {
      if (BUGS.some((kind) => fact instanceof kind)) {
        this.#options.onViolation({ type: "failure", message: `${line.process}: ${describeError(fact)}` });
      }
    }
  }
}

function makeHosts(prefix: string, count: number, voterCount: number): Host[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${prefix}-${index + 1}`,
    isVoter: index < voterCount,
    process: undefined,
    member: undefined,
    isComing: false,
  }));
}

/** An error with its code, its stack's first line of ours, and its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = error instanceof HoldfastError ? `${error.code} ` : "";
  const place =
    error.stack
      ?.split("\n")
      .find((line) => line.includes("at "))
      ?.trim() ?? "";
  const cause = error.cause === undefined ? "" : `, because of ${describeError(error.cause)}`;
  return `${code}${error.name}: ${error.message} (${place})${cause}`;
}
