/*
 * Whole members of one volume in one process: a device and a network in memory, and a clock that the test moves.
 */
import { createHmac } from "node:crypto";
import { type Cryptography, MIB, utf8 } from "@holdfast/environment";
import { formatVolume, type Member, openMember, type OpenMemberOptions } from "../../src/index.ts";
import { ManualClock, MemoryNetwork } from "@holdfast/memory-ports";
import type { EventLoop } from "./event-loop.ts";
import { Host } from "./host.ts";
import { MemoryDevice } from "./memory-device.ts";
import { SeededRandom } from "@holdfast/memory-ports";

/** A member and the process it lives in. */
export interface TestMember {
  readonly member: Member;
  readonly host: Host;
  /** Why the membership ended by itself. */
  readonly losses: Error[];
}

/** What a test wants otherwise; without a listening address the member does not vote. */
export type TestOptions = Partial<Omit<OpenMemberOptions, "listenAddress">> & {
  readonly listenAddress?: string | undefined;
  /** Its event loop, if it is to be blocked. */
  readonly loop?: EventLoop;
};

const cryptography: Cryptography = {
  hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
};

/** Virtual time in which everything that is waited for here must come. */
const PATIENCE_MS = 60_000;

const STEP_MS = 5;

/** More than any test uses; formatting more takes longer. */
const TERMS_MAX = 16;

/** What the volume is to be like. */
export interface WorldOptions {
  readonly sizeBytes?: number;
  readonly votes?: number;
  readonly termsMax?: number;
}

/** One volume and whoever opens it. */
export class MemberWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork = new MemoryNetwork(this.clock);
  readonly device: MemoryDevice;
  readonly random: SeededRandom = new SeededRandom(7);
  #hostCount = 0;

  private constructor(sizeBytes: number) {
    this.device = new MemoryDevice(sizeBytes);
  }

  static async format({
    sizeBytes = 64 * MIB,
    votes = 1,
    termsMax = TERMS_MAX,
  }: WorldOptions = {}): Promise<MemberWorld> {
    const world = new MemberWorld(sizeBytes);
    await formatVolume(world.device, { label: "test", votes, termsMax }, world.random);
    return world;
  }

  /** Opens a member in a process of its own; it votes. */
  async open(options: TestOptions = {}): Promise<TestMember> {
    const { host, opening, losses } = this.begin(options);
    return { member: await this.finish(opening), host, losses };
  }

  /** The same, without waiting for it. */
  begin(options: TestOptions = {}): {
    readonly host: Host;
    readonly opening: Promise<Member>;
    readonly losses: Error[];
  } {
    this.#hostCount += 1;
    const { device, clock, random } = this;
    const ports = { device, clock, transport: this.network };
    const losses: Error[] = [];
    const { listenAddress, loop, ...others } = { listenAddress: `memory:${this.#hostCount}`, ...options };
    const host = new Host(loop?.gate(ports) ?? ports);
    const opening = openMember({
      device: host.device,
      clock: host.clock,
      transport: host.transport,
      log: host.log,
      random,
      cryptography,
      ...(listenAddress === undefined ? {} : { listenAddress }),
      name: `host-${this.#hostCount}`,
      onLost: (error) => losses.push(error),
      ...others,
    });
    opening.catch(() => {});
    return { host, opening, losses };
  }

  /** Moves time until the promise has settled. */
  async finish<T>(promise: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const settled = (): void => {
      state.isSettled = true;
    };
    promise.then(settled, settled);
    const until = this.clock.now() + PATIENCE_MS;
    while (!state.isSettled) {
      if (this.clock.now() > until) throw new Error(`nothing came in ${PATIENCE_MS} ms of virtual time`);
      await this.clock.advance(STEP_MS);
    }
    return await promise;
  }

  /** Moves time until the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    const until = this.clock.now() + PATIENCE_MS;
    while (!condition()) {
      if (this.clock.now() > until)
        throw new Error(`it did not come true in ${PATIENCE_MS} ms of virtual time`);
      await this.clock.advance(STEP_MS);
    }
  }

  /** Closes members one after another. */
  async close(...members: readonly TestMember[]): Promise<void> {
    for (const { member } of members) await this.finish(member.close());
  }
}

/** The text of a value. */
export function textOf(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : utf8.decode(value);
}
