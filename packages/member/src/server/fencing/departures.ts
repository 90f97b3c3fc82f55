/*
 * What follows when members are gone: the parts of fencing at one server, and the wires between them.
 */
import type { BrokenRules, Clock, FenceAgent, Logger, Processes } from "@holdfast/environment";
import type { ProcessRecord } from "../../volume/process-record.ts";
import type { Committer } from "../committer.ts";
import type { Roster } from "../roster.ts";
import type { VolumeTrees } from "../volume-trees.ts";
import { Fencing } from "./fencing.ts";
import { OperatorWord } from "./operator-word.ts";
import type { Evidence } from "./owner-record.ts";
import { ProcessWatch } from "./process-watch.ts";
import { QuarantineAlarm } from "./quarantine-alarm.ts";

/** What the fencing of one server stands on. */
export interface DeparturesOptions {
  /** The server's own member: its rid, its name for people, its process. */
  readonly own: bigint;
  readonly name: string;
  readonly process: ProcessRecord;
  readonly processes: Processes | undefined;
  readonly agent: FenceAgent | undefined;
  /** Blocks of the volume that belong to extents. */
  readonly volumeBlocks: number;
  readonly brokenRules: BrokenRules;
  readonly clock: Clock;
  readonly committer: Committer;
  readonly roster: () => Pick<Roster, "isConnected" | "condemn" | "isAwaited">;
  /** A member that is waited for is gone for certain. */
  readonly onGone: (rid: bigint) => void;
  /** Work that nobody waits for failed. */
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
}

/** Fencing at one server. */
export class Departures {
  readonly #options: DeparturesOptions;
  readonly #fencing: Fencing;
  readonly #operator: OperatorWord;
  readonly #watch: ProcessWatch;
  readonly #alarm: QuarantineAlarm;
  /** Members whose process is gone, until their eviction is done. */
  readonly #gone: Map<bigint, Evidence> = new Map();

  constructor(options: DeparturesOptions) {
    const { own, process, processes, clock, committer, roster, log } = options;
    this.#options = options;
    this.#fencing = new Fencing(options);
    this.#operator = new OperatorWord({ own, committer, fencing: this.#fencing, roster });
    this.#watch = new ProcessWatch({
      clock,
      processes,
      own: process,
      processOf: (rid) => committer.read(async (trees) => (await trees.members.get(rid))?.process),
      isAwaited: (rid) => roster().isAwaited(rid),
      onGone: (rid) => this.#processGone(rid),
    });
    this.#alarm = new QuarantineAlarm(options.volumeBlocks, log);
  }

  /** Takes up what former servers left. @throws what a commit throws. */
  open(): Promise<void> {
    return this.#fencing.open();
  }

  /** Fences a member on an operator's word; see {@link OperatorWord.fence}. */
  fence(body: Uint8Array): Promise<Uint8Array> {
    return this.#operator.fence(body);
  }

  /** A member is waited for: not for long if its process is gone. */
  awaited(rid: bigint): void {
    this.#watch.watch(rid).catch((error: unknown) => this.#options.onFatal(error));
  }

  /** What confirms the end of a member that is to be evicted. */
  evidenceOf(rid: bigint): Evidence {
    return this.#gone.get(rid) ?? this.#operator.evidenceOf(rid);
  }

  /** A member's eviction is done. */
  evicted(rid: bigint): void {
    this.#gone.delete(rid);
    this.#operator.evicted(rid);
    this.#fencing.look(rid);
  }

  /** A member has left. */
  left(rid: bigint): void {
    this.#fencing.look(rid);
  }

  /** What the fence agent said of an owner that it did not confirm. */
  problemOf(rid: bigint): string {
    return this.#fencing.problemOf(rid);
  }

  /** A commit is recorded. */
  recorded(trees: VolumeTrees): void {
    this.#alarm.recorded(trees.state.quarantine);
    this.#fencing.recorded(trees.droppedElsewhere);
  }

  /** Begins nothing any more; what is under way is left to the next server. */
  stop(): void {
    this.#watch.close();
    this.#fencing.close();
  }

  /** The reign is over. */
  close(error: unknown): void {
    this.stop();
    this.#operator.close(error);
  }

  #processGone(rid: bigint): void {
    const evidence = this.#fencing.evidence("process");
    if (this.evidenceOf(rid).kind === "none") this.#gone.set(rid, evidence);
    this.#options.onGone(rid);
  }
}
