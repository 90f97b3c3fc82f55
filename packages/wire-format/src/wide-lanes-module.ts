/*
 * The inner loop of `wide-lanes.ts` as a WebAssembly module, put together here from its instructions:
 *
 *   mix(pointer, end): loads the lanes from address 0, mixes the stripes `pointer..end`, stores the lanes.
 *
 * The numbers are those of the WebAssembly core specification, version 2, chapter 5 (binary format).
 */
import { STRIPE_BYTES } from "./wide-lanes.ts";
import { P1, P2 } from "./xxhash32.ts";

/** Bytes of a vector of four lanes. */
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
const V128_LOAD = 0x00;
const V128_STORE = 0x0b;
const I32X4_SPLAT = 0x11;
const V128_OR = 0x50;
const I32X4_SHL = 0xab;
const I32X4_SHR_U = 0xad;
const I32X4_ADD = 0xae;
const I32X4_MUL = 0xb5;

/** Locals: the two parameters, then the vectors of lanes, the two factors, and one for what is rotated. */
const POINTER = 0;
const STOP = 1;
const FIRST_VECTOR = 2;
const FACTOR_1: number = FIRST_VECTOR + VECTORS;
const FACTOR_2: number = FACTOR_1 + 1;
const ROTATED: number = FACTOR_2 + 1;

/** The module; it imports the memory `checksum.memory` and exports the function `mix`. */
export function wideLanesModule(): Uint8Array {
  const vectors = Array.from({ length: VECTORS }, (_, index) => index);
  const instructions = [
    ...vectors.map((index) => [...constant(0), ...load(index), LOCAL_SET, FIRST_VECTOR + index]),
    [...constant(P1 | 0), ...vector(I32X4_SPLAT), LOCAL_SET, FACTOR_1],
    [...constant(P2 | 0), ...vector(I32X4_SPLAT), LOCAL_SET, FACTOR_2],
    [BLOCK, EMPTY_BLOCK, LOOP, EMPTY_BLOCK],
    [LOCAL_GET, POINTER, LOCAL_GET, STOP, I32_GE_U, BRANCH_IF, 1],
    ...vectors.map(round),
    [LOCAL_GET, POINTER, ...constant(STRIPE_BYTES), I32_ADD, LOCAL_SET, POINTER],
    [BRANCH, 0, END, END],
    ...vectors.map((index) => [...constant(0), LOCAL_GET, FIRST_VECTOR + index, ...store(index)]),
    [END],
  ].flat();
  const body = [1, ...unsigned(VECTORS + 3), V128, ...instructions];
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, [1, FUNCTION, 2, I32, I32, 0]),
      // A memory without a maximum of its own takes any.
      section(2, [1, ...name("checksum"), ...name("memory"), 2, 0, 1]),
      section(3, [1, 0]),
      section(7, [1, ...name("mix"), 0, 0]),
      section(10, [1, ...unsigned(body.length), ...body]),
    ].flat(),
  );
}

function round(index: number): readonly number[] {
  const local = FIRST_VECTOR + index;
  return [
    [LOCAL_GET, local, LOCAL_GET, POINTER, ...load(index)],
    [LOCAL_GET, FACTOR_2, ...vector(I32X4_MUL), ...vector(I32X4_ADD), LOCAL_TEE, ROTATED],
    [...constant(13), ...vector(I32X4_SHL)],
    [LOCAL_GET, ROTATED, ...constant(32 - 13), ...vector(I32X4_SHR_U), ...vector(V128_OR)],
    [LOCAL_GET, FACTOR_1, ...vector(I32X4_MUL), LOCAL_SET, local],
  ].flat();
}

function load(index: number): readonly number[] {
  return [...vector(V128_LOAD), ...place(index)];
}

function store(index: number): readonly number[] {
  return [...vector(V128_STORE), ...place(index)];
}

/** Alignment, which is a hint (2^4), and offset. */
function place(index: number): readonly number[] {
  return [4, ...unsigned(index * VECTOR_BYTES)];
}

function constant(value: number): readonly number[] {
  return [I32_CONST, ...signed(value)];
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
