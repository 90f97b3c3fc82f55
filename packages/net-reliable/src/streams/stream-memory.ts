/*
 * Memory that bytes of streams are received into and summed up in, without a copy in between.
 *
 * A vector instruction reaches only the memory of its WebAssembly module, so the slots that received bytes lie in are
 * slots of that. It is one for the whole process, and is never grown, which would take it away from whoever reads
 * into it; the system gives pages only for what was ever used. The slot given back last is taken first: while readers
 * keep up, the same few stay in the processor's cache.
 */
import {
  type Lanes,
  STRIPE_BYTES,
  type WebAssemblyHost,
  frameSpace,
  makeLanes,
  webAssemblyHost,
} from "@holdfast/wire-format";
import { stripeMixing } from "./stripes.ts";

/** Payload that one slot holds: large enough for few reads, small enough that it is still in the cache when it is read. */
export const SLOT_BYTES: number = 256 * 1024;

/** Bytes before the payload, and as many behind, for headers that come with it; a cache line. */
export const SLOT_MARGIN_BYTES = 64;

/** Slots whose bytes are summed where they stand: 64 MiB less one slot. More are made, and collected, as needed. */
const SLOTS = 255;

/** What comes before the slots is the lanes' own. */
const SLOTS_START: number = 64 * 1024;
/** From one slot to the next. */
const STRIDE_BYTES: number = SLOT_BYTES + 2 * SLOT_MARGIN_BYTES;

/** Slots for received bytes, and the fastest way to sum up what lies in them. */
export class StreamMemory {
  readonly #lanes: Lanes;
  readonly #laneBytes: Uint8Array;
  readonly #free: Uint8Array[] = [];

  /** @param host - WebAssembly; undefined where there is none, and no slots that stay. */
  constructor(host: WebAssemblyHost | undefined) {
    this.#lanes = makeLanes(stripeMixing, host, SLOTS_START + SLOTS * STRIDE_BYTES);
    const { buffer } = this.#lanes;
    this.#laneBytes = new Uint8Array(buffer, 0, STRIPE_BYTES);
    for (let end = SLOTS_START + STRIDE_BYTES; end <= buffer.byteLength; end += STRIDE_BYTES)
      this.#free.push(new Uint8Array(buffer, end - STRIDE_BYTES, STRIDE_BYTES));
  }

  /** Mixes the bytes `start..end`, whole stripes, into the lanes given. */
  mixStripes(lanes: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.#laneBytes.set(lanes);
    this.#lanes.mix(frameSpace(bytes), start, end);
    lanes.set(this.#laneBytes);
  }

  /** A slot, which holds anything: {@link SLOT_BYTES} of payload between two margins. */
  takeSlot(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(STRIDE_BYTES);
  }

  /** Gives a slot back that nobody reads or writes any more. */
  giveSlot(slot: Uint8Array): void {
    if (slot.buffer === this.#lanes.buffer) this.#free.push(slot);
  }
}

let memory: StreamMemory | undefined;

/** The memory of this process. */
export function streamMemory(): StreamMemory {
  return (memory ??= new StreamMemory(webAssemblyHost()));
}
