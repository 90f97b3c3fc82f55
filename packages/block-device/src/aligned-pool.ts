/*
 * Page-aligned memory for O_DIRECT.
 *
 * Node.js cannot ask for aligned memory, but the memory of WebAssembly starts on a page, and so do its slots here
 * (measured; no native addon is needed). It is never grown, so its address stays. There are three sizes of slots,
 * so that a burst of large requests does not starve the small ones; who finds none waits in line.
 */
import { type Deferred, deferred, invariant } from "@holdfast/environment";

/** One piece of a pool's memory, in use by one request. */
export interface Slot {
  /** Where it starts in {@link AlignedPool.memory}. */
  readonly start: number;
  readonly sizeBytes: number;
}

/** Slots of one size. */
export interface SlotClass {
  /** Bytes of each, a multiple of 4096. */
  readonly sizeBytes: number;
  readonly count: number;
}

/** 10 MiB for the whole process: 256 single blocks, 32 medium and 7 large requests at once. */
export const DEFAULT_SLOT_CLASSES: readonly SlotClass[] = [
  { sizeBytes: 4096, count: 256 },
  { sizeBytes: 65_536, count: 32 },
  { sizeBytes: 1_048_576, count: 7 },
];

const PAGE_BYTES = 65_536;

/** The one global of the platform whose type Node's declarations lack. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  };
};

/** A fixed amount of page-aligned memory, lent out in slots. */
export class AlignedPool {
  /** All of it; slots are ranges of this. */
  readonly memory: Buffer;
  readonly #classes: readonly FreeSlots[];

  /** @param classes - Sizes in rising order. */
  constructor(classes: readonly SlotClass[] = DEFAULT_SLOT_CLASSES) {
    const total = classes.reduce((sum, { sizeBytes, count }) => sum + sizeBytes * count, 0);
    const pages = Math.ceil(total / PAGE_BYTES);
    this.memory = Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
    let start = 0;
    this.#classes = classes.map(({ sizeBytes, count }) => {
      const free = Array.from({ length: count }, (_, index) => ({
        start: start + index * sizeBytes,
        sizeBytes,
      }));
      start += sizeBytes * count;
      return new FreeSlots(sizeBytes, free);
    });
  }

  /** Bytes of the greatest slot: longer requests are made in pieces. */
  get slotBytesMax(): number {
    return this.#classes.at(-1)?.sizeBytes ?? 0;
  }

  /** Lends a slot of at least `sizeBytes`, at once if one is free. Who asks first is served first. */
  take(sizeBytes: number): Slot | Promise<Slot> {
    return this.#classOf(sizeBytes).take();
  }

  /** Takes a slot back. */
  give(slot: Slot): void {
    this.#classOf(slot.sizeBytes).give(slot);
  }

  #classOf(sizeBytes: number): FreeSlots {
    const found = this.#classes.find((slots) => sizeBytes <= slots.sizeBytes);
    invariant(found !== undefined, `no slot holds ${sizeBytes} bytes`);
    return found;
  }
}

class FreeSlots {
  readonly sizeBytes: number;
  readonly #free: Slot[];
  readonly #waiting: Deferred<Slot>[] = [];

  constructor(sizeBytes: number, free: Slot[]) {
    this.sizeBytes = sizeBytes;
    this.#free = free;
  }

  take(): Slot | Promise<Slot> {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    const waiting = deferred<Slot>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next.resolve(slot);
  }
}
