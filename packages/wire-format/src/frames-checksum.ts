/*
 * The checksum of a batch's frames: XXH32 of few bytes, and of many XXH32 of what 32 lanes make of them.
 *
 * Up to 1 KiB, what is faster is the loop that needs no set-up. Beyond, the bytes are copied to where vector
 * instructions reach them, which takes less time than they save. On both ways damage within one word is always found,
 * any other with a probability of 1 − 2^-32.
 */
import type { FrameSpace } from "./frame-space.ts";
import { type MixStripes, STRIPE_BYTES, initialLanes, portableMixStripes } from "./wide-lanes.ts";
import { wideLanesModule } from "./wide-lanes-module.ts";
import { xxhash32 } from "./xxhash32.ts";

/** From this length on there are 32 lanes. */
export const WIDE_BYTES_MIN = 1024;

/** Bytes that are copied at a time: as many as a full batch of small frames has, and no more than the innermost cache. */
const SCRATCH_BYTES: number = 16 * 1024;

/** Checksum of the bytes `start..end`, 0 … 2^32−1. */
export type FramesChecksum = (space: FrameSpace, start: number, end: number) => number;

/** What is used of the one global that the ES library does not declare. */
export interface WebAssemblyHost {
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { checksum: { memory: object } },
  ) => { readonly exports: { readonly mix: MixStripes } };
}

let wide: FramesChecksum | undefined;

/** Checksum of the bytes `start..end`, 0 … 2^32−1. */
export function framesChecksum(space: FrameSpace, start: number, end: number): number {
  if (end - start < WIDE_BYTES_MIN) return xxhash32(space.view, start, end);
  wide ??= wideChecksum((globalThis as { readonly WebAssembly?: WebAssemblyHost }).WebAssembly);
  return wide(space, start, end);
}

/**
 * The checksum of many bytes.
 *
 * @param host - WebAssembly; the same in JavaScript if it is undefined (`--jitless`) or has no vectors.
 */
export function wideChecksum(host: WebAssemblyHost | undefined): FramesChecksum {
  const { buffer, mix } = host?.validate(wideLanesModule()) === true ? inWebAssembly(host) : inJavaScript();
  const view = new DataView(buffer);
  const lanes = new Uint8Array(buffer, 0, STRIPE_BYTES);
  const scratch = new Uint8Array(buffer, STRIPE_BYTES, SCRATCH_BYTES);
  const initial = initialLanes();
  return ({ bytes }, start, end) => {
    lanes.set(initial);
    const wholeEnd = end - ((end - start) % STRIPE_BYTES);
    for (let at = start; at < wholeEnd; at += SCRATCH_BYTES) {
      const length = Math.min(SCRATCH_BYTES, wholeEnd - at);
      scratch.set(bytes.subarray(at, at + length));
      mix(STRIPE_BYTES, STRIPE_BYTES + length);
    }
    // What makes no stripe stands behind the lanes, and they are summed up together.
    if (wholeEnd < end) scratch.set(bytes.subarray(wholeEnd, end));
    return xxhash32(view, 0, STRIPE_BYTES + end - wholeEnd, end - start);
  };
}

interface Mixer {
  readonly buffer: ArrayBuffer;
  readonly mix: MixStripes;
}

function inWebAssembly(host: WebAssemblyHost): Mixer {
  const memory = new host.Memory({ initial: 1, maximum: 1 });
  const { exports } = new host.Instance(new host.Module(wideLanesModule()), { checksum: { memory } });
  return { buffer: memory.buffer, mix: exports.mix };
}

function inJavaScript(): Mixer {
  const buffer = new ArrayBuffer(STRIPE_BYTES + SCRATCH_BYTES);
  return { buffer, mix: portableMixStripes(buffer) };
}
