/*
 * Plans compactions and hands them to members in turn (architecture 10).
 *
 * Jobs live in the server's memory only. What is durable is the grant of a job's output blocks to its worker, until
 * its result is taken: then they belong to segments. A worker whose result is not taken, for whatever reason, has the
 * blocks and gives them back itself, since it alone knows whether a write there may still land; if it dies, they go
 * with its eviction. Only a job that never reached its worker is taken back here. Nothing leaks.
 *
 * A result is applied only while its job is known here and its inputs are what the manifest holds. The inputs of a job
 * that failed rest for a while: planned at once, it would most likely fail again, and at once.
 */
import {
  CompactionJob,
  type CompactionPlan,
  CompactionResult,
  type LevelCursors,
  type ManifestView,
  applyResult,
  jobOf,
  planCompaction,
} from "@holdfast/compaction";
import { type Cancel, type Clock, type Deferred, type Logger, deferred } from "@holdfast/environment";
import { CALL_ABORTED, CALL_ANSWER_DROPPED, type ServerSessions } from "@holdfast/net-reliable";
import { Command, Refusal } from "../protocol.ts";
import type { Committer } from "./committer.ts";
import { NotGrantedError } from "./member-records.ts";
import { RefusedError } from "./refusals.ts";
import { NoSpaceError, type VolumeTrees } from "./volume-trees.ts";

/** What a compactor needs. */
export interface CompactorOptions {
  readonly committer: Committer;
  readonly clock: Clock;
  /** Sends a job to a member. */
  readonly call: ServerSessions["call"];
  /** Members that may work: joined and connected. */
  readonly workers: () => readonly bigint[];
  readonly limits: CompactorLimits;
  /** Called when planning cannot go on: the server must stop. */
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
}

/** Bit of segment ids that compactions give: no member's number reaches it. The job's number and the output's follow. */
const COMPACTION_SEGMENTS = 1n << 63n;

/** The inputs of a job that failed are left alone for so long. */
const REST_MS = 5000;

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

interface RestingJob {
  readonly job: CompactionJob;
  readonly cancel: Cancel;
}

/** Keeps the levels in shape. */
export class Compactor {
  readonly #options: CompactorOptions;
  readonly #running: Map<bigint, RunningJob> = new Map();
  readonly #resting: Map<bigint, RestingJob> = new Map();
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

  /** Segments of each level, now. */
  async levels(): Promise<readonly number[]> {
    const view = await this.#look();
    return view.levels.map((level) => level.length);
  }

  /**
   * Resolves when level 0 is below its limit, or no job is under way that could make it so: writers wait for
   * compaction while there is any, and never for one that nobody does or that there is no space for.
   */
  async roomInLevelZero(): Promise<void> {
    const isUnderWay = (): boolean => this.#isPlanning || this.#running.size > 0;
    while (this.#failure === undefined && this.#isLevelZeroFull && isUnderWay()) {
      const waiter = deferred<void>();
      this.#waiting.push(waiter);
      await waiter.promise;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** The manifest is another one, or a worker came: looks for work. */
  lookForWork(): void {
    if (this.#failure !== undefined) return;
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
   * Swaps a job's inputs for its outputs in the commit that is being made; changes nothing when the job failed.
   *
   * @throws {@link RefusedError} when the job is not known here, {@link CompactionRefusedError} when the result does
   * not fit it or the manifest. The worker keeps the blocks, and returns them.
   */
  async finish(trees: VolumeTrees, rid: bigint, id: bigint, encoded: Uint8Array): Promise<void> {
    const running = this.#running.get(id);
    if (running === undefined || running.worker !== rid) {
      throw new RefusedError(Refusal.unknownJob, `compaction ${id} is not known to this server`);
    }
    if (encoded.length === 0) return;
    const result = CompactionResult.decode(encoded);
    const { freed } = await applyResult(trees.manifest, running.job, result);
    for (const { extent } of running.job.outputs) await trees.members.revoke(rid, extent);
    for (const extent of freed) await trees.free.add(extent);
    trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
  }

  /** The result of a member's job is committed. */
  succeeded(rid: bigint, id: bigint): void {
    if (this.#running.get(id)?.worker === rid) this.#running.delete(id);
    this.lookForWork();
  }

  /** A member's job came to nothing; its inputs may be planned again after a rest. */
  failed(rid: bigint, id: bigint): void {
    const running = this.#running.get(id);
    if (running?.worker === rid) this.#rest(running.job);
    this.lookForWork();
  }

  /** A member is gone: its jobs may be given to others. What it was granted is quarantined, or freed, with it. */
  memberGone(rid: bigint): void {
    for (const [id, { worker }] of this.#running) if (worker === rid) this.#running.delete(id);
    this.lookForWork();
  }

  /** Ends planning and fails who waits. */
  stop(error: unknown): void {
    this.#failure ??= { error };
    this.#running.clear();
    for (const { cancel } of this.#resting.values()) cancel();
    this.#resting.clear();
    this.#wake();
  }

  get #isLevelZeroFull(): boolean {
    return (this.#view?.levels[0]?.length ?? 0) >= this.#options.limits.levelZeroMax;
  }

  #wake(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve();
  }

  #planFailed(error: unknown): void {
    if (this.#failure === undefined && !(error instanceof NoSpaceError)) return this.#options.onFatal(error);
    if (this.#failure === undefined) {
      this.#options.log.warn({ event: "compaction.no-space", err: error }, "no space to compact into");
      this.#isAgain = false;
    }
    this.#planned();
  }

  #planned(): void {
    this.#isPlanning = false;
    this.#wake();
    if (!this.#isAgain) return;
    this.#isAgain = false;
    this.lookForWork();
  }

  async #plan(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) return;
      const view = await this.#look();
      const worker = this.#nextWorker();
      if (worker === undefined) return;
      const plan = planCompaction(view, this.#busyIds(), this.#cursors);
      if (plan === undefined) return;
      this.#cursors = new Map(this.#cursors).set(plan.upperLevel, plan.nextCursor);
      // One that is no member any more leaves the roster at once, and that brings planning back here.
      if (!(await this.#start(plan, worker))) return;
    }
  }

  /** The manifest as it is now, what is not committed yet included: a job is sent after a commit that holds all of it. */
  #look(): Promise<ManifestView> {
    return this.#options.committer.read(async (trees) => {
      if (this.#view !== undefined && this.#viewVersion === trees.state.manifestVersion) return this.#view;
      const view = await trees.manifest.view();
      this.#view = view;
      this.#viewVersion = trees.state.manifestVersion;
      return view;
    });
  }

  #busyIds(): ReadonlySet<bigint> {
    const jobs = [...this.#running.values(), ...this.#resting.values()];
    return new Set(jobs.flatMap(({ job }) => [...job.upper, ...job.lower].map(({ id }) => id)));
  }

  /** False when the worker is no member any more. */
  async #start(plan: CompactionPlan, worker: bigint): Promise<boolean> {
    const { committer, call } = this.#options;
    const job = await committer.mutate((trees) => grantJob(trees, plan, worker));
    if (job === undefined || this.#failure !== undefined) return false;
    this.#running.set(job.id, { job, worker });
    call(worker, Command.compact, CompactionJob.encode(job), (error) => {
      if (error === 0) return;
      // Its member is gone, or this server ends; that is told elsewhere, too.
      if (error === CALL_ABORTED) this.#running.delete(job.id);
      else this.#refused(job, worker, error);
    });
    return true;
  }

  /** A member did not take a job, or its answer to it is lost. */
  #refused(job: CompactionJob, worker: bigint, refusal: number): void {
    const { log, onFatal } = this.#options;
    log.warn({ event: "compaction.refused", worker, job: job.id, refusal }, "a member refused a compaction");
    this.#rest(job);
    // Without its answer it may have taken the job, and write; it gives the blocks back itself then.
    const taking = refusal === CALL_ANSWER_DROPPED ? Promise.resolve() : this.#takeBack(job, worker);
    taking.then(
      () => this.lookForWork(),
      (error: unknown) => {
        if (this.#failure === undefined) onFatal(error);
      },
    );
  }

  /**
   * Takes the blocks of a job from a member that did not take it: nothing was or will be written there. Where that cannot
   * be, they stay the member's, and come back with everything else it holds: it has begun to leave, or has given
   * them back by itself, or no commit has room for the change.
   */
  async #takeBack({ id, outputs }: CompactionJob, worker: bigint): Promise<void> {
    const { committer, log } = this.#options;
    try {
      await committer.mutate(async (trees) => {
        if ((await trees.members.living(worker)) === undefined) return;
        for (const { extent } of outputs) {
          await trees.members.revoke(worker, extent);
          await trees.free.add(extent);
        }
      });
    } catch (error) {
      if (!(error instanceof NotGrantedError) && !(error instanceof NoSpaceError)) throw error;
      const facts = { event: "compaction.blocks-left", worker, job: id, err: error };
      log.warn(facts, "the blocks of a refused compaction stay with its member");
    }
  }

  #rest(job: CompactionJob): void {
    const { clock } = this.#options;
    this.#running.delete(job.id);
    const cancel = clock.at(clock.now() + REST_MS, () => {
      this.#resting.delete(job.id);
      this.lookForWork();
    });
    this.#resting.set(job.id, { job, cancel });
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

/** Grants a job's blocks to its worker; undefined when that is no member any more. */
async function grantJob(
  trees: VolumeTrees,
  plan: CompactionPlan,
  worker: bigint,
): Promise<CompactionJob | undefined> {
  if ((await trees.members.living(worker)) === undefined) return undefined;
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
}
