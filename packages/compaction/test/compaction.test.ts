import { compareBytes, packKey, toHex, type Key } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type CompactionJob, type CompactionLimits, levelLimit } from "../src/index.ts";
import { Store, type Write, textOf } from "./store.ts";

const LIMITS: CompactionLimits = { level0Segments: 2, level1Segments: 2, fanOut: 3, inputsMax: 5 };

/** Extents for compaction outputs: a few large items each, so that a few dozen items make many segments. */
const PIECE_BLOCKS = 32;

function keyOf(number: number): Key {
  return packKey({ zone: 2, first: 1n, type: 1, second: BigInt(number), third: 0n, fourth: 0 });
}

type Step =
  | {
      readonly type: "record";
      readonly writes: readonly { number: number; length: number; isDeleted: boolean }[];
    }
  | { readonly type: "start" }
  | { readonly type: "complete"; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("record" as const),
      writes: fc.uniqueArray(
        fc.record({
          number: fc.nat(40),
          length: fc.oneof(fc.nat(60), fc.constant(16_200)),
          isDeleted: fc.boolean(),
        }),
        { selector: ({ number }) => number, minLength: 1, maxLength: 10 },
      ),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ type: "start" as const }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("complete" as const), which: fc.nat(5) }) },
);

/** Tight limits make deep levels, merges in part and several jobs at once out of little data. */
const tightLimits: fc.Arbitrary<CompactionLimits> = fc.record({
  level0Segments: fc.nat(2),
  level1Segments: fc.integer({ min: 0, max: 2 }),
  fanOut: fc.constantFrom(1, 2),
  inputsMax: fc.integer({ min: 2, max: 6 }),
});

async function runSteps(
  store: Store,
  steps: readonly Step[],
  limits: CompactionLimits,
): Promise<Map<string, string>> {
  const model = new Map<string, string>();
  const running: CompactionJob[] = [];
  for (const [index, next] of steps.entries()) {
    if (next.type === "record") {
      // A seq lasts for several segments, as it does while a member keeps its lock: ties are common.
      const items = itemsOf(next.writes, BigInt(1 + Math.floor(index / 8)), index);
      await store.record(items);
      for (const { key, value } of items) {
        if (value === undefined) model.delete(toHex(key));
        else model.set(toHex(key), textOf(value));
      }
    } else if (next.type === "start") {
      const plan = await store.plan(limits);
      if (plan !== undefined) running.push(store.start(plan, PIECE_BLOCKS));
    } else {
      const [job] = running.splice(next.which % Math.max(1, running.length), 1);
      if (job !== undefined) await store.complete(job);
    }
  }
  for (const job of running) await store.complete(job);
  return model;
}

function itemsOf(writes: Extract<Step, { type: "record" }>["writes"], seq: bigint, fill: number): Write[] {
  return writes
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, length, isDeleted }) => ({
      key: keyOf(number),
      seq,
      value: isDeleted ? undefined : new Uint8Array(length).fill(fill),
    }));
}

test("whatever is written and compacted, in any order and several jobs at once, readers see the newest versions", async () => {
  const allSteps = fc.array(step, { minLength: 60, maxLength: 120, size: "max" });
  await fc.assert(
    fc.asyncProperty(allSteps, tightLimits, async (steps, limits) => {
      const store = new Store();

      const model = await runSteps(store, steps, limits);

      const sorted = [...model].toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect([...(await store.content())]).toEqual(sorted);
      const view = await store.manifest.view();
      for (let number = 0; number <= 40; number += 9)
        expect(await store.get(view, keyOf(number))).toBe(model.get(toHex(keyOf(number))));
    }),
    { numRuns: 25 },
  );
}, 30_000);

test("while compaction keeps up, every level stays within its limit", async () => {
  const store = new Store();
  const limits = { ...LIMITS, inputsMax: 12 };

  for (let round = 0; round < 60; round += 1) {
    const numbers = Array.from({ length: 40 }, (_, index) => (round * 37 + index * 101) % 4000);
    const items = [...new Set(numbers)].map((number): Write => ({
      key: keyOf(number),
      seq: BigInt(round),
      value: new Uint8Array(200),
    }));
    await store.record(items.toSorted((a, b) => compareBytes(a.key, b.key)));
    for (;;) {
      const plan = await store.plan(limits);
      if (plan === undefined) break;
      await store.complete(store.start(plan));
    }
  }

  const { levels } = await store.manifest.view();
  levels.forEach((level, number) => expect(level.length).toBeLessThanOrEqual(levelLimit(number, limits)));
  expect(levels.length).toBeGreaterThan(1);
});

test("when everything was deleted and compacted, nothing is left", async () => {
  const store = new Store();
  const limits = { ...LIMITS, level0Segments: 0, level1Segments: 0 };
  const numbers = Array.from({ length: 50 }, (_, index) => index);

  await store.record(numbers.map((number) => ({ key: keyOf(number), seq: 1n, value: new Uint8Array(10) })));
  await store.record(numbers.map((number) => ({ key: keyOf(number), seq: 2n, value: undefined })));
  const plan = await store.plan(limits);
  if (plan !== undefined) await store.complete(store.start(plan));

  expect(await store.manifest.list()).toEqual([]);
});
