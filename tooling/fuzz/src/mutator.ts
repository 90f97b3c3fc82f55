/*
 * Mutations of valid inputs: what damage, lies and bad luck do to bytes.
 *
 * Everything is drawn from one stream of random numbers, so an input is made again from its number alone.
 */
import type { Random } from "@holdfast/environment";

/** Most bytes that one mutation adds. */
const GROWTH_BYTES_MAX = 64;

/** Values that break comparisons, sizes and signs. */
const TELLING_WORDS: readonly number[] = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

type Step = (bytes: Uint8Array, random: Random, seeds: readonly Uint8Array[]) => Uint8Array;

const IN_PLACE: readonly Step[] = [flipBit, setByte, setWord, copyRun, zeroRun, spliceRun];
const RESIZING: readonly Step[] = [truncate, extend, deleteRun, repeatRun];

/**
 * A mutation of one of `seeds`: mostly one step, seldom many.
 *
 * @param isFixedLength - True where a length other than the seed's is impossible, as on a device.
 */
export function mutate(random: Random, seeds: readonly Uint8Array[], isFixedLength: boolean): Uint8Array {
  let bytes: Uint8Array = pick(random, seeds).slice();
  for (let steps = stepCount(random); steps > 0 && bytes.length > 0; steps -= 1) {
    const kinds = isFixedLength || below(random, 3) > 0 ? IN_PLACE : RESIZING;
    bytes = pick(random, kinds)(bytes, random, seeds);
  }
  return bytes;
}

/** A whole number from 0 to `limit` - 1. */
export function below(random: Random, limit: number): number {
  return Math.floor((random.u32() / 2 ** 32) * limit);
}

/** One of the choices, which are not none. */
export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[below(random, choices.length)] as T;
}

function stepCount(random: Random): number {
  const draw = below(random, 8);
  return draw < 5 ? 1 : draw < 7 ? 2 + below(random, 4) : 6 + below(random, 30);
}

function flipBit(bytes: Uint8Array, random: Random): Uint8Array {
  const at = below(random, bytes.length);
  bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8));
  return bytes;
}

function setByte(bytes: Uint8Array, random: Random): Uint8Array {
  bytes[below(random, bytes.length)] = random.u32();
  return bytes;
}

/** A number of one, two, four or eight bytes becomes a telling one, or moves by a little. */
function setWord(bytes: Uint8Array, random: Random): Uint8Array {
  const width = Math.min(2 ** below(random, 4), bytes.length);
  const at = below(random, bytes.length - width + 1);
  const word = pick(random, TELLING_WORDS);
  const high = below(random, 2) === 0 ? 0 : 0xffff_ffff;
  const isNudge = below(random, 3) === 0;
  for (let index = 0; index < width; index += 1) {
    const part = index < 4 ? word >>> (8 * index) : high;
    bytes[at + index] = isNudge && index > 0 ? (bytes[at + index] as number) : part;
  }
  if (isNudge) bytes[at] = (bytes[at] as number) + 1 - 2 * below(random, 2);
  return bytes;
}

function copyRun(bytes: Uint8Array, random: Random): Uint8Array {
  const length = 1 + below(random, Math.min(bytes.length, 256));
  const from = below(random, bytes.length - length + 1);
  bytes.copyWithin(below(random, bytes.length - length + 1), from, from + length);
  return bytes;
}

function zeroRun(bytes: Uint8Array, random: Random): Uint8Array {
  const from = below(random, bytes.length);
  return bytes.fill(below(random, 2) === 0 ? 0 : 0xff, from, from + 1 + below(random, 512));
}

/** A part of another valid input stands in its place, as after a misdirected or torn write. */
function spliceRun(bytes: Uint8Array, random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  const other = pick(random, seeds);
  const from = below(random, Math.min(bytes.length, other.length));
  bytes.set(other.subarray(from, Math.min(bytes.length, other.length, from + 1 + below(random, 1024))), from);
  return bytes;
}

function truncate(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, below(random, bytes.length));
}

function extend(bytes: Uint8Array, random: Random): Uint8Array {
  const longer = new Uint8Array(bytes.length + 1 + below(random, GROWTH_BYTES_MAX));
  longer.set(bytes);
  for (let index = bytes.length; index < longer.length; index += 1) longer[index] = random.u32();
  return longer;
}

function deleteRun(bytes: Uint8Array, random: Random): Uint8Array {
  const from = below(random, bytes.length);
  const end = Math.min(bytes.length, from + 1 + below(random, 64));
  const shorter = new Uint8Array(bytes.length - (end - from));
  shorter.set(bytes.subarray(0, from));
  shorter.set(bytes.subarray(end), from);
  return shorter;
}

function repeatRun(bytes: Uint8Array, random: Random): Uint8Array {
  const from = below(random, bytes.length);
  const run = bytes.subarray(from, from + 1 + below(random, GROWTH_BYTES_MAX));
  const longer = new Uint8Array(bytes.length + run.length);
  longer.set(bytes.subarray(0, from + run.length));
  longer.set(bytes.subarray(from), from + run.length);
  return longer;
}
