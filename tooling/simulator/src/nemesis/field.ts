/*
 * What a fault has in its hands while it strikes: the hosts, the links, the disk, and ways to undo things later.
 */
import type { FaultAtlas } from "../atlas/fault-atlas.ts";
import type { Fault } from "../plan/draw-faults.ts";
import type { Counters } from "../scenario/counters.ts";
import type { Fleet, Host } from "../scenario/fleet.ts";
import type { SimulatedDisk } from "../world/disk.ts";
import type { SimulatedNetwork } from "../world/network.ts";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedWorld } from "../world/world.ts";

/** What faults work with. */
export interface FieldOptions {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  readonly fleet: Fleet;
  readonly counters: Counters;
  readonly atlas: FaultAtlas;
}

/** One fault as it strikes. */
export interface Strike {
  readonly fault: Fault;
  /** Chance of this fault alone. */
  readonly random: RandomStream;
  /** The host that the fault has chosen. */
  readonly victim: Host;
}

/** Longest absence of a member that was killed or has left. */
const DOWN_MAX_MS = 2500;

/** The battlefield of one run. */
export class Field {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  readonly fleet: Fleet;
  readonly counters: Counters;
  readonly atlas: FaultAtlas;
  /** True once a process may have given up its device for good: only a fresh one goes on. */
  hasDeviceFailed = false;
  /** True while a member is kept away from the others until it is evicted: two at a time would evict nobody. */
  isOutlasting = false;
  #isOver = false;

  constructor(options: FieldOptions) {
    this.world = options.world;
    this.network = options.network;
    this.disk = options.disk;
    this.fleet = options.fleet;
    this.counters = options.counters;
    this.atlas = options.atlas;
  }

  /** True once everything was healed: nothing may be done or undone any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** From now on nothing is done or undone any more. */
  end(): void {
    this.#isOver = true;
  }

  /** Does something later, unless everything is healed by then. */
  later(ms: number, action: () => void): void {
    this.world.after(ms, () => {
      if (!this.#isOver) action();
    });
  }

  /** The host of a number. */
  host(choice: number): Host {
    const { hosts } = this.fleet;
    const host = hosts[choice % hosts.length];
    if (host === undefined) throw new RangeError("a fleet has at least one host");
    return host;
  }

  /** Names of all hosts that take part. */
  get names(): string[] {
    return this.fleet.hosts.map(({ name }) => name);
  }

  /** Names of all hosts but one. */
  others(host: Host): string[] {
    return this.names.filter((name) => name !== host.name);
  }

  /** Who serves now, by its own word; somebody else if nobody does. */
  async server(otherwise: Host): Promise<Host> {
    for (const host of this.fleet.up()) {
      if (host.process?.state !== "running") continue;
      const status = await this.fleet.call(host, (member) => member.status());
      if (status.type === "value" && status.value.isServing) return host;
    }
    return otherwise;
  }

  /** Kills what runs on a host; it comes back. */
  crash(host: Host, { choice, lastsMs }: Fault, isSilent: boolean = (choice & 0x100) !== 0): void {
    this.fleet.kill(host, { isSilent, restartMs: Math.min(lastsMs, DOWN_MAX_MS) });
  }

  /** Stops a host for some time. */
  pause({ process }: Host, lastsMs: number, isHidden: boolean = false): void {
    process?.pause(isHidden);
    this.later(lastsMs, () => process?.resume());
  }

  /** A host and all others do not reach each other for some time. */
  isolate(host: Host, lastsMs: number): void {
    this.network.partition([[host.name], this.others(host)]);
    this.later(lastsMs, () => this.unblock(host));
  }

  /** What a host writes lands only after some time. */
  hold({ process }: Host, lastsMs: number): void {
    if (process !== undefined) this.disk.holdWrites(process, this.world.nowMs + lastsMs);
  }

  /** Nobody hears of a host, and nothing it writes is seen, until the links open and the writes land; returns how long that takes. */
  cutOff(host: Host, lastsMs: number): number {
    this.hold(host, lastsMs);
    this.isolate(host, lastsMs);
    return lastsMs;
  }

  /** All links of a host open again. */
  unblock(host: Host): void {
    for (const other of this.others(host)) {
      this.network.unblock(host.name, other);
      this.network.unblock(other, host.name);
    }
  }

  /** The disk and everybody lose power. */
  losePower(lastsMs: number): void {
    for (const host of this.fleet.everybody) {
      this.fleet.kill(host, { isSilent: true, restartMs: Math.min(lastsMs, DOWN_MAX_MS) });
    }
    this.disk.losePower();
  }

  /** A host comes back after some time. */
  comeBack(host: Host, lastsMs: number): void {
    this.fleet.startLater(host, Math.min(lastsMs, DOWN_MAX_MS));
  }
}

/** Does one kind of fault. */
export type FaultHandler = (field: Field, strike: Strike) => void | Promise<void>;
