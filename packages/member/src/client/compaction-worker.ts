/*
 * Does the compactions that the server hands to this member.
 */
import { CompactionJob, CompactionResult, runCompaction } from "@holdfast/compaction";
import type { BlockDevice, Clock, Logger } from "@holdfast/environment";
import type { Respond } from "@holdfast/net-reliable";
import { Command, CompactedRequest, EMPTY_BODY, GiveExtentsRequest, Refusal } from "../protocol.ts";
import { OperationRefusedError } from "../errors.ts";
import type { ServerLink } from "./server-link.ts";

/** What the worker stands on. */
export interface CompactionWorkerOptions {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  readonly rid: bigint;
  readonly clock: Clock;
  readonly link: ServerLink;
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
    if (this.#isStopping) return respond(Refusal.notYours, EMPTY_BODY);
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
    task.then(
      () => this.#running.delete(task),
      () => this.#running.delete(task),
    );
  }

  /** Takes no more jobs and resolves when none is running. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  async #run(job: CompactionJob): Promise<void> {
    const result = await this.#merge(job);
    const { link } = this.#options;
    try {
      await link.operation(Command.compacted, (operation) =>
        CompactedRequest.encode({ ...operation, job: job.id, result }),
      );
    } catch (error) {
      if (!(error instanceof OperationRefusedError) || error.facts.refusal !== Refusal.unknownJob)
        throw error;
      // The server that planned it is gone, and with it the job: the blocks go home.
      await link.operation(Command.giveExtents, (operation) =>
        GiveExtentsRequest.encode({ ...operation, extents: job.outputs.map(({ extent }) => extent) }),
      );
    }
  }

  /** The encoded result; empty when the job could not be done and the server should plan again. */
  async #merge(job: CompactionJob): Promise<Uint8Array> {
    const { device, fsid, rid, clock, link, log } = this.#options;
    try {
      return CompactionResult.encode(await runCompaction(job, { device, fsid, rid, term: link.term, clock }));
    } catch (error) {
      log.warn({ event: "compaction.failed", job: job.id, err: error }, "a compaction failed");
      return EMPTY_BODY;
    }
  }
}
