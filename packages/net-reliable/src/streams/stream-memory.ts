/*
 * Memory that bytes of streams are received into and summed up in, without a copy in between.
 *
 * The slots that received bytes lie in are part of a memory that sums them up where they lie. It is one for the whole
 * process, and is never grown, which would take it away from whoever reads into it; the system gives pages only for what was
 * ever used. The slot given back last is taken first: while readers keep up, the same few stay in the processor's cache.
 */
import { type WebAssemblyHost, webAssemblyHost } from "@holdfast/wire-format";
import { SummedMemory, summedMemoryOf } from "./summed-memory.ts";

/**
 * Payload that one slot holds: a piece of 256 KiB or a frame of four segments, and what is hardly longer. Large enough for few
 * reads, small enough that it is still in the cache when it is read.
 */
export const SLOT_BYTES: number = 264 * 1024;

/** Bytes before the payload, and as many behind, for headers that come with it; a cache line. */
export const SLOT_MARGIN_BYTES = 64;

/** Slots whose bytes are summed where they stand: not quite 64 MiB. More are made, and collected, as needed. */
const SLOTS = 247;

/** From one slot to the next. */
const STRIDE_BYTES: number = SLOT_BYTES + 2 * SLOT_MARGIN_BYTES;

/** Slots for received bytes, and the fastest way to sum up what lies in them. */
export class StreamMemory {
  readonly #summed: SummedMemory;
  readonly #free: Uint8Array[] = [];

  /** @param host - WebAssembly; undefined where there is none, and no slots that stay. */
  constructor(host: WebAssemblyHost | undefined) {
    this.#summed = new SummedMemory(host, SLOTS * STRIDE_BYTES);
    const { bytes } = this.#summed;
    for (let end = STRIDE_BYTES; end <= bytes.length; end += STRIDE_BYTES)
      this.#free.push(bytes.subarray(end - STRIDE_BYTES, end));
  }

  /** Mixes the bytes `start..end`, whole stripes, into the lanes given. */
  mixStripes(lanes: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    (summedMemoryOf(bytes) ?? this.#summed).mixStripes(lanes, bytes, start, end);
  }

  /** A slot, which holds anything: {@link SLOT_BYTES} of payload between two margins. */
  takeSlot(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(STRIDE_BYTES);
  }

  /** Gives a slot back that nobody reads or writes any more. */
  giveSlot(slot: Uint8Array): void {
    if (slot.buffer === this.#summed.bytes.buffer) this.#free.push(slot);
  }
}

let memory: StreamMemory | undefined;

/** The memory of this process. */
export function streamMemory(): StreamMemory {
  return (memory ??= new StreamMemory(webAssemblyHost()));
}
