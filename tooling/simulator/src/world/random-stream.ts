/*
 * Seeded random numbers in labelled streams.
 *
 * Every source of chance in a world draws from a stream of its own, named by a label. So switching one fault off
 * does not shift the draws of the others, and a failing seed can be cut down.
 *
 * Generator: xoshiro128** 1.1 (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2018), its state
 * filled by splitmix32 from a 32-bit FNV-1a hash of the label and the two halves of the seed.
 */
import type { Random } from "@holdfast/environment";

const UNIT = 1 / 0x1_0000_0000;

/** A repeatable stream of random numbers. */
export class RandomStream implements Random {
  readonly #seed: bigint;
  readonly #label: string;
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;

  /** @param seed - 0 … 2^64−1; higher bits are ignored. */
  constructor(seed: bigint, label: string) {
    this.#seed = BigInt.asUintN(64, seed);
    this.#label = label;
    const next = splitmix32(
      fnv1a(label) ^ Number(this.#seed & 0xffff_ffffn),
      Number(this.#seed >> 32n) ^ label.length,
    );
    this.#s0 = next();
    this.#s1 = next();
    this.#s2 = next();
    this.#s3 = next() | 1; // the state must not be all zeros
  }

  /** A stream of the same seed under a longer label; does not disturb this one. */
  fork(label: string): RandomStream {
    return new RandomStream(this.#seed, `${this.#label}/${label}`);
  }

  u32(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(this.#s1, 5), 7), 9);
    const shifted = this.#s1 << 9;
    this.#s2 ^= this.#s0;
    this.#s3 ^= this.#s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= shifted;
    this.#s3 = rotateLeft(this.#s3, 11);
    return scrambled >>> 0;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index++) bytes[index] = this.u32() >>> 24;
    return bytes;
  }

  /** A number, uniform in [0, 1). */
  unit(): number {
    return this.u32() * UNIT;
  }

  /** True with the given probability, 0 … 1. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** An integer, uniform in `min` … `max` inclusive. */
  between(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }

  /** A number, uniform in [min, max). */
  range(min: number, max: number): number {
    return min + this.unit() * (max - min);
  }

  /** One element of a list, or undefined when it is empty. */
  pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.unit() * list.length)];
  }

  /** A shuffled copy of a list (Fisher–Yates). */
  shuffle<T>(list: readonly T[]): T[] {
    const shuffled: T[] = [];
    for (const element of list) {
      const at = this.between(0, shuffled.length);
      shuffled.splice(at, 0, element);
    }
    return shuffled;
  }
}

function rotateLeft(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash;
}

function splitmix32(low: number, high: number): () => number {
  let state = low;
  const mix = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  state = mix() ^ high;
  return mix;
}
