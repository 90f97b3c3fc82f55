/*
 * Members that a server waits for, and whose process it can look at: one that is gone is not waited for any longer.
 *
 * A process that was killed is gone a moment after its connections broke. So it is looked for at once, then again in
 * growing steps, as long as anybody waits for the member; after that its silence counts.
 */
import { type Clock, type Processes, sleep } from "@holdfast/environment";
import { isProvenGone, type ProcessRecord } from "../../volume/process-record.ts";

/** The second look comes so soon, */
const FIRST_LOOK_MS = 5;

/** and no look later than so long after the one before. */
const LOOKS_APART_MAX_MS = 160;

/** What a watch needs. */
export interface ProcessWatchOptions {
  readonly clock: Clock;
  readonly processes: Processes | undefined;
  /** The process that looks. */
  readonly own: ProcessRecord;
  /** Where a member runs; undefined when it is none. */
  readonly processOf: (rid: bigint) => Promise<ProcessRecord | undefined>;
  /** True while a member is waited for. */
  readonly isAwaited: (rid: bigint) => boolean;
  /** A member that is waited for is gone. */
  readonly onGone: (rid: bigint) => void;
}

/** Looks at processes of silent members. */
export class ProcessWatch {
  readonly #options: ProcessWatchOptions;
  readonly #watched: Set<bigint> = new Set();
  #isClosed = false;

  constructor(options: ProcessWatchOptions) {
    this.#options = options;
  }

  /**
   * Begins to look at a member that is waited for from now on.
   *
   * @throws what reading its record throws.
   */
  async watch(rid: bigint): Promise<void> {
    if (this.#options.processes === undefined || this.#watched.has(rid)) return;
    this.#watched.add(rid);
    try {
      await this.#look(rid);
    } finally {
      this.#watched.delete(rid);
    }
  }

  /** Looks at nobody any more. */
  close(): void {
    this.#isClosed = true;
  }

  async #look(rid: bigint): Promise<void> {
    const { clock, processes, own, processOf, isAwaited, onGone } = this.#options;
    const process = await processOf(rid);
    if (process === undefined) return;
    let waitMs = FIRST_LOOK_MS;
    while (isAwaited(rid) && !this.#isClosed) {
      const isGone = await isProvenGone(processes, own, process);
      if (this.#isClosed || !isAwaited(rid)) return;
      if (isGone) return onGone(rid);
      await sleep(clock, waitMs);
      waitMs = Math.min(2 * waitMs, LOOKS_APART_MAX_MS);
    }
  }
}
