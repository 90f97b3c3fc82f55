/*
 * The merge worker: reads the inputs once, writes the newest version of every key.
 *
 * It works in the event loop of its process and leaves it to others every few milliseconds. It changes nothing but
 * the blocks granted with the job, so a worker may stop at any instruction.
 */
import { type BlockDevice, CancelledError, type Clock, BLOCK_BYTES } from "@holdfast/environment";
import {
  type ItemCursor,
  type ItemPosition,
  KeyProbe,
  SegmentReader,
  type SegmentRef,
  SegmentWriter,
  compareKeysAt,
  concatenateCursors,
  mergeCursors,
} from "@holdfast/segment";
import { checkJob } from "./check-job.ts";
import { CompactionSpaceError } from "./errors.ts";
import { type CompactionJob, type CompactionResult, unusedExtents } from "./job.ts";
import { rangeOf } from "./manifest-view.ts";

/** The worker leaves the event loop to others after so many milliseconds of work. */
export const WORK_MS = 4;

/** Items between two looks at the clock and at the signal. */
const ITEMS_PER_LOOK = 256;

/** Items after which it yields whatever the clock says. */
const ITEMS_PER_YIELD = 16_384;

/** What a worker needs of its process. */
export interface CompactionPorts {
  readonly device: BlockDevice;
  /** Identity of the volume. */
  readonly fsid: bigint;
  /** The member that does the work. */
  readonly rid: bigint;
  /** Term whose server gave the job. */
  readonly term: bigint;
  readonly clock: Clock;
  /** Aborts the work; nothing is in flight when the call has failed. */
  readonly signal?: AbortSignal;
}

/**
 * Does a job.
 *
 * When it fails, no write of it is in flight any more. After a {@link DeviceError} one that failed may still arrive
 * later, so the output extents must not be used for anything else until this member is confirmed dead.
 *
 * @throws {@link CompactionJobError} `ERR_HOLDFAST_COMPACTION_JOB` the job is malformed; nothing was read.
 * @throws {@link CompactionSpaceError} `ERR_HOLDFAST_COMPACTION_SPACE` the granted extents do not suffice.
 * @throws {@link StaleSegmentError} `ERR_HOLDFAST_SEGMENT_STALE` an input is not there: the job is out of date.
 * @throws {@link CancelledError} `ERR_HOLDFAST_CANCELLED` the signal aborted.
 */
export async function runCompaction(job: CompactionJob, ports: CompactionPorts): Promise<CompactionResult> {
  checkJob(job);
  const outputs = job.isMove
    ? job.upper.map((ref) => ({ ...ref, level: job.upperLevel + 1 }))
    : await mergeJob(job, ports);
  return { jobId: job.id, outputs, unused: unusedExtents(job, outputs) };
}

async function mergeJob(job: CompactionJob, ports: CompactionPorts): Promise<SegmentRef[]> {
  const output = new OutputRun(job, ports);
  const pace = new Pace(ports);
  try {
    pace.check();
    const merged = mergeCursors(inputsOf(job, ports), { dropTombstones: false });
    for (;;) {
      const hasItem = merged.nextSync() ?? (await merged.next());
      if (!hasItem) break;
      if (!output.add(merged.position)) await output.addToNext(merged.position);
      if (pace.isDue()) await pace.rest();
    }
    return await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
}

/** The inputs, newest first. */
function inputsOf(job: CompactionJob, ports: CompactionPorts): ItemCursor[] {
  const uppers =
    job.upperLevel === 0 ? job.upper.map((ref) => inTurn([ref], ports)) : [inTurn(job.upper, ports)];
  return [...uppers, inTurn(job.lower, ports)];
}

/** Disjoint segments one after another, each opened when it is reached. */
function inTurn(refs: readonly SegmentRef[], { device, fsid }: CompactionPorts): ItemCursor {
  return concatenateCursors(
    refs.map((ref) => async () => (await SegmentReader.open(device, fsid, ref)).stream(rangeOf(ref))),
  );
}

/** Looks after the other users of the event loop. */
class Pace {
  readonly #ports: CompactionPorts;
  #since: number;
  #itemCount = 0;

  constructor(ports: CompactionPorts) {
    this.#ports = ports;
    this.#since = ports.clock.now();
  }

  /** Called once per item; true when {@link rest} should be awaited. */
  isDue(): boolean {
    this.#itemCount += 1;
    if (this.#itemCount % ITEMS_PER_LOOK !== 0) return false;
    this.check();
    return this.#itemCount % ITEMS_PER_YIELD === 0 || this.#ports.clock.now() - this.#since >= WORK_MS;
  }

  async rest(): Promise<void> {
    await this.#ports.clock.yield();
    this.check();
    this.#since = this.#ports.clock.now();
  }

  check(): void {
    const { signal } = this.#ports;
    if (signal?.aborted === true) throw new CancelledError("the compaction", { cause: signal.reason });
  }
}

/** The output segments of a job, one after another; those behind the split on the upper level. */
class OutputRun {
  readonly #job: CompactionJob;
  readonly #ports: CompactionPorts;
  readonly #buffer: Uint8Array;
  readonly #finished: SegmentRef[] = [];
  /** The key after which items stay on the upper level; undefined when all go down or the split was passed. */
  #split: KeyProbe | undefined;
  #level: number;
  #dropTombstones: boolean;
  #writer: SegmentWriter | undefined;
  #startedCount = 0;

  constructor(job: CompactionJob, ports: CompactionPorts) {
    const longest = Math.max(0, ...job.outputs.map(({ extent }) => extent.lengthBlocks));
    this.#job = job;
    this.#ports = ports;
    this.#buffer = new Uint8Array(longest * BLOCK_BYTES);
    this.#split = job.splitAfter === undefined ? undefined : new KeyProbe(job.splitAfter);
    this.#level = job.upperLevel + 1;
    this.#dropTombstones = job.dropTombstones;
  }

  /** Takes the item if the open segment has room; false: it is not in and belongs into the next segment. */
  add(position: ItemPosition): boolean {
    if (this.#isBehindSplit(position)) return false;
    if (this.#dropTombstones && position.valueLength < 0) return true;
    return this.#writer?.addAt(position) ?? false;
  }

  /** Closes the open segment and puts the item first into another one. */
  async addToNext(position: ItemPosition): Promise<void> {
    await this.#closeSegment();
    if (this.#isBehindSplit(position)) {
      this.#split = undefined;
      this.#level = this.#job.upperLevel;
      // What stays above may still hide something below it.
      this.#dropTombstones = false;
    }
    const grant = this.#job.outputs[this.#startedCount];
    if (grant === undefined) throw new CompactionSpaceError(this.#job.id, this.#job.outputs.length);
    this.#startedCount += 1;
    const { device, fsid, rid, term } = this.#ports;
    this.#writer = new SegmentWriter({
      device,
      fsid,
      writer: rid,
      term,
      id: grant.id,
      level: this.#level,
      extent: grant.extent,
      buffer: this.#buffer,
    });
    this.#writer.addAt(position);
  }

  async finish(): Promise<SegmentRef[]> {
    await this.#closeSegment();
    return this.#finished;
  }

  async abandon(): Promise<void> {
    await this.#writer?.abandon();
  }

  #isBehindSplit(position: ItemPosition): boolean {
    const split = this.#split;
    return split !== undefined && compareKeysAt(position.row, position.rowOffset, split.view, 0, 0) > 0;
  }

  async #closeSegment(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    const ref = await writer.finish();
    this.#writer = undefined;
    this.#finished.push({ ...ref, order: orderOf(this.#job, ref.level) });
  }
}

/**
 * The age of an output. What stays on level 0 takes the age of the oldest input: every segment between it and the
 * newest input is newer than what it overlaps of the older inputs, and overlaps none of the newer ones.
 */
export function orderOf(job: CompactionJob, level: number): bigint {
  return level === 0 ? (job.upper.at(-1)?.order ?? 0n) : 0n;
}
