/*
 * A won term: commits, one at a time, and checks, one for all who asked before it began.
 *
 * The first error is the last word: whatever is asked afterwards is refused with it, and nothing more is written. A device
 * that does not answer in time is such an error; what it completes later changes nothing.
 */
import { type BrokenRules, invariant } from "@holdfast/environment";
import { countIds } from "../block-reading.ts";
import { Check } from "../check.ts";
import { Commit } from "../commit.ts";
import { DEFAULT_QUORUM_TIMING } from "../quorum-timing.ts";
import { DeposedError, DeviceStalledError, type RecordWriteError } from "../errors.ts";
import type { Leadership } from "../leadership.ts";
import type { CommitRecord } from "../record.ts";
import type { QuorumRegion } from "../region.ts";
import { type IoPorts, driveToOutcome, runCheck } from "./block-io.ts";
import { unlessStalled } from "./stall.ts";

export type { Leadership };

/** Settings of a won term. */
export interface LeadershipOptions {
  readonly region: QuorumRegion;
  readonly rid: bigint;
  readonly term: bigint;
  readonly adopted: CommitRecord;
  readonly brokenRules: BrokenRules;
  /** A commit or a check that takes longer ends the role; in milliseconds, `DEFAULT_QUORUM_TIMING` says the default. */
  readonly deviceStallMs?: number;
}

/** Takes up a term that an election has won. */
export function startLeadership(options: LeadershipOptions, ports: IoPorts): Leadership {
  return new LeadershipDriver(options, ports);
}

type LeadershipEnd = DeposedError | RecordWriteError | DeviceStalledError;

class LeadershipDriver implements Leadership {
  readonly term: bigint;
  readonly adopted: CommitRecord;
  readonly #options: LeadershipOptions;
  readonly #ports: IoPorts;
  readonly #commit: Commit;
  #isCommitting = false;
  #end: LeadershipEnd | undefined;
  /** The check that has not begun yet, and the one before it. */
  #nextCheck: Promise<void> | undefined;
  #lastCheck: Promise<unknown> = Promise.resolve();

  constructor(options: LeadershipOptions, ports: IoPorts) {
    this.#options = options;
    this.#ports = ports;
    this.term = options.term;
    this.adopted = options.adopted;
    this.#commit = new Commit(options);
  }

  async commit(payload: Uint8Array, address: string): Promise<bigint> {
    this.#throwIfOver();
    invariant(!this.#isCommitting, "one record is in flight at a time");
    const first = this.#commit.handle({ type: "commit", payload, address });
    this.#isCommitting = true;
    const beforeWrite = (): void => this.#throwIfOver();
    const outcome = await this.#inTime(driveToOutcome(this.#commit, { first, beforeWrite }, this.#ports));
    this.#isCommitting = false;
    switch (outcome.type) {
      case "committed":
        return outcome.seq;
      case "deposed":
        throw this.#finish(new DeposedError(this.term, outcome.by));
      case "failed":
        throw this.#finish(outcome.error);
    }
  }

  check(): Promise<void> {
    if (this.#nextCheck === undefined) {
      const begin = (): Promise<void> => {
        this.#nextCheck = undefined;
        return this.#readCheck();
      };
      this.#nextCheck = this.#lastCheck.then(begin, begin);
      this.#lastCheck = this.#nextCheck;
    }
    return this.#nextCheck;
  }

  async #readCheck(): Promise<void> {
    this.#throwIfOver();
    const { region, term, brokenRules } = this.#options;
    const check = new Check({ region, term, brokenRules }, countIds());
    const outcome = await this.#inTime(runCheck(check, this.#ports));
    this.#throwIfOver();
    if (outcome.type === "deposed") throw this.#finish(new DeposedError(term, outcome.by));
  }

  #throwIfOver(): void {
    if (this.#end !== undefined) throw this.#end;
  }

  #inTime<T>(task: Promise<T>): Promise<T> {
    const { deviceStallMs: limitMs = DEFAULT_QUORUM_TIMING.deviceStallMs } = this.#options;
    const onStall = (): Error => this.#finish(new DeviceStalledError(this.term, limitMs));
    return unlessStalled(task, { limitMs, clock: this.#ports.clock, onStall });
  }

  #finish(error: LeadershipEnd): Error {
    this.#end ??= error;
    return this.#end;
  }
}
