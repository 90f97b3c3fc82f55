/*
 * A WebAssembly module that mixes bytes into 32 lanes of 32 bits, put together here from its instructions:
 *
 *   mix(pointer, end): loads the lanes from address 0, mixes the stripes `pointer..end`, stores the lanes.
 *
 * Lanes are eight vectors of four, which hide each other's latency. What mixing is, is the caller's to say. The numbers
 * are those of the WebAssembly core specification, version 2, chapter 5 (binary format).
 */
import { P1, P2 } from "./xxhash32.ts";

/** Bytes that are mixed in at a time: a word for each lane. */
export const STRIPE_BYTES = 128;

const VECTOR_BYTES = 16;
const VECTORS: number = STRIPE_BYTES / VECTOR_BYTES;

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
const V128_LOAD: readonly number[] = [0xfd, 0x00];
const V128_STORE: readonly number[] = [0xfd, 0x0b];
const I8X16_SHUFFLE: readonly number[] = [0xfd, 0x0d];
const I32X4_SPLAT: readonly number[] = [0xfd, 0x11];
const V128_OR: readonly number[] = [0xfd, 0x50];
const V128_XOR: readonly number[] = [0xfd, 0x51];
const I16X8_MUL: readonly number[] = [0xfd, 0x95, 0x01];
const I32X4_SHL: readonly number[] = [0xfd, 0xab, 0x01];
const I32X4_SHR_U: readonly number[] = [0xfd, 0xad, 0x01];
const I32X4_ADD: readonly number[] = [0xfd, 0xae, 0x01];
const I32X4_MUL: readonly number[] = [0xfd, 0xb5, 0x01];

/** Locals: the two parameters, then the vectors of lanes, the two factors, and one for what is rotated. */
const POINTER = 0;
const STOP = 1;
const FIRST_VECTOR = 2;
const FACTOR_1: number = FIRST_VECTOR + VECTORS;
const FACTOR_2: number = FACTOR_1 + 1;
const ROTATED: number = FACTOR_2 + 1;

/** Instructions that leave a vector of four words on the stack. */
export type Vector = readonly number[];

/** What can be done with vectors, word by word; P1 and P2 are XXH32's primes. */
export const vector = {
  add: (a: Vector, b: Vector): Vector => [...a, ...b, ...I32X4_ADD],
  xor: (a: Vector, b: Vector): Vector => [...a, ...b, ...V128_XOR],
  timesP1: (a: Vector): Vector => [...a, LOCAL_GET, FACTOR_1, ...I32X4_MUL],
  /** Each half of a word times the half of P1 at its place: a third of the instructions and half the time of whole words. */
  halvesTimesP1: (a: Vector): Vector => [...a, LOCAL_GET, FACTOR_1, ...I16X8_MUL],
  timesP2: (a: Vector): Vector => [...a, LOCAL_GET, FACTOR_2, ...I32X4_MUL],
  /** Each word to the left. */
  rotateBits: (a: Vector, bits: number): Vector =>
    [
      [...a, LOCAL_TEE, ROTATED, ...constant(bits), ...I32X4_SHL],
      [LOCAL_GET, ROTATED, ...constant(32 - bits), ...I32X4_SHR_U, ...V128_OR],
    ].flat(),
  /** All 16 bytes, towards the end. */
  rotateBytes: (a: Vector, count: number): Vector =>
    [
      [...a, LOCAL_TEE, ROTATED, LOCAL_GET, ROTATED, ...I8X16_SHUFFLE],
      Array.from({ length: VECTOR_BYTES }, (_, at) => (at + VECTOR_BYTES - count) % VECTOR_BYTES),
    ].flat(),
};

/**
 * The module; it imports the memory `lanes.memory` and exports the function `mix`.
 *
 * @param step - Four lanes after `words` of a stripe, the four at their place, are mixed in.
 */
export function lanesModule(step: (lanes: Vector, words: Vector) => Vector): Uint8Array {
  const vectors = Array.from({ length: VECTORS }, (_, index) => ({
    local: FIRST_VECTOR + index,
    /** Alignment, which is a hint (2^4), and offset. */
    place: [4, index * VECTOR_BYTES],
  }));
  const body = [
    // Locals beside the parameters.
    [1, VECTORS + 3, V128],
    ...vectors.map(({ local, place }) => [...constant(0), ...V128_LOAD, ...place, LOCAL_SET, local]),
    [...constant(P1 | 0), ...I32X4_SPLAT, LOCAL_SET, FACTOR_1],
    [...constant(P2 | 0), ...I32X4_SPLAT, LOCAL_SET, FACTOR_2],
    [BLOCK, EMPTY_BLOCK, LOOP, EMPTY_BLOCK],
    [LOCAL_GET, POINTER, LOCAL_GET, STOP, I32_GE_U, BRANCH_IF, 1],
    ...vectors.map(({ local, place }) => [
      ...step([LOCAL_GET, local], [LOCAL_GET, POINTER, ...V128_LOAD, ...place]),
      LOCAL_SET,
      local,
    ]),
    [LOCAL_GET, POINTER, ...constant(STRIPE_BYTES), I32_ADD, LOCAL_SET, POINTER],
    [BRANCH, 0, END, END],
    ...vectors.map(({ local, place }) => [...constant(0), LOCAL_GET, local, ...V128_STORE, ...place]),
    [END],
  ].flat();
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, [1, FUNCTION, 2, I32, I32, 0]),
      // A memory without a maximum of its own takes any.
      section(2, [1, ...name("lanes"), ...name("memory"), 2, 0, 1]),
      section(3, [1, 0]),
      section(7, [1, ...name("mix"), 0, 0]),
      section(10, [1, ...sized(body)]),
    ].flat(),
  );
}

function section(id: number, content: readonly number[]): readonly number[] {
  return [id, ...sized(content)];
}

function name(text: string): readonly number[] {
  return sized(Array.from(text, (letter) => letter.charCodeAt(0)));
}

function sized(content: readonly number[]): readonly number[] {
  return [...leb128(content.length), ...content];
}

function constant(value: number): readonly number[] {
  return [I32_CONST, ...leb128(value)];
}

/** A signed 32-bit number; of one that is not negative, a reader of unsigned ones reads the same. */
function leb128(value: number): readonly number[] {
  const isLast = value >= -64 && value < 64;
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...leb128(value >> 7)];
}
