/*
 * What will happen, in order of virtual time: a binary heap.
 *
 * Order is (time, tie, number of arming). Whoever arms an event chooses the tie: events that must keep their order
 * share one, the rest draw one from the seed, so that ties between strangers fall differently in each world.
 */
import type { SimulatedProcess } from "./process.ts";

/** What an event is for the process it happens to; decides the order in which a resumed process catches up. */
export type EventKind = "message" | "completion" | "timer" | "world";

/** Something that will happen once. */
export interface SimulatedEvent {
  /** When, in milliseconds of virtual time. */
  timeMs: number;
  /** Order among events of one time, 0 … 2^32−1. */
  tie: number;
  /** Order of arming. */
  number: number;
  /** True while it is in the heap; kept by the queue. */
  isQueued: boolean;
  readonly kind: EventKind;
  /** Whom it happens to; undefined for the world itself. */
  readonly process: SimulatedProcess | undefined;
  /** What happens; undefined once cancelled. */
  action: (() => void) | undefined;
}

/** Below this many events cancelled ones are not worth sweeping. */
const SWEEP_EVENTS_MIN = 1024;

/** The heap of what will happen. */
export class EventQueue {
  #heap: SimulatedEvent[] = [];
  #cancelledCount = 0;

  /** Events armed and not cancelled. */
  get length(): number {
    return this.#heap.length - this.#cancelledCount;
  }

  push(event: SimulatedEvent): void {
    const heap = this.#heap;
    event.isQueued = true;
    heap.push(event);
    this.#rise(heap.length - 1);
  }

  /** Takes the first event that was not cancelled. */
  pop(): SimulatedEvent | undefined {
    while (true) {
      const first = this.#take();
      if (first === undefined) return undefined;
      first.isQueued = false;
      if (first.action !== undefined) return first;
      this.#cancelledCount -= 1;
    }
  }

  /** Time of the first event, or undefined when nothing will happen. */
  nextTimeMs(): number | undefined {
    while (true) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (first.action !== undefined) return first.timeMs;
      this.#take();
      this.#cancelledCount -= 1;
    }
  }

  /** Takes an event back, in the heap or out of it; does nothing when it has happened. */
  cancel(event: SimulatedEvent): void {
    if (event.action === undefined) return;
    event.action = undefined;
    if (!event.isQueued) return;
    this.#cancelledCount += 1;
    if (this.#cancelledCount * 2 > this.#heap.length && this.#heap.length > SWEEP_EVENTS_MIN) this.#sweep();
  }

  #take(): SimulatedEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    this.#sink(0);
    return first;
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((event) => event.action !== undefined);
    this.#cancelledCount = 0;
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#sink(index);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const event = heap[from];
    if (event === undefined) return;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const event = heap[from];
    if (event === undefined) return;
    let index = from;
    while (true) {
      let below = 2 * index + 1;
      let child = heap[below];
      if (child === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        below += 1;
      }
      if (!isBefore(child, event)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = event;
  }
}

function isBefore(a: SimulatedEvent, b: SimulatedEvent): boolean {
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.number < b.number;
}
