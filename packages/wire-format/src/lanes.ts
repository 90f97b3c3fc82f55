/*
 * Lanes that bytes are mixed into, for checksums of many bytes: by the vector instructions of WebAssembly, or in
 * JavaScript where there are none (`--jitless`, old processors).
 *
 * A vector instruction reaches only the memory of its module. So the lanes lie in a memory of their own, bytes that do
 * not are copied there, which takes less time than it saves, and whoever can choose puts them there at once.
 */
import type { FrameSpace } from "./frame-space.ts";
import { STRIPE_BYTES, type Vector, lanesModule } from "./lanes-module.ts";
import { P2 } from "./xxhash32.ts";

/** Bytes that are copied at a time: more than a full batch of small frames has, and no more than half the innermost cache. */
const SCRATCH_BYTES: number = 24 * 1024;

const PAGE_BYTES: number = 64 * 1024;

/** How bytes are mixed into the lanes, said twice. */
export interface LanesMixing {
  /** Instructions for four lanes and the four words of a stripe at their place. */
  readonly step: (lanes: Vector, words: Vector) => Vector;
  /** The same for all lanes and the stripe at `at`, in JavaScript. */
  readonly mixStripe: (lanes: DataView, bytes: DataView, at: number) => void;
}

/** Lanes, and the memory that they lie in. */
export interface Lanes {
  /**
   * The lanes are its first {@link STRIPE_BYTES}, the words little-endian; as many behind them hold anything between two
   * mixings. Mixing touches nothing beyond the first 64 KiB.
   */
  readonly buffer: ArrayBuffer;
  /** Mixes the bytes `start..end`, whole stripes, into the lanes; where they stand if that is behind 64 KiB of `buffer`. */
  readonly mix: (space: FrameSpace, start: number, end: number) => void;
}

/** What is used of the one global that the ES library does not declare. */
export interface WebAssemblyHost {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { lanes: { memory: object } },
  ) => { readonly exports: { readonly mix: (pointer: number, end: number) => void } };
}

/** WebAssembly; undefined if the host runs without it. */
export function webAssemblyHost(): WebAssemblyHost | undefined {
  return (globalThis as { readonly WebAssembly?: WebAssemblyHost }).WebAssembly;
}

/** The lanes of nothing: no two equal, so that words cannot change places unseen. */
export function initialLanes(): Uint8Array {
  const view = new DataView(new ArrayBuffer(STRIPE_BYTES));
  for (let at = 0; at < STRIPE_BYTES; at += 4) view.setInt32(at, Math.imul(at / 4 + 1, P2), true);
  return new Uint8Array(view.buffer);
}

/**
 * Lanes that are mixed the fastest way the host has.
 *
 * @param sizeBytes - Of their memory, at least 64 KiB; in JavaScript there are only the lanes.
 */
export function makeLanes(
  mixing: LanesMixing,
  host: WebAssemblyHost | undefined,
  sizeBytes: number = PAGE_BYTES,
): Lanes {
  const code = lanesModule(mixing.step);
  if (host?.validate(code) !== true) return inJavaScript(mixing);
  const pages = Math.ceil(sizeBytes / PAGE_BYTES);
  const memory = new host.Memory({ initial: pages, maximum: pages });
  const { mix } = new host.Instance(new host.Module(code), { lanes: { memory } }).exports;
  const { buffer } = memory;
  const scratch = new Uint8Array(buffer, STRIPE_BYTES, SCRATCH_BYTES);
  return {
    buffer,
    mix: (space, start, end) => {
      if (space.buffer === buffer) {
        mix(space.bufferOffset + start, space.bufferOffset + end);
        return;
      }
      for (let at = start; at < end; at += SCRATCH_BYTES) {
        const length = Math.min(SCRATCH_BYTES, end - at);
        // Half the price of `subarray`.
        scratch.set(new Uint8Array(space.buffer, space.bufferOffset + at, length));
        mix(STRIPE_BYTES, STRIPE_BYTES + length);
      }
    },
  };
}

function inJavaScript({ mixStripe }: LanesMixing): Lanes {
  const lanes = new DataView(new ArrayBuffer(2 * STRIPE_BYTES));
  return {
    buffer: lanes.buffer,
    mix: ({ view }, start, end) => {
      for (let at = start; at < end; at += STRIPE_BYTES) mixStripe(lanes, view, at);
    },
  };
}
