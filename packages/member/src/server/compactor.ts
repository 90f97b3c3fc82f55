/*
 * Plans compactions and hands them to members in turn (architecture 10).
 *
 * Jobs live in the server's memory only. What is durable is the grant of a job's output blocks to its worker:
 * if either dies, the blocks come back with the worker's return or through its eviction, and nothing leaks. A
 * result is applied only while its job is known here and its inputs are what the manifest holds.
 */
import {
  applyResult,
  CompactionJob,
  type CompactionPlan,
  CompactionResult,
  jobOf,
  type LevelCursors,
  type ManifestView,
  planCompaction,
} from "@holdfast/compaction";
import { type Deferred, deferred, type Logger } from "@holdfast/environment";
import type { ServerSessions } from "../sessions/server-sessions.ts";
import { Command, Refusal } from "../protocol.ts";
import type { VolumeState } from "../volume/volume-state.ts";
import type { Committer } from "./committer.ts";
import { RefusedError } from "./requests.ts";
import { NoSpaceError, type VolumeTrees } from "./volume-trees.ts";

/** What a compactor needs. */
export interface CompactorOptions {
  readonly committer: Committer;
  /** Sends a job to a member. */
  readonly call: ServerSessions["call"];
  /** Members that may work: joined and connected. */
  readonly workers: () => readonly bigint[];
  readonly limits: CompactorLimits;
  readonly log: Logger;
}

/** Bit of segment ids that compactions give: no member's number reaches it. The job's number and the output's follow. */
const COMPACTION_SEGMENTS = 1n << 63n;

/** Limits of compaction. */
export interface CompactorLimits {
  /** Jobs that one member is given at a time. */
  readonly jobsPerMember: number;
  /** Level-0 segments at which writers wait for compaction. */
  readonly levelZeroMax: number;
}

/** Two jobs keep a member busy without starving its own work; reads stay bounded by 12 overlapping runs. */
export const DEFAULT_COMPACTOR_LIMITS: CompactorLimits = { jobsPerMember: 2, levelZeroMax: 12 };

interface RunningJob {
  readonly job: CompactionJob;
  readonly worker: bigint;
}

/** Keeps the levels in shape. */
export class Compactor {
  readonly #options: CompactorOptions;
  readonly #running: Map<bigint, RunningJob> = new Map();
  readonly #waiting: Deferred<void>[] = [];
  #cursors: LevelCursors = new Map();
  #view: ManifestView | undefined;
  #viewVersion = 0n;
  #turn = 0;
  #isPlanning = false;
  #isAgain = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  /** Segments of each level, as of the last plan. */
  get levels(): readonly number[] {
    return this.#view?.levels.map((level) => level.length) ?? [];
  }

  /** Resolves when level 0 is below its limit. */
  async roomInLevelZero(): Promise<void> {
    while ((this.#view?.levels[0]?.length ?? 0) >= this.#options.limits.levelZeroMax) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const waiter = deferred<void>();
      this.#waiting.push(waiter);
      await waiter.promise;
    }
  }

  /** The committed manifest is another one, or a worker came: looks for work. */
  manifestChanged(_state: VolumeState): void {
    if (this.#isPlanning) {
      this.#isAgain = true;
      return;
    }
    this.#isPlanning = true;
    this.#plan().then(
      () => this.#planned(),
      (error: unknown) => this.#planFailed(error),
    );
  }

  /**
   * Swaps a job's inputs for its outputs in the commit that is being made.
   *
   * @throws {@link RefusedError} when the job is not known here: its worker keeps the blocks, and returns them.
   */
  async finish(trees: VolumeTrees, rid: bigint, id: bigint, encoded: Uint8Array): Promise<void> {
    const running = this.#running.get(id);
    if (running === undefined || running.worker !== rid) {
      throw new RefusedError(Refusal.unknownJob, `compaction ${id} is not known to this server`);
    }
    if (encoded.length === 0) {
      for (const { extent } of running.job.outputs) await this.#takeBack(trees, rid, extent);
      return;
    }
    const result = CompactionResult.decode(encoded);
    const { freed } = await applyResult(trees.manifest, running.job, result);
    for (const { extent } of running.job.outputs) await trees.members.revoke(rid, extent);
    for (const extent of freed) await trees.free.add(extent);
    trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
  }

  /** The job's end is committed. */
  forget(id: bigint): void {
    this.#running.delete(id);
  }

  /** A member is gone: its jobs may be given to others. What it was granted is quarantined with it. */
  memberGone(rid: bigint): void {
    for (const [id, { worker }] of this.#running) if (worker === rid) this.#running.delete(id);
    this.manifestChanged(this.#options.committer.committed);
  }

  /** Ends planning and fails who waits. */
  stop(error: unknown): void {
    this.#failure ??= { error };
    this.#running.clear();
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }

  #planFailed(error: unknown): void {
    // A commit that failed ends the server, which stops everybody itself; a full volume ends only this attempt.
    if (!(error instanceof NoSpaceError)) return this.stop(error);
    this.#options.log.warn({ event: "compaction.no-space", err: error }, "no space to compact into");
    this.#isAgain = false;
    this.#planned();
  }

  #planned(): void {
    this.#isPlanning = false;
    for (const waiter of this.#waiting.splice(0)) waiter.resolve();
    if (!this.#isAgain || this.#failure !== undefined) return;
    this.#isAgain = false;
    this.manifestChanged(this.#options.committer.committed);
  }

  async #plan(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) return;
      const worker = this.#nextWorker();
      await this.#look();
      if (worker === undefined || this.#view === undefined) return;
      const busy = new Set(
        [...this.#running.values()].flatMap(({ job }) => [...job.upper, ...job.lower].map(({ id }) => id)),
      );
      const plan = planCompaction(this.#view, busy, this.#cursors);
      if (plan === undefined) return;
      this.#cursors = new Map(this.#cursors).set(plan.upperLevel, plan.nextCursor);
      await this.#start(plan, worker);
    }
  }

  async #look(): Promise<void> {
    const { committer } = this.#options;
    await committer.read(async (trees) => {
      if (this.#view !== undefined && this.#viewVersion === trees.state.manifestVersion) return;
      this.#view = await trees.manifest.view();
      this.#viewVersion = trees.state.manifestVersion;
    });
  }

  async #start(plan: CompactionPlan, worker: bigint): Promise<void> {
    const { committer, call, log } = this.#options;
    const job = await committer.mutate(async (trees) => {
      const number = trees.state.nextJob;
      trees.amend({ nextJob: number + 1n });
      const outputs = [];
      for (const blocks of plan.outputBlocks) {
        const extent = await trees.take(blocks, "a compaction");
        if (extent.lengthBlocks < blocks) throw new NoSpaceError(blocks, "a compaction");
        await trees.members.grant(worker, extent);
        outputs.push({ id: COMPACTION_SEGMENTS | (number << 10n) | BigInt(outputs.length), extent });
      }
      return jobOf(plan, number, outputs);
    });
    this.#running.set(job.id, { job, worker });
    call(worker, Command.compact, CompactionJob.encode(job), (error) => {
      if (error === 0) return;
      log.warn({ event: "compaction.refused", worker, job: job.id, error }, "a member refused a compaction");
      this.#running.delete(job.id);
    });
  }

  async #takeBack(
    trees: VolumeTrees,
    rid: bigint,
    extent: { readonly start: bigint; readonly lengthBlocks: number },
  ): Promise<void> {
    await trees.members.revoke(rid, extent);
    await trees.free.add(extent);
  }

  #nextWorker(): bigint | undefined {
    const { workers, limits } = this.#options;
    const jobsOf = (rid: bigint): number =>
      [...this.#running.values()].filter(({ worker }) => worker === rid).length;
    const free = workers().filter((rid) => jobsOf(rid) < limits.jobsPerMember);
    this.#turn += 1;
    return free[this.#turn % Math.max(1, free.length)];
  }
}
