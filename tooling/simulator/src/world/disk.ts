/*
 * The shared disk: one medium, many processes, and everything that can go wrong between a submit and a landing.
 *
 * A write is submitted, lands (from then on reads see it), and completes; each step is an event of its own. What a
 * process submitted before it was paused or killed is out of its hands: it may land at once, much later, in pieces, or
 * (of a killed process) never. Nothing a process does or suffers takes a submitted write back.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import { equalBytes } from "@holdfast/wire-format";
import { SimulatedDevice } from "./device.ts";
import { JudgedLandings, type LandingJudge } from "./landings.ts";
import { Medium, SECTOR_BYTES, type Tearing } from "./medium.ts";
import type { SimulatedProcess } from "./process.ts";
import type { RandomStream } from "./random-stream.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimulatedWorld } from "./world.ts";
import { type PendingWrite, type WriteTrap, WriteTraps } from "./write-traps.ts";

/** How the disk behaves. */
export interface DiskOptions {
  readonly sizeBytes: bigint;
  /** Latency of a request in milliseconds: uniform in this range, plus transfer time. */
  readonly latencyMinMs?: number;
  readonly latencyMaxMs?: number;
  /** False: whatever has completed survives a loss of power. Default true. */
  readonly isCacheVolatile?: boolean;
  /** Where writes that are cut short may be cut. Default between sectors. */
  readonly tearing?: Tearing;
}

/** Probabilities, 0 … 1, that a request fails with an I/O error. */
export interface DiskErrors {
  readonly read: number;
  readonly write: number;
  readonly flush: number;
}

/** Sees what a read is about to return, and may change it. */
export type ReadFilter = (offset: number, into: Uint8Array) => void;

interface Submission {
  readonly write: PendingWrite;
  /** True: a trap decided when it lands. */
  readonly isSettled: boolean;
  event: SimulatedEvent;
}

const BYTES_PER_MS = 500_000;
const SLOW_PROBABILITY = 0.01;
const SLOW_FACTOR = 30;
const LATE_MIN_MS = 1;
const LATE_MAX_MS = 6000;
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
  readonly #isCacheVolatile: boolean;
  readonly #tearing: Tearing;
  readonly #inFlight = new Map<SimulatedProcess, Set<Submission>>();
  readonly #holds = new Map<SimulatedProcess, number>();
  readonly #traps: WriteTraps = new WriteTraps();
  readonly #pathErrors = new Map<SimulatedProcess, DiskErrors>();
  readonly #pathStalls = new Map<SimulatedProcess, number>();
  readonly #readFilters = new Set<ReadFilter>();
  #errors: DiskErrors = NO_ERRORS;
  #stallUntilMs = 0;
  #lastStallMs = 0;
  #lastStall: { readonly fromMs: number; readonly untilMs: number } | undefined;

  constructor(world: SimulatedWorld, options: DiskOptions) {
    this.world = world;
    this.sizeBytes = options.sizeBytes;
    this.#random = world.random("disk");
    this.#latencyMinMs = options.latencyMinMs ?? 0.03;
    this.#latencyMaxMs = options.latencyMaxMs ?? 0.4;
    this.#isCacheVolatile = options.isCacheVolatile ?? true;
    this.#tearing = options.tearing ?? "sectors";
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

  /** Makes requests fail from now on: everybody's, or those of one process. */
  setErrors(errors: Partial<DiskErrors>, process?: SimulatedProcess): void {
    const probabilities = { ...NO_ERRORS, ...errors };
    if (process === undefined) this.#errors = probabilities;
    else this.#pathErrors.set(process, probabilities);
  }

  /** Nothing that is submitted from now on lands or is answered before this virtual time: everybody's, or one process's. */
  stall(untilMs: number, process?: SimulatedProcess): void {
    if (process === undefined) {
      this.#stallUntilMs = untilMs;
      this.#lastStall = { fromMs: this.world.nowMs, untilMs };
    }
    if (process !== undefined) this.#pathStalls.set(process, untilMs);
    this.#lastStallMs = Math.max(this.#lastStallMs, untilMs);
    this.world.note(process?.name ?? "", `the disk stalls until ${untilMs.toFixed(0)} ms`);
  }

  /** When the last stall is over, virtual milliseconds: what was submitted meanwhile may wait so long, healed or not. */
  get lastStallMs(): number {
    return this.#lastStallMs;
  }

  /** The last stall of everybody's requests. */
  get lastStall(): { readonly fromMs: number; readonly untilMs: number } | undefined {
    return this.#lastStall;
  }

  /** Shows what reads return to a filter until the returned function is called. */
  filterReads(filter: ReadFilter): () => void {
    this.#readFilters.add(filter);
    return () => {
      this.#readFilters.delete(filter);
    };
  }

  /** What a process writes lands only after this virtual time, in any order. */
  holdWrites(process: SimulatedProcess, untilMs: number): void {
    this.#holds.set(process, untilMs);
    this.world.note(process.name, `writes are held back until ${untilMs.toFixed(0)} ms`);
  }

  /** Waits for one write. */
  setTrap(trap: WriteTrap): void {
    this.#traps.set(trap);
  }

  /** Ends stalls, holds, traps, filters and errors; what was held back keeps its time. */
  heal(): void {
    this.#stallUntilMs = 0;
    this.#pathStalls.clear();
    this.#pathErrors.clear();
    this.#readFilters.clear();
    this.#holds.clear();
    this.#traps.clear();
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
    const pages = this.medium.losePower(this.#random, this.#tearing);
    this.world.note("", `the disk loses power: ${pages} pages not flushed, ${lostCount} writes under way`);
  }

  /** Writes that were submitted and have not landed. */
  get writesInFlight(): number {
    let count = 0;
    for (const submissions of this.#inFlight.values()) count += submissions.size;
    return count;
  }

  /** True once nothing that a process wrote can land any more: it is dead, and none of its writes is under way. */
  isGone(process: SimulatedProcess): boolean {
    return process.isDead && (this.#inFlight.get(process)?.size ?? 0) === 0;
  }

  /** When the last of the writes under way lands, virtual milliseconds; now if there is none. */
  get lastLandingMs(): number {
    let lastMs = this.world.nowMs;
    for (const submissions of this.#inFlight.values())
      for (const { event } of submissions) lastMs = Math.max(lastMs, event.timeMs);
    return lastMs;
  }

  /** Submits a write; for devices only. */
  submit(write: PendingWrite): void {
    const { trace } = this.world;
    trace.mix(write.offset / SECTOR_BYTES);
    trace.mixBytes(write.bytes);
    const fate = this.#traps.meet("submitted", write);
    if (fate?.type === "late") {
      this.#arm(write, fate.delayMs, true);
      return;
    }
    const hold = Math.max(this.#holds.get(write.process) ?? 0, this.world.nowMs);
    const held = hold > this.world.nowMs ? hold + this.#random.range(0, 50) : hold;
    this.#arm(write, held - this.world.nowMs + this.latencyMs(write.bytes.length, write.process));
  }

  /** Reads what the device shows; for devices only. */
  read(offset: number, into: Uint8Array): void {
    this.medium.read(offset, into);
    for (const filter of this.#readFilters) filter(offset, into);
  }

  /** True if a request fails; for devices only. */
  chanceOfError(operation: keyof DiskErrors, process: SimulatedProcess): boolean {
    const probability = Math.max(this.#errors[operation], this.#pathErrors.get(process)?.[operation] ?? 0);
    return probability > 0 && this.#random.chance(probability);
  }

  /** How long one request takes from now, milliseconds; for devices only. */
  latencyMs(lengthBytes: number, process: SimulatedProcess): number {
    const slow = this.#random.chance(SLOW_PROBABILITY) ? SLOW_FACTOR : 1;
    const base = this.#random.range(this.#latencyMinMs, this.#latencyMaxMs) * slow;
    const stallUntilMs = Math.max(this.#stallUntilMs, this.#pathStalls.get(process) ?? 0);
    return Math.max(0, stallUntilMs - this.world.nowMs) + base + lengthBytes / BYTES_PER_MS;
  }

  #arm(write: PendingWrite, delayMs: number, isSettled: boolean = false): void {
    const submissions = this.#inFlight.get(write.process);
    const submission: Submission = {
      write,
      isSettled,
      event: this.world.after(delayMs, () => {
        submissions?.delete(submission);
        this.#arrive(write);
      }),
    };
    submissions?.add(submission);
  }

  /** A write has reached the device; a trap may decide what the device makes of it. */
  #arrive(write: PendingWrite): void {
    const { offset, bytes } = write;
    const fate = this.#traps.meet("landing", write);
    if (fate?.type === "torn") {
      this.#tear(write);
      return;
    }
    if (fate?.type === "lost" || fate?.type === "misdirected") {
      this.medium.loseWrite(offset, bytes, this.#isDurable(write));
      if (fate.type === "misdirected") this.medium.damageBlock(fate.toBlock, bytes.subarray(0, BLOCK_BYTES));
      this.#judge(write, offset, bytes);
    } else {
      this.#land(write, offset, bytes);
    }
    write.landed();
  }

  #isDurable(write: PendingWrite): boolean {
    return write.isDurable || !this.#isCacheVolatile;
  }

  #land(write: PendingWrite, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.medium.write(offset, bytes, this.#isDurable(write));
    this.#judge(write, offset, bytes);
  }

  #judge(write: PendingWrite, offset: number, bytes: Uint8Array): void {
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

  /** Lands some of the sectors that a write would change, not all and not none; of a single one, the beginning. */
  #tear(write: PendingWrite): void {
    const { offset, bytes } = write;
    const present = new Uint8Array(bytes.length);
    this.medium.read(offset, present);
    if (this.#tearing === "bytes" && bytes.length > 1) {
      this.#land(write, offset, bytes.subarray(0, this.#random.between(1, bytes.length - 1)));
      return;
    }
    const [first = 0, ...others] = this.#random.shuffle(changedSectors(bytes, present));
    if (others.length === 0) {
      const end = first + this.#random.between(1, SECTOR_BYTES - 1);
      this.#land(write, offset + first, bytes.subarray(first, end));
      return;
    }
    const landing = others.slice(this.#random.between(0, others.length - 1));
    for (const at of landing) this.#land(write, offset + at, bytes.subarray(at, at + SECTOR_BYTES));
  }

  /** A process stopped or died: chance decides what becomes of each write it had submitted. */
  #unleash(process: SimulatedProcess, state: "paused" | "dead"): void {
    const submissions = this.#inFlight.get(process);
    if (submissions === undefined) return;
    // A set may be changed while it is walked, but what is armed again below must not be met a second time.
    const pending = [...submissions].filter(({ isSettled }) => !isSettled);
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

/** Where the sectors begin in which two runs of bytes differ. */
function changedSectors(a: Uint8Array, b: Uint8Array): number[] {
  const changed: number[] = [];
  for (let at = 0; at < a.length; at += SECTOR_BYTES) {
    const end = at + SECTOR_BYTES;
    if (!equalBytes(a.subarray(at, end), b.subarray(at, end))) changed.push(at);
  }
  return changed;
}

/** Uniform in its logarithm: short and long waits are equally likely. */
function lateness(random: RandomStream): number {
  return Math.exp(random.range(Math.log(LATE_MIN_MS), Math.log(LATE_MAX_MS)));
}
