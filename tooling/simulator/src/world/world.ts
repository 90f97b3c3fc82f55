/*
 * The world: virtual time, chance from one seed, and the loop that makes things happen one after another.
 *
 * Between two events every microtask is run (drain.ts), so an event happens to code that is waiting, never to code
 * that is half-way. Nothing here reads a real clock: one seed, one history, one trace hash.
 */
import { invariant } from "@holdfast/environment";
import { findTickRunner, inMacrotask, nextMacrotask } from "./drain.ts";
import { EventQueue, type SimulatedEvent } from "./event-queue.ts";
import { SimulatedProcess } from "./process.ts";
import { RandomStream } from "./random-stream.ts";
import { Trace } from "./trace.ts";
import { armTripwire } from "./tripwire.ts";

/** Something nobody handled: an exception out of a callback, a rejection without a handler, a tripped wire. */
export interface Failure {
  /** Milliseconds of virtual time. */
  readonly timeMs: number;
  /** Whom it happened to; undefined when it was the world itself. */
  readonly process: string | undefined;
  readonly error: unknown;
}

/** What a world is made from. */
export interface WorldOptions {
  /** 0 … 2^64−1. */
  readonly seed: bigint;
  /** False: real clocks and timers stay usable while events run. Default true. */
  readonly isTripwireArmed?: boolean;
  /** Clocks run so much faster or slower than the world, at most; default 200, as bad as real ones are. */
  readonly driftPpmMax?: number;
  /** Lines of the trace that are kept; default 256. */
  readonly traceLinesMax?: number;
}

const DRIFT_PPM_MAX = 200;

/** When {@link SimulatedWorld.run} comes back. */
export interface RunOptions {
  /** At this virtual time, in milliseconds. */
  readonly untilMs?: number;
  /** When this turns true; asked after each event. */
  readonly isDone?: () => boolean;
  /** After this many events of the world's whole life. */
  readonly eventsMax?: number;
}

/** Why {@link SimulatedWorld.run} came back: `idle` means that nothing will ever happen again. */
export type RunEnd = "done" | "time" | "events" | "idle";

/** What {@link SimulatedWorld.schedule} needs to know of an event. */
export type EventPlan = Readonly<Omit<SimulatedEvent, "number" | "isQueued">>;

/** Events between two real macrotasks, so that signals and progress output get their turn. */
const BATCH_EVENTS = 8192;

/** A deterministic world. */
export class SimulatedWorld {
  readonly seed: bigint;
  readonly trace: Trace;
  /** Bounds of the drift of every clock, parts per million. */
  readonly driftPpmMax: number;
  /** What nobody handled, in order. */
  readonly failures: Failure[] = [];
  /** Every process that was ever started, by its number. */
  readonly processes: SimulatedProcess[] = [];
  readonly #queue = new EventQueue();
  readonly #root: RandomStream;
  readonly #ties: RandomStream;
  readonly #isTripwireArmed: boolean;
  #nowMs = 0;
  #armedCount = 0;
  #eventCount = 0;
  #current: SimulatedProcess | undefined;
  #isRunning = false;

  constructor(options: WorldOptions) {
    this.seed = BigInt.asUintN(64, options.seed);
    this.driftPpmMax = options.driftPpmMax ?? DRIFT_PPM_MAX;
    this.trace = new Trace(options.traceLinesMax);
    this.#root = new RandomStream(this.seed, "world");
    this.#ties = this.random("ties");
    this.#isTripwireArmed = options.isTripwireArmed ?? true;
  }

  /** Virtual time in milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have happened. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** A stream of chance of its own; one label, one stream, always the same numbers. */
  random(label: string): RandomStream {
    return this.#root.fork(label);
  }

  /** A fresh tie among strangers. */
  tie(): number {
    return this.#ties.u32();
  }

  /** Starts a process on a host. */
  startProcess(host: string): SimulatedProcess {
    const process = new SimulatedProcess(this, { host, number: this.processes.length + 1 });
    this.processes.push(process);
    this.note(process.name, "starts");
    return process;
  }

  /** Arms an event; not before now. */
  schedule(plan: EventPlan): SimulatedEvent {
    const event = this.plan(plan);
    this.#queue.push(event);
    return event;
  }

  /** Numbers an event without arming it. For processes only. */
  plan(plan: EventPlan): SimulatedEvent {
    this.#armedCount += 1;
    const { tie, kind, process, action } = plan;
    const timeMs = Math.max(plan.timeMs, this.#nowMs);
    return { timeMs, tie, number: this.#armedCount, isQueued: false, kind, process, action };
  }

  /** Arms an event again that came while its process was paused. For processes only. */
  rearm(event: SimulatedEvent): void {
    if (event.action === undefined) return;
    this.#armedCount += 1;
    event.number = this.#armedCount;
    this.#queue.push(event);
  }

  /** Runs `action` for the world itself, after `delayMs` of virtual time. */
  after(delayMs: number, action: () => void): SimulatedEvent {
    return this.schedule({
      timeMs: this.#nowMs + delayMs,
      tie: this.tie(),
      kind: "world",
      process: undefined,
      action,
    });
  }

  /** Resolves after `ms` of virtual time, for code outside all processes. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Takes an event back that has not happened; late calls do nothing. */
  cancel(event: SimulatedEvent): void {
    this.#queue.cancel(event);
  }

  /** Notes an event in words; a function is asked for them only if somebody reads them. */
  note(process: string, what: string | (() => string)): void {
    this.trace.note(this.#nowMs, process, what);
  }

  /** Runs `action` as code of `process`: what it throws ends that process. For ports only. */
  runIn(process: SimulatedProcess | undefined, action: () => void): void {
    const before = this.#current;
    this.#current = process;
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
    if (before !== undefined) this.#current = before;
  }

  /** Records what nobody handled; the process it happened to ends, as a real one would. */
  fail(error: unknown): void {
    const process = this.#current;
    this.failures.push({ timeMs: this.#nowMs, process: process?.name, error });
    this.note(process?.name ?? "", `fails: ${String(error)}`);
    process?.kill();
  }

  /** Lets things happen. Only one run at a time. */
  async run(options: RunOptions = {}): Promise<RunEnd> {
    invariant(!this.#isRunning, "a world runs once at a time");
    this.#isRunning = true;
    const restoreListeners = this.#watchRejections();
    try {
      return await this.#loop(options);
    } finally {
      restoreListeners();
      this.#isRunning = false;
    }
  }

  async #loop(options: RunOptions): Promise<RunEnd> {
    let end: RunEnd | undefined;
    while (end === undefined) {
      let isRunnerFound = true;
      await inMacrotask(() => {
        const drain = findTickRunner();
        isRunnerFound = drain !== undefined;
        if (drain === undefined) return;
        drain();
        end = this.#runBatch(options, drain);
      });
      if (isRunnerFound) continue;
      end = this.#step(options);
      await nextMacrotask();
    }
    return end;
  }

  #runBatch(options: RunOptions, drain: () => void): RunEnd | undefined {
    const disarm = this.#isTripwireArmed
      ? armTripwire((label) => {
          this.fail(new Error(`the tripwire: ${label} was used`));
        })
      : nothing;
    try {
      for (let count = 0; count < BATCH_EVENTS; count++) {
        const end = this.#step(options);
        if (end !== undefined) return end;
        this.#drain(drain);
      }
      return undefined;
    } finally {
      disarm();
    }
  }

  #drain(drain: () => void): void {
    try {
      drain();
    } catch (error) {
      this.fail(error);
    }
  }

  /** One event, or why there is none. */
  #step(options: RunOptions): RunEnd | undefined {
    if (options.isDone?.() === true) return "done";
    if (options.eventsMax !== undefined && this.#eventCount >= options.eventsMax) return "events";
    const nextMs = this.#queue.nextTimeMs();
    if (options.untilMs !== undefined && (nextMs === undefined || nextMs > options.untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, options.untilMs);
      return "time";
    }
    const event = this.#queue.pop();
    if (event === undefined) return "idle";
    this.#happen(event);
    return undefined;
  }

  #happen(event: SimulatedEvent): void {
    const { process, action } = event;
    this.#nowMs = event.timeMs;
    this.#eventCount += 1;
    this.#current = process;
    if (action === undefined || process?.isDead === true) return;
    if (process?.state === "paused") {
      process.park(event);
      return;
    }
    this.trace.event(event.timeMs, event.number);
    event.action = undefined;
    this.runIn(process, action);
  }

  /** While the world runs, a rejection without a handler belongs to the process whose event caused it. */
  #watchRejections(): () => void {
    const former = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (reason) => {
      this.fail(reason);
    });
    return () => {
      process.removeAllListeners("unhandledRejection");
      for (const listener of former) process.on("unhandledRejection", listener);
    };
  }
}

function nothing(): void {}
