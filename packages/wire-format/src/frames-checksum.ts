/*
 * The checksum of a batch's frames: XXH32 of few bytes, and of many XXH32 of what 32 lanes make of them, by XXH32's own
 * step, which has four:
 *
 *   lane = rotate(lane + word × P2, 13 bits) × P1, for each word of a stripe of 128 bytes the lane at its place
 *
 * Up to 1 KiB, what is faster is the loop that needs no set-up. Each step is a bijection of its lane and lanes do not
 * meet, so on both ways damage within one word is always found, any other with a probability of 1 − 2^-32.
 */
import type { FrameSpace } from "./frame-space.ts";
import { type LanesMixing, type WebAssemblyHost, initialLanes, makeLanes, webAssemblyHost } from "./lanes.ts";
import { STRIPE_BYTES, vector } from "./lanes-module.ts";
import { P1, P2, xxhash32 } from "./xxhash32.ts";

/** From this length on there are 32 lanes. */
export const WIDE_BYTES_MIN = 1024;

/** Checksum of the bytes `start..end`, 0 … 2^32−1. */
export type FramesChecksum = (space: FrameSpace, start: number, end: number) => number;

/** In JavaScript it takes ten times as long. */
const wideMixing: LanesMixing = {
  step: (lanes, words) => vector.timesP1(vector.rotateBits(vector.add(lanes, vector.timesP2(words)), 13)),
  mixStripe: (lanes, bytes, start) => {
    for (let at = 0; at < STRIPE_BYTES; at += 4) {
      const sum = (lanes.getInt32(at, true) + Math.imul(bytes.getInt32(start + at, true), P2)) | 0;
      lanes.setInt32(at, Math.imul((sum << 13) | (sum >>> 19), P1), true);
    }
  },
};

let wide: FramesChecksum | undefined;

/** Checksum of the bytes `start..end`, 0 … 2^32−1. */
export function framesChecksum(space: FrameSpace, start: number, end: number): number {
  if (end - start < WIDE_BYTES_MIN) return xxhash32(space.view, start, end);
  wide ??= wideChecksum(webAssemblyHost());
  return wide(space, start, end);
}

/**
 * The checksum of many bytes.
 *
 * @param host - WebAssembly; the same in JavaScript if it is undefined (`--jitless`) or has no vectors.
 */
export function wideChecksum(host: WebAssemblyHost | undefined): FramesChecksum {
  const { buffer, mix } = makeLanes(wideMixing, host);
  const view = new DataView(buffer);
  const lanes = new Uint8Array(buffer, 0, STRIPE_BYTES);
  const rest = new Uint8Array(buffer, STRIPE_BYTES, STRIPE_BYTES);
  const initial = initialLanes();
  return (space, start, end) => {
    const wholeEnd = end - ((end - start) % STRIPE_BYTES);
    lanes.set(initial);
    mix(space, start, wholeEnd);
    // What makes no stripe stands behind the lanes, and they are summed up together.
    if (wholeEnd < end) rest.set(space.bytes.subarray(wholeEnd, end));
    return xxhash32(view, 0, STRIPE_BYTES + end - wholeEnd, end - start);
  };
}
