/*
 * Memory whose bytes are summed up where they lie.
 *
 * A vector instruction reaches only the memory of its WebAssembly module; what lies elsewhere is copied there first, which
 * takes nearly as long as summing it up.
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

/** What comes before the bytes is the lanes' own. */
const BYTES_START: number = 64 * 1024;

/** Far below 4 GiB, where the end of the bytes would be address 0 to the module. */
const SIZE_BYTES_MAX: number = 1024 * 1024 * 1024;

/** Lanes, and bytes beside them. */
export class SummedMemory {
  /** All there are but the lanes'; empty without WebAssembly, which is what it is for. */
  readonly bytes: Uint8Array;
  readonly #lanes: Lanes;
  readonly #laneBytes: Uint8Array;

  /** @param host - WebAssembly; undefined where there is none. */
  constructor(host: WebAssemblyHost | undefined, sizeBytes: number) {
    this.#lanes = makeLanes(stripeMixing, host, BYTES_START + sizeBytes);
    const { buffer } = this.#lanes;
    this.#laneBytes = new Uint8Array(buffer, 0, STRIPE_BYTES);
    const isShort = buffer.byteLength < BYTES_START + sizeBytes;
    this.bytes = isShort ? new Uint8Array(0) : new Uint8Array(buffer, BYTES_START, sizeBytes);
  }

  /** Mixes the bytes `start..end`, whole stripes, into the lanes given; fastest where they are {@link bytes}. */
  mixStripes(lanes: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.#laneBytes.set(lanes);
    this.#lanes.mix(frameSpace(bytes), start, end);
    lanes.set(this.#laneBytes);
  }
}

/** Those of senders, by what their bytes are part of. */
const memories: WeakMap<ArrayBufferLike, SummedMemory> = new WeakMap();

/** The memory that these bytes are part of, if {@link streamBuffer} made it. */
export function summedMemoryOf(bytes: Uint8Array): SummedMemory | undefined {
  return memories.get(bytes.buffer);
}

/**
 * Zeros for whoever fills pieces of streams again and again: as `new Uint8Array(sizeBytes)`, but a stream sums up what it is
 * sent from there without a copy, a tenth faster in all. It begins at a page of the system.
 *
 * Make few and keep them: each takes a memory of WebAssembly, for which the system sets aside addresses, not memory, of
 * several GiB.
 *
 * @throws RangeError when `sizeBytes` is no whole number from 1 to 1 GiB, or no addresses are left.
 */
export function streamBuffer(sizeBytes: number): Uint8Array {
  if (!Number.isInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > SIZE_BYTES_MAX)
    throw new RangeError(`sizeBytes is a whole number from 1 to ${SIZE_BYTES_MAX}, not ${sizeBytes}`);
  const memory = new SummedMemory(webAssemblyHost(), sizeBytes);
  if (memory.bytes.length === 0) return new Uint8Array(sizeBytes);
  memories.set(memory.bytes.buffer, memory);
  return memory.bytes;
}
