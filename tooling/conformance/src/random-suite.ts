/*
 * What every `Random` owes its users, as vitest tests. The bounds fail a good source less than once in 10^12 runs.
 */
import type { Random } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { type Fixture, type FixtureFactory, withFixture } from "./fixture.ts";

/** A source of random numbers. */
export interface RandomFixture extends Fixture {
  readonly random: Random;
}

/** Registers the suite of {@link Random} under `name`. */
export function randomSuite(name: string, factory: FixtureFactory<RandomFixture>): void {
  describe(`${name} as a source of random numbers`, () => {
    describeRanges(factory);
    describeSpread(factory);
  });
}

function describeRanges(factory: FixtureFactory<RandomFixture>): void {
  test("u32 gives integers of 32 bits", () =>
    withFixture(factory, async ({ random }) => {
      const values = Array.from({ length: 1000 }, () => random.u32());

      expect(values.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32)).toBe(true);
    }));

  test("u64 gives integers of 64 bits", () =>
    withFixture(factory, async ({ random }) => {
      const values = Array.from({ length: 1000 }, () => random.u64());

      expect(values.every((value) => value >= 0n && value < 1n << 64n)).toBe(true);
    }));

  test("bytes gives as many as are asked for, in memory of their own", () =>
    withFixture(factory, async ({ random }) => {
      const [first, second] = [random.bytes(32), random.bytes(32)];
      const copy = first.slice();

      second.fill(0);
      random.bytes(32);

      expect(first).toEqual(copy);
      expect(first).toHaveLength(32);
      expect(random.bytes(0)).toHaveLength(0);
      expect(random.bytes(100_000)).toHaveLength(100_000);
    }));
}

function describeSpread(factory: FixtureFactory<RandomFixture>): void {
  test("each bit of u32 is set about half of the time", () =>
    withFixture(factory, async ({ random }) => {
      const counts = countBits(4096, 32, () => BigInt(random.u32()));

      expect(counts.filter((count) => count < 1792 || count > 2304)).toEqual([]);
    }));

  test("each bit of u64 is set about half of the time", () =>
    withFixture(factory, async ({ random }) => {
      const counts = countBits(4096, 64, () => random.u64());

      expect(counts.filter((count) => count < 1792 || count > 2304)).toEqual([]);
    }));

  test("a thousand 64-bit numbers differ", () =>
    withFixture(factory, async ({ random }) => {
      const values = new Set(Array.from({ length: 1000 }, () => random.u64()));

      expect(values.size).toBe(1000);
    }));

  test("each value of a byte occurs", () =>
    withFixture(factory, async ({ random }) => {
      expect(new Set(random.bytes(16_384)).size).toBe(256);
    }));
}

/** How often each of `bits` bits is set in `samples` numbers. 8 standard deviations of 4096 samples are 256. */
function countBits(samples: number, bits: number, next: () => bigint): readonly number[] {
  const counts = Array.from({ length: bits }, () => 0);
  for (let sample = 0; sample < samples; sample += 1) {
    const value = next();
    counts.forEach((count, bit) => {
      counts[bit] = count + Number((value >> BigInt(bit)) & 1n);
    });
  }
  return counts;
}
