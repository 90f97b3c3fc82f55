/*
 * The shared disk: one medium, many processes, and everything that can go wrong between a submit and a landing.
 *
 * A write is submitted, lands (from then on reads see it), and completes; each step is an event of its own. What a
 * process submitted before it was paused or killed is out of its hands: it may land at once, much later, in pieces, or
 * (of a killed process) never. Nothing a process does or suffers takes a submitted write back.
 */
import { SimulatedDevice } from "./device.ts";
import { JudgedLandings, type LandingJudge } from "./landings.ts";
import { Medium, SECTOR_BYTES } from "./medium.ts";
import type { SimulatedProcess } from "./process.ts";
import type { RandomStream } from "./random-stream.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimulatedWorld } from "./world.ts";

/** How the disk behaves. */
export interface DiskOptions {
  readonly sizeBytes: bigint;
  /** Latency of a request in milliseconds: uniform in this range, plus transfer time. */
  readonly latencyMinMs?: number;
  readonly latencyMaxMs?: number;
}

/** Probabilities, 0 … 1, that a request fails with an I/O error. */
export interface DiskErrors {
  readonly read: number;
  readonly write: number;
  readonly flush: number;
}

/** One submitted write. For devices and the disk. */
export interface PendingWrite {
  readonly process: SimulatedProcess;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly isDurable: boolean;
  /** Called when all of it landed. */
  readonly landed: () => void;
}

interface Submission {
  readonly write: PendingWrite;
  event: SimulatedEvent;
}

const BYTES_PER_MS = 500_000;
const SLOW_PROBABILITY = 0.01;
const SLOW_FACTOR = 30;
const LATE_MIN_MS = 1;
const LATE_MAX_MS = 20_000;
const NO_ERRORS: DiskErrors = { read: 0, write: 0, flush: 0 };

/** A disk that all processes of a world share. */
export class SimulatedDisk {
  readonly world: SimulatedWorld;
  readonly medium: Medium = new Medium();
  readonly sizeBytes: bigint;
  readonly landings: JudgedLandings = new JudgedLandings();
  readonly #random: RandomStream;
  readonly #latencyMinMs: number;
  readonly #latencyMaxMs: number;
  readonly #inFlight = new Map<SimulatedProcess, Set<Submission>>();
  readonly #holds = new Map<SimulatedProcess, number>();
  #errors: DiskErrors = NO_ERRORS;
  #stallUntilMs = 0;

  constructor(world: SimulatedWorld, options: DiskOptions) {
    this.world = world;
    this.sizeBytes = options.sizeBytes;
    this.#random = world.random("disk");
    this.#latencyMinMs = options.latencyMinMs ?? 0.03;
    this.#latencyMaxMs = options.latencyMaxMs ?? 0.4;
  }

  /** The disk as one process sees it. */
  open(process: SimulatedProcess, url: string = "sim-disk:shared"): SimulatedDevice {
    if (!this.#inFlight.has(process)) {
      this.#inFlight.set(process, new Set());
      process.onState((state) => this.#unleash(process, state));
    }
    return new SimulatedDevice(this, process, url);
  }

  /** Has every landing write judged from now on. */
  setJudge(judge: LandingJudge): void {
    this.landings.setJudge(judge);
  }

  /** Makes requests fail from now on. */
  setErrors(errors: Partial<DiskErrors>): void {
    this.#errors = { ...NO_ERRORS, ...errors };
  }

  /** Nothing lands and nothing is answered before this virtual time. */
  stall(untilMs: number): void {
    this.#stallUntilMs = untilMs;
    this.world.note("", `the disk stalls until ${untilMs.toFixed(0)} ms`);
  }

  /** What a process writes lands only after this virtual time, in any order. */
  holdWrites(process: SimulatedProcess, untilMs: number): void {
    this.#holds.set(process, untilMs);
    this.world.note(process.name, `writes are held back until ${untilMs.toFixed(0)} ms`);
  }

  /** Ends stalls, holds and errors; what was held back keeps its time. */
  heal(): void {
    this.#stallUntilMs = 0;
    this.#holds.clear();
    this.#errors = NO_ERRORS;
  }

  /**
   * Loses power: unflushed writes are lost or torn, submitted ones land in pieces or never. Kill the processes that
   * use the disk as well: none of them could know.
   */
  losePower(): void {
    let lostCount = 0;
    for (const submissions of this.#inFlight.values()) {
      for (const submission of submissions) {
        this.world.cancel(submission.event);
        if (this.#random.chance(0.5)) this.#landSome(submission.write);
        lostCount += 1;
      }
      submissions.clear();
    }
    const pages = this.medium.losePower(this.#random);
    this.world.note("", `the disk loses power: ${pages} pages not flushed, ${lostCount} writes under way`);
  }

  /** Writes that were submitted and have not landed. */
  get writesInFlight(): number {
    let count = 0;
    for (const submissions of this.#inFlight.values()) count += submissions.size;
    return count;
  }

  /** Submits a write; for devices only. */
  submit(write: PendingWrite): void {
    const hold = Math.max(this.#holds.get(write.process) ?? 0, this.world.nowMs);
    const held = hold > this.world.nowMs ? hold + this.#random.range(0, 50) : hold;
    this.#arm(write, held - this.world.nowMs + this.latencyMs(write.bytes.length));
    const { trace } = this.world;
    trace.mix(write.offset / SECTOR_BYTES);
    trace.mixBytes(write.bytes);
  }

  /** An injected error for one request, or undefined; for devices only. */
  chanceOfError(operation: keyof DiskErrors): boolean {
    const probability = this.#errors[operation];
    return probability > 0 && this.#random.chance(probability);
  }

  /** How long one request takes from now, milliseconds; for devices only. */
  latencyMs(lengthBytes: number): number {
    const slow = this.#random.chance(SLOW_PROBABILITY) ? SLOW_FACTOR : 1;
    const base = this.#random.range(this.#latencyMinMs, this.#latencyMaxMs) * slow;
    return Math.max(0, this.#stallUntilMs - this.world.nowMs) + base + lengthBytes / BYTES_PER_MS;
  }

  #arm(write: PendingWrite, delayMs: number): void {
    const submissions = this.#inFlight.get(write.process);
    const submission: Submission = {
      write,
      event: this.world.after(delayMs, () => {
        submissions?.delete(submission);
        this.#land(write, write.offset, write.bytes);
        write.landed();
      }),
    };
    submissions?.add(submission);
  }

  #land(write: PendingWrite, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.medium.write(offset, bytes, write.isDurable);
    const complaint = this.landings.judge(write.process, offset, bytes, this.world.nowMs);
    if (complaint !== undefined) this.world.note(write.process.name, `a write is judged: ${complaint}`);
  }

  /** Lands a random subset of a write's sectors. */
  #landSome(write: PendingWrite): void {
    for (let at = 0; at < write.bytes.length; at += SECTOR_BYTES) {
      if (this.#random.chance(0.5)) {
        this.#land(write, write.offset + at, write.bytes.subarray(at, at + SECTOR_BYTES));
      }
    }
  }

  /** A process stopped or died: chance decides what becomes of each write it had submitted. */
  #unleash(process: SimulatedProcess, state: "paused" | "dead"): void {
    const submissions = this.#inFlight.get(process);
    if (submissions === undefined) return;
    // A set may be changed while it is walked, but what is armed again below must not be met a second time.
    const pending = [...submissions];
    for (const submission of pending) {
      const fate = this.#random.unit();
      if (fate < 0.4) continue;
      this.world.cancel(submission.event);
      submissions.delete(submission);
      const { write } = submission;
      const lateMs = lateness(this.#random);
      // Half of it may be seen long before the rest, by whoever reads meanwhile.
      const isTorn = this.#random.chance(0.3);
      if (isTorn) this.#landSome(write);
      if (state === "paused" || fate < 0.8) this.#arm(write, lateMs);
    }
  }
}

/** Uniform in its logarithm: short and long waits are equally likely. */
function lateness(random: RandomStream): number {
  return Math.exp(random.range(Math.log(LATE_MIN_MS), Math.log(LATE_MAX_MS)));
}
