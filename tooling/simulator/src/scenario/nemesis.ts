/*
 * The nemesis: does what the fault plan says, and undoes all of it in the end.
 */
import type { SimulatedDisk } from "../world/disk.ts";
import type { SimulatedNetwork } from "../world/network.ts";
import type { SimulatedWorld } from "../world/world.ts";
import { Ambush } from "./ambush.ts";
import type { Counters } from "./counters.ts";
import type { Fault } from "./fault-plan.ts";
import type { Fleet, Host } from "./fleet.ts";

/** What a nemesis works with. */
export interface NemesisOptions {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  readonly fleet: Fleet;
  readonly counters: Counters;
}

const DISK_ERROR_PROBABILITY = 0.01;
const DOWN_MAX_MS = 2500;

/** Longer than a server waits for a silent member (2 s) or for one that should report its locks (1 s). */
const EVICTION_MS = 3000;

/** Long enough that another server is elected meanwhile. */
const CUT_OFF_MIN_MS = 700;

/** Strikes. */
export class Nemesis {
  readonly #options: NemesisOptions;
  readonly #ambush: Ambush;
  #isOver = false;
  #hasDiskFailed = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.#ambush = new Ambush({
      ...options,
      random: options.world.random("ambush"),
      losePower: (lastsMs) => this.#losePower(lastsMs),
      undoAfter: (ms, undo) => this.#undoAfter(ms, undo),
    });
  }

  /** Arms every fault of a plan. */
  start(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.#options.world.after(fault.atMs, () => {
        if (!this.#isOver) void this.#strike(fault);
      });
    }
  }

  /**
   * Ends all faults: links open, disks answer, paused processes go on, dead ones come back. After errors of the disk every
   * process is started afresh, as an operator would: one whose record could not be written never serves again.
   */
  heal(): void {
    const { fleet, network, disk } = this.#options;
    this.#isOver = true;
    network.heal();
    disk.heal();
    for (const host of fleet.hosts) {
      if (this.#hasDiskFailed) fleet.kill(host);
      host.process?.resume();
      fleet.start(host);
    }
  }

  async #strike(fault: Fault): Promise<void> {
    const { world, fleet, network, disk, counters } = this.#options;
    const { kind, choice, lastsMs } = fault;
    counters.add(`fault ${kind}`);
    world.note("", `fault: ${kind} for ${lastsMs.toFixed(0)} ms`);
    const victim = this.#victim(choice);
    switch (kind) {
      case "crash":
        return this.#crash(victim, fault);
      case "crash-server":
        return this.#crash(await this.#server(victim), fault);
      case "pause":
        return this.#pause(victim, lastsMs);
      case "pause-server":
        return this.#pause(await this.#server(victim), lastsMs);
      case "isolate-server":
        return this.#isolate(await this.#server(victim), lastsMs);
      case "one-way":
        for (const other of this.#others(victim)) network.block(victim.name, other);
        return this.#undoAfter(lastsMs, () => this.#unblock(victim));
      case "halves":
        return this.#split(choice, lastsMs);
      case "slow-links":
        this.#slow(victim, lastsMs / 20);
        return this.#undoAfter(lastsMs, () => this.#slow(victim, 0));
      case "reset-streams":
        network.cut(victim.name, this.#victim(choice >>> 8).name);
        return;
      case "hold-writes":
        return this.#hold(victim, lastsMs);
      case "hold-server": {
        const server = await this.#server(victim);
        this.#hold(server, lastsMs);
        return this.#undoAfter(Math.min(lastsMs, 50), () => this.#pause(server, lastsMs));
      }
      case "hold-member":
        return this.#ambush.cutOffAtWrite(victim, () => this.#cutOff(victim, EVICTION_MS + lastsMs / 8));
      case "cut-off-server":
        this.#cutOff(await this.#server(victim), CUT_OFF_MIN_MS + lastsMs / 2);
        return;
      case "race-election":
        this.#ambush.delayClaim();
        return this.#crash(await this.#server(victim), fault, true);
      case "stumbling-election": {
        const server = await this.#server(victim);
        this.#isolate(server, EVICTION_MS + lastsMs / 5);
        return this.#ambush.killClaimant(server);
      }
      case "crash-at-write":
      case "pause-at-write":
      case "power-loss-at-write":
        if (this.#ambush.lieInWait({ ...fault, kind })) this.#crash(await this.#server(victim), fault);
        return;
      case "stall-disk":
        return disk.stall(world.nowMs + lastsMs / 2);
      case "power-loss":
        return this.#losePower(lastsMs);
      case "leave":
        await fleet.leave(victim);
        return fleet.startLater(victim, Math.min(lastsMs, DOWN_MAX_MS));
      case "disk-errors":
        this.#hasDiskFailed = true;
        disk.setErrors({
          read: DISK_ERROR_PROBABILITY,
          write: DISK_ERROR_PROBABILITY,
          flush: DISK_ERROR_PROBABILITY,
        });
        return this.#undoAfter(lastsMs, () => disk.setErrors({}));
    }
  }

  #crash(host: Host, { choice, lastsMs }: Fault, isSilent: boolean = (choice & 0x100) !== 0): void {
    this.#options.fleet.kill(host, { isSilent, restartMs: Math.min(lastsMs, DOWN_MAX_MS) });
  }

  #pause(host: Host, lastsMs: number): void {
    const { process } = host;
    process?.pause();
    this.#undoAfter(lastsMs, () => process?.resume());
  }

  #isolate(host: Host, lastsMs: number): void {
    this.#options.network.partition([[host.name], this.#others(host)]);
    this.#undoAfter(lastsMs, () => this.#unblock(host));
  }

  /** Nobody hears of it, and nothing it writes is seen, until the links open and the writes land; returns how long that takes. */
  #cutOff(host: Host, lastsMs: number): number {
    this.#hold(host, lastsMs);
    this.#isolate(host, lastsMs);
    return lastsMs;
  }

  #split(choice: number, lastsMs: number): void {
    const { fleet, network } = this.#options;
    const sides: [string[], string[]] = [[], []];
    for (const [index, host] of fleet.hosts.entries()) sides[(choice >>> index) & 1 ? 0 : 1].push(host.name);
    network.partition(sides);
    this.#undoAfter(lastsMs, () => {
      for (const host of fleet.hosts) this.#unblock(host);
    });
  }

  #slow(host: Host, extraMs: number): void {
    for (const other of this.#others(host)) {
      this.#options.network.slow(host.name, other, extraMs);
      this.#options.network.slow(other, host.name, extraMs);
    }
  }

  #hold(host: Host, lastsMs: number): void {
    const { disk, world } = this.#options;
    if (host.process !== undefined) disk.holdWrites(host.process, world.nowMs + lastsMs);
  }

  #losePower(lastsMs: number): void {
    const { fleet, disk } = this.#options;
    for (const host of fleet.hosts) {
      fleet.kill(host, { isSilent: true, restartMs: Math.min(lastsMs, DOWN_MAX_MS) });
    }
    disk.losePower();
  }

  #unblock(host: Host): void {
    for (const other of this.#others(host)) {
      this.#options.network.unblock(host.name, other);
      this.#options.network.unblock(other, host.name);
    }
  }

  #undoAfter(ms: number, undo: () => void): void {
    this.#options.world.after(ms, () => {
      if (!this.#isOver) undo();
    });
  }

  #victim(choice: number): Host {
    const { hosts } = this.#options.fleet;
    const host = hosts[choice % hosts.length];
    if (host === undefined) throw new RangeError("a fleet has at least one host");
    return host;
  }

  #others(host: Host): string[] {
    return this.#options.fleet.hosts.filter((other) => other !== host).map((other) => other.name);
  }

  /** Who serves now, by its own word; somebody else if nobody does. */
  async #server(otherwise: Host): Promise<Host> {
    const { fleet } = this.#options;
    for (const host of fleet.up()) {
      if (host.process?.state !== "running") continue;
      const status = await fleet.call(host, (member) => member.status());
      if (status.type === "value" && status.value.isServing) return host;
    }
    return otherwise;
  }
}
