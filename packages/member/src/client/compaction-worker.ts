/*
 * Does the compactions that the server hands to this member.
 *
 * Blocks that were granted for a job become segments only when the server takes the result. Otherwise they are this
 * member's, and it gives them back, whatever the reason: the job failed, the result was refused, the server that
 * planned it is gone. If a write failed it may still land, whatever error ended the job, and the server is told so; that
 * member does no more jobs.
 */
import { CompactionJob, CompactionResult, runCompaction } from "@holdfast/compaction";
import type { BlockDevice, Clock, Logger } from "@holdfast/environment";
import type { Respond } from "@holdfast/net-reliable";
import {
  Command,
  CompactedRequest,
  EMPTY_BODY,
  EXTENTS_PER_MESSAGE,
  GiveExtentsRequest,
  Refusal,
} from "../protocol.ts";
import { OperationRefusedError } from "../errors.ts";
import type { ServerLink } from "./server-link.ts";
import { WriteWatch } from "./write-watch.ts";

/** Jobs that run at a time: those of one server, and of servers before it that are not done yet. */
export const JOBS_MAX = 8;

/** What the worker stands on. */
export interface CompactionWorkerOptions {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  readonly rid: bigint;
  readonly clock: Clock;
  readonly link: Pick<ServerLink, "operation" | "term">;
  readonly log: Logger;
}

/** Runs jobs, each in its own task. */
export class CompactionWorker {
  readonly #options: CompactionWorkerOptions;
  readonly #running: Set<Promise<void>> = new Set();
  #isStopping = false;

  constructor(options: CompactionWorkerOptions) {
    this.#options = options;
  }

  /** Accepts a job at once; its end is reported by a request of its own. */
  accept(body: Uint8Array, respond: Respond): void {
    if (this.#isStopping || this.#running.size >= JOBS_MAX) return respond(Refusal.busy, EMPTY_BODY);
    const job = CompactionJob.decode(body);
    respond(0, EMPTY_BODY);
    const task = this.#run(job).catch((error: unknown) => {
      // The membership ended; the server takes the job and its blocks back with the eviction.
      this.#options.log.debug(
        { event: "compaction.dropped", job: job.id, err: error },
        "a compaction was dropped",
      );
    });
    this.#running.add(task);
    void task.finally(() => this.#running.delete(task));
  }

  /** Takes no more jobs and resolves when none is running. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  async #run(job: CompactionJob): Promise<void> {
    const { result, mayBeWritten } = await this.#merge(job);
    const isTaken = await this.#report(job, result);
    if (!isTaken) await this.#giveBack(job, mayBeWritten);
  }

  /** The encoded result; empty when the job could not be done. */
  async #merge(job: CompactionJob): Promise<{ readonly result: Uint8Array; readonly mayBeWritten: boolean }> {
    const { device, fsid, rid, clock, link, log } = this.#options;
    const writes = new WriteWatch(device, { startBytes: 0n, endBytes: device.sizeBytes });
    try {
      const result = await runCompaction(job, { device: writes.device, fsid, rid, term: link.term, clock });
      return { result: CompactionResult.encode(result), mayBeWritten: false };
    } catch (error) {
      log.warn({ event: "compaction.failed", job: job.id, err: error }, "a compaction failed");
      const mayBeWritten = writes.hasFailed;
      // Each job would cost its blocks until this member is confirmed dead.
      if (mayBeWritten) this.#isStopping = true;
      return { result: EMPTY_BODY, mayBeWritten };
    }
  }

  /** True if the result stands in the manifest: its blocks are segments now. */
  async #report(job: CompactionJob, result: Uint8Array): Promise<boolean> {
    try {
      await this.#options.link.operation(Command.compacted, (operation) =>
        CompactedRequest.encode({ ...operation, job: job.id, result }),
      );
      return result.length > 0;
    } catch (error) {
      if (!(error instanceof OperationRefusedError)) throw error;
      return false;
    }
  }

  async #giveBack(job: CompactionJob, mayBeWritten: boolean): Promise<void> {
    const extents = job.outputs.map(({ extent }) => extent);
    for (let from = 0; from < extents.length; from += EXTENTS_PER_MESSAGE) {
      const part = extents.slice(from, from + EXTENTS_PER_MESSAGE);
      await this.#options.link.operation(Command.giveExtents, (operation) =>
        GiveExtentsRequest.encode({ ...operation, extents: part, mayBeWritten }),
      );
    }
  }
}
