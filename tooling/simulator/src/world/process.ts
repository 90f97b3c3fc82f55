/*
 * One incarnation of a simulated process.
 *
 * Everything that reaches code of a process comes through events that name it. A killed process gets no more of them,
 * so its timers, streams and promises die with it: what it awaited never settles. A paused process gets them when it
 * resumes, messages before timers, as a stopped Node.js process really does.
 */
import type { EventKind, SimulatedEvent } from "./event-queue.ts";
import type { RandomStream } from "./random-stream.ts";
import type { SimulatedWorld } from "./world.ts";

/** Where an incarnation is in its life. */
export type ProcessState = "running" | "paused" | "dead";

/** How a process dies. */
export interface KillOptions {
  /** True: its host went with it, so peers of its streams are told nothing. Default: their streams are reset. */
  readonly isSilent?: boolean;
  /** True: a fence agent switched it off; whoever looks after it starts it again. */
  readonly isFenced?: boolean;
}

/** Told when a process is paused or dies. */
export type StateListener = (state: "paused" | "dead", options: KillOptions) => void;

const LAST_TIE = 0xffff_ffff;

/** One incarnation of a process. */
export class SimulatedProcess {
  readonly world: SimulatedWorld;
  /** Unique in its world, e.g. `member-2#3`. */
  readonly name: string;
  /** Where it runs; the network knows hosts. A restarted process has the same host. */
  readonly host: string;
  /** Number of this incarnation in its world, from 1. */
  readonly number: number;
  /** Chance for this incarnation alone. */
  readonly random: RandomStream;
  /** Order of its timers among events of other processes at one time. */
  readonly tie: number;
  /** Who it says it is on the volume; set by whoever knows, read by device judges. */
  rid: bigint | undefined;
  /** So far its wall clock was made to jump, milliseconds. */
  wallJumpMs = 0;
  /** So long its monotonic clock was stopped together with it, milliseconds: nothing in it can tell. */
  hiddenMs = 0;
  /** When the last such stop ended, virtual milliseconds; long ago if there was none. */
  lastHiddenMs: number = Number.NEGATIVE_INFINITY;
  #hiddenSinceMs: number | undefined;
  #state: ProcessState = "running";
  #parked: SimulatedEvent[] = [];
  readonly #listeners: StateListener[] = [];
  readonly #resumeListeners: (() => void)[] = [];

  /** Made by {@link SimulatedWorld.startProcess}. */
  constructor(world: SimulatedWorld, options: { readonly host: string; readonly number: number }) {
    this.world = world;
    this.host = options.host;
    this.number = options.number;
    this.name = `${options.host}#${options.number}`;
    this.random = world.random(`process/${this.name}`);
    this.tie = this.random.u32();
  }

  get state(): ProcessState {
    return this.#state;
  }

  get isDead(): boolean {
    return this.#state === "dead";
  }

  /** Runs `action` in this process, as an event of its own, as soon as the process runs. */
  post(kind: EventKind, action: () => void): void {
    if (this.isDead) return;
    this.world.schedule({ timeMs: this.world.nowMs, tie: this.random.u32(), kind, process: this, action });
  }

  /** Runs `action` now if the process runs, when it resumes if it is paused, never if it is dead. */
  deliver(kind: EventKind, action: () => void): void {
    switch (this.#state) {
      case "running":
        this.world.runIn(this, action);
        return;
      case "paused":
        this.#parked.push(this.world.plan({ timeMs: this.world.nowMs, tie: 0, kind, process: this, action }));
        return;
      case "dead":
    }
  }

  /**
   * Stops it as SIGSTOP does: nothing runs, everything that arrives waits.
   *
   * @param isHidden - True: its monotonic clock stops as well, as when a hypervisor stops the whole machine.
   */
  pause(isHidden: boolean = false): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    if (isHidden) this.#hiddenSinceMs = this.world.nowMs;
    this.#tell("paused", {});
  }

  /** Lets it go on: what arrived meanwhile comes first, timers that fell due come last. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    if (this.#hiddenSinceMs !== undefined) {
      this.hiddenMs += this.world.nowMs - this.#hiddenSinceMs;
      this.#hiddenSinceMs = undefined;
      this.lastHiddenMs = this.world.nowMs;
    }
    const parked = this.#parked;
    this.#parked = [];
    for (const event of parked) {
      event.timeMs = this.world.nowMs;
      event.tie = event.kind === "timer" ? LAST_TIE : 0;
      this.world.rearm(event);
    }
    for (const listener of this.#resumeListeners) listener();
  }

  /** Ends it as SIGKILL does. Idempotent. */
  kill(options: KillOptions = {}): void {
    if (this.isDead) return;
    this.#state = "dead";
    this.#parked = [];
    this.#tell("dead", options);
  }

  /** Calls `listener` when the process is paused or dies. */
  onState(listener: StateListener): void {
    this.#listeners.push(listener);
  }

  /** Calls `listener` when the process goes on after a pause. */
  onResumed(listener: () => void): void {
    this.#resumeListeners.push(listener);
  }

  /** Keeps an event until the process resumes. For the world only. */
  park(event: SimulatedEvent): void {
    this.#parked.push(event);
  }

  #tell(state: "paused" | "dead", options: KillOptions): void {
    for (const listener of this.#listeners) listener(state, options);
  }
}
