/*
 * Fencing at one server over a volume in memory; its members, their processes and its fence agent are the test.
 */
import {
  deferred,
  type FenceAgent,
  type FenceAnswer,
  type FenceTarget,
  NO_BROKEN_RULES,
  type ProcessIdentity,
  type Processes,
  SILENT_LOGGER,
} from "@holdfast/environment";
import { Evictions } from "../../src/server/evictions.ts";
import { Fencing } from "../../src/server/fencing/fencing.ts";
import type { ProcessRecord } from "../../src/volume/process-record.ts";
import { auditBlocks } from "./block-audit.ts";
import { ServerRig } from "./server-rig.ts";
import { ServerWorld } from "./server-world.ts";

/** The process with this id on the host of every test. */
export function processOf(pid: number, difference: Partial<ProcessRecord> = {}): ProcessRecord {
  const host = { hostName: "host-1", bootId: "boot-1", namespace: 9n, isDeviceLocal: true };
  return { ...host, pid, startTime: BigInt(1000 + pid), ...difference };
}

/** Processes of one host: a test says which are gone. */
export class TestProcesses implements Processes {
  readonly own: ProcessIdentity;
  readonly gone: Set<number> = new Set();
  looks = 0;

  constructor(own: ProcessIdentity = processOf(1)) {
    this.own = own;
  }

  isGone({ pid }: ProcessIdentity): Promise<boolean> {
    this.looks += 1;
    return Promise.resolve(this.gone.has(pid));
  }
}

/** A fence agent whose answers a test gives. */
export class TestAgent implements FenceAgent {
  readonly asked: FenceTarget[] = [];
  readonly cancelled: bigint[] = [];
  readonly #answers: ((answer: FenceAnswer) => void)[] = [];

  fence(target: FenceTarget): ReturnType<FenceAgent["fence"]> {
    const answer = deferred<FenceAnswer>();
    this.asked.push(target);
    this.#answers.push((said) => answer.resolve(said));
    const cancel = (): void => {
      this.cancelled.push(target.rid);
      answer.resolve({ rid: target.rid, isConfirmed: false, detail: "cancelled" });
    };
    return { answer: answer.promise, cancel };
  }

  /** Answers the oldest question. */
  answer(isConfirmed: boolean, rid?: bigint): void {
    const index = this.asked.length - this.#answers.length;
    this.#answers.shift()?.({ rid: rid ?? this.asked[index]?.rid ?? 0n, isConfirmed, detail: "said so" });
  }
}

/** What a test of fencing may want otherwise. */
export interface FencingRigOptions {
  readonly processes?: TestProcesses;
  readonly agent?: TestAgent;
}

/** A server with its own member, evictions and fencing. */
export class FencingRig {
  readonly server: ServerRig;
  readonly evictions: Evictions;
  readonly fencing: Fencing;
  readonly fatal: unknown[] = [];

  private constructor(server: ServerRig, rid: bigint, { processes, agent }: FencingRigOptions) {
    this.server = server;
    const { device, fsid, clock } = server.world;
    const { committer, leadership } = server.server;
    const onFatal = (error: unknown): void => {
      this.fatal.push(error);
    };
    this.fencing = new Fencing({
      name: `m${rid}`,
      process: processOf(Number(rid)),
      processes,
      agent,
      brokenRules: NO_BROKEN_RULES,
      clock,
      committer,
      onFatal,
      log: server.log,
    });
    this.evictions = new Evictions({
      device,
      fsid,
      rid,
      term: leadership.term,
      clock,
      committer,
      ownMember: Promise.resolve(),
      onDone: (member) => this.fencing.look(member),
      onFatal,
      log: SILENT_LOGGER,
    });
  }

  static async start(world?: ServerWorld, rid = 1n, options: FencingRigOptions = {}): Promise<FencingRig> {
    const server = await ServerRig.start(world ?? (await ServerWorld.format()), rid);
    await server.join(rid, processOf(Number(rid)));
    return new FencingRig(server, rid, options);
  }

  get world(): ServerWorld {
    return this.server.world;
  }

  /** Blocks in quarantine. */
  get quarantined(): number {
    return this.server.server.committer.committed.quarantine.blocks;
  }

  /** A member joins, takes blocks, dies, and is evicted. */
  async loses(rid: bigint, process: ProcessRecord = processOf(Number(rid)), blocks = 100): Promise<void> {
    await this.server.join(rid, process);
    await this.server.take(rid, blocks);
    await this.evict(rid);
  }

  async evict(rid: bigint): Promise<void> {
    await this.evictions.mark(rid);
    await this.evictions.finish(rid);
  }

  /** Lets everything that is under way come to its end, and time pass. */
  async pass(ms = 1): Promise<void> {
    await this.world.clock.advance(ms);
  }

  /** What is wrong with the blocks. */
  audit(): Promise<readonly string[]> {
    return auditBlocks(this.world, this.server.server);
  }
}
