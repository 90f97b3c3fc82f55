/*
 * `mixStripes` of `stripes.ts` as a WebAssembly module, put together here from its instructions:
 *
 *   mix(pointer, end): loads the eight lanes from address 0, mixes the stripes `pointer..end`, stores the lanes.
 *
 * About 30 GB/s where the bytes lie in the module's memory (JavaScript 3, zlib's CRC-32 6 on the same processor). The
 * numbers are those of the WebAssembly core specification, version 2, chapter 5 (binary format).
 */
import { STRIPE_BYTES, STRIPE_FACTOR } from "./stripes.ts";

const LANE_BYTES = 16;
const LANES: number = STRIPE_BYTES / LANE_BYTES;

/** Types. */
const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION = 0x60;
const EMPTY_BLOCK = 0x40;

/** Instructions. */
const BLOCK = 0x02;
const LOOP = 0x03;
const END = 0x0b;
const BRANCH = 0x0c;
const BRANCH_IF = 0x0d;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const I32_GE_U = 0x4f;
const I32_ADD = 0x6a;
const V128_LOAD = 0x00;
const V128_STORE = 0x0b;
const I8X16_SHUFFLE = 0x0d;
const I32X4_SPLAT = 0x11;
const V128_XOR = 0x51;
const I32X4_MUL = 0xb5;

/** Locals: the two parameters, then the lanes, then the factor. */
const POINTER = 0;
const STOP = 1;
const FIRST_LANE = 2;
const FACTOR: number = FIRST_LANE + LANES;

/** Bytes move by five towards the end. */
const ROTATION: readonly number[] = Array.from({ length: LANE_BYTES }, (_, at) => (at + LANE_BYTES - 5) % 16);

/** The module; it imports the memory `stream.memory` and exports the function `mix`. */
export function stripesModule(): Uint8Array {
  const lanes = Array.from({ length: LANES }, (_, lane) => lane);
  const instructions = [
    ...lanes.map((lane) => [...constant(0), ...vector(V128_LOAD), ...at(lane), LOCAL_SET, FIRST_LANE + lane]),
    [...constant(STRIPE_FACTOR | 0), ...vector(I32X4_SPLAT), LOCAL_SET, FACTOR],
    [BLOCK, EMPTY_BLOCK, LOOP, EMPTY_BLOCK],
    [LOCAL_GET, POINTER, LOCAL_GET, STOP, I32_GE_U, BRANCH_IF, 1],
    ...lanes.map(mixing),
    [LOCAL_GET, POINTER, ...constant(STRIPE_BYTES), I32_ADD, LOCAL_SET, POINTER],
    [BRANCH, 0, END, END],
    ...lanes.map((lane) => [
      ...constant(0),
      LOCAL_GET,
      FIRST_LANE + lane,
      ...vector(V128_STORE),
      ...at(lane),
    ]),
    [END],
  ].flat();
  const body = [1, ...unsigned(LANES + 1), V128, ...instructions];
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, [1, FUNCTION, 2, I32, I32, 0]),
      // A memory without a maximum of its own takes any.
      section(2, [1, ...name("stream"), ...name("memory"), 2, 0, 1]),
      section(3, [1, 0]),
      section(7, [1, ...name("mix"), 0, 0]),
      section(10, [1, ...unsigned(body.length), ...body]),
    ].flat(),
  );
}

function mixing(lane: number): readonly number[] {
  const local = FIRST_LANE + lane;
  return [
    [LOCAL_GET, local, LOCAL_GET, POINTER, ...vector(V128_LOAD), ...at(lane), ...vector(V128_XOR)],
    [LOCAL_GET, FACTOR, ...vector(I32X4_MUL), LOCAL_TEE, local],
    [LOCAL_GET, local, ...vector(I8X16_SHUFFLE), ...ROTATION, LOCAL_SET, local],
  ].flat();
}

function constant(value: number): readonly number[] {
  return [I32_CONST, ...signed(value)];
}

/** Alignment, which is a hint (2^4), and offset. */
function at(lane: number): readonly number[] {
  return [4, ...unsigned(lane * LANE_BYTES)];
}

function vector(instruction: number): readonly number[] {
  return [0xfd, ...unsigned(instruction)];
}

function section(id: number, content: readonly number[]): readonly number[] {
  return [id, ...unsigned(content.length), ...content];
}

function name(text: string): readonly number[] {
  return [text.length, ...Array.from(text, (letter) => letter.charCodeAt(0))];
}

/** LEB128. */
function unsigned(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128 of a signed 32-bit number. */
function signed(value: number): readonly number[] {
  const isLast = value >= -64 && value < 64;
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
