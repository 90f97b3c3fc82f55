/*
 * Memory that bytes of streams are received into and summed up in, without a copy in between.
 *
 * A vector instruction reaches only the memory of its WebAssembly module, so the slots that received bytes lie in are
 * slots of that. It is one for the whole process, and is never grown, which would take it away from whoever reads
 * into it; the system gives pages only for what was ever used. The slot given back last is taken first: while readers
 * keep up, the same few stay in the processor's cache.
 */
import { stripesModule } from "./stripes-module.ts";
import { type MixStripes, STATE_WORDS, portableMixStripes } from "./stripes.ts";

/** Payload that one slot holds: large enough for few reads, small enough that it is still in the cache when it is read. */
export const SLOT_BYTES: number = 256 * 1024;

/** Bytes before the payload, and as many behind, for headers that come with it; a cache line. */
export const SLOT_MARGIN_BYTES = 64;

/** Slots whose bytes are summed where they stand: 64 MiB less one slot. More are made, and collected, as needed. */
const SLOTS = 255;

/** Where bytes from elsewhere are copied to be summed up; small enough for the innermost cache. */
const SCRATCH_START = 1024;
const SCRATCH_BYTES: number = 16 * 1024;

const SLOTS_START: number = 64 * 1024;
const PAGE_BYTES: number = 64 * 1024;

/** What is used of the one global that the ES library does not declare. */
export interface WebAssemblyHost {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { stream: { memory: object } },
  ) => { readonly exports: { mix(pointer: number, end: number): void } };
}

/** Slots for received bytes, and the fastest way to sum up what lies in them. */
export class StreamMemory {
  /** Mixes stripes, wherever they are. */
  readonly mixStripes: MixStripes;
  readonly #buffer: ArrayBuffer | undefined;
  readonly #free: Uint8Array[] = [];

  /** @param host - WebAssembly; undefined where there is none. */
  constructor(host: WebAssemblyHost | undefined) {
    if (host === undefined) {
      this.mixStripes = portableMixStripes;
      return;
    }
    const strideBytes = SLOT_BYTES + 2 * SLOT_MARGIN_BYTES;
    const pages = Math.ceil((SLOTS_START + SLOTS * strideBytes) / PAGE_BYTES);
    const memory = new host.Memory({ initial: pages, maximum: pages });
    const { exports } = new host.Instance(new host.Module(stripesModule()), { stream: { memory } });
    this.#buffer = memory.buffer;
    this.mixStripes = mixInside(memory.buffer, (pointer, end) => exports.mix(pointer, end));
    for (let slot = SLOTS - 1; slot >= 0; slot -= 1)
      this.#free.push(new Uint8Array(memory.buffer, SLOTS_START + slot * strideBytes, strideBytes));
  }

  /** A slot, which holds anything: {@link SLOT_BYTES} of payload between two margins. */
  takeSlot(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(SLOT_BYTES + 2 * SLOT_MARGIN_BYTES);
  }

  /** Gives a slot back that nobody reads or writes any more. */
  giveSlot(slot: Uint8Array): void {
    if (slot.buffer === this.#buffer) this.#free.push(slot);
  }
}

let memory: StreamMemory | undefined;

/** The memory of this process. */
export function streamMemory(): StreamMemory {
  return (memory ??= new StreamMemory(webAssemblyHost()));
}

/** WebAssembly; undefined if the host runs without it (`--jitless`) or has no vectors. */
export function webAssemblyHost(): WebAssemblyHost | undefined {
  const { WebAssembly: host } = globalThis as { readonly WebAssembly?: Validating };
  return host?.validate(stripesModule()) === true ? host : undefined;
}

interface Validating extends WebAssemblyHost {
  validate(bytes: Uint8Array): boolean;
}

function mixInside(buffer: ArrayBuffer, mix: (pointer: number, end: number) => void): MixStripes {
  const lanes = new Int32Array(buffer, 0, STATE_WORDS);
  const scratch = new Uint8Array(buffer, SCRATCH_START, SCRATCH_BYTES);
  return (state, bytes, start, end) => {
    lanes.set(state);
    if (bytes.buffer === buffer) {
      mix(bytes.byteOffset + start, bytes.byteOffset + end);
    } else {
      for (let offset = start; offset < end; offset += SCRATCH_BYTES) {
        const length = Math.min(SCRATCH_BYTES, end - offset);
        scratch.set(bytes.subarray(offset, offset + length));
        mix(SCRATCH_START, SCRATCH_START + length);
      }
    }
    state.set(lanes);
  };
}
