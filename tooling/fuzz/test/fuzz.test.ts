import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  feedOne,
  fuzz,
  type FuzzTarget,
  InputSource,
  makeTargets,
  type Verdicts,
  verdictOf,
} from "../src/index.ts";

const PLANTED = fileURLToPath(new URL("planted-worker.mjs", import.meta.url));

/** Feeds the first inputs of a run and returns the first finding. */
async function firstFinding(targets: readonly FuzzTarget[], count: number): Promise<string | undefined> {
  const source = new InputSource(targets, 1);
  const verdicts: Verdicts = new Map();
  for (let number = 0; number < count; number += 1) {
    const finding = await feedOne(source, number, verdicts);
    if (finding !== undefined) return `${finding.target} ${finding.number} ${finding.message.split("\n")[0]}`;
  }
  return undefined;
}

function planted(parse: (input: Uint8Array) => void): readonly FuzzTarget[] {
  const seeds = [new Uint8Array(16).fill(7)];
  return [
    {
      name: "planted",
      weight: 1,
      seeds,
      isFixedLength: false,
      feed: (input) => verdictOf(() => parse(input)),
    },
  ];
}

test("every target takes its inputs without a finding", async () => {
  expect(await firstFinding(await makeTargets(), 6000)).toBeUndefined();
});

test("every target refuses some of its inputs and accepts others", async () => {
  const oneSided: string[] = [];
  for (const target of await makeTargets()) {
    const verdicts: Verdicts = new Map();
    const source = new InputSource([target], 2);
    for (let number = 0; number < 400; number += 1) await feedOne(source, number, verdicts);
    const counts = verdicts.get(target.name);
    if (counts === undefined || counts.accepted === 0 || counts.refused === 0) oneSided.push(target.name);
  }
  expect(oneSided).toEqual([]);
});

test("an input is made again from its number alone", async () => {
  const targets = await makeTargets();
  const [one, other] = [new InputSource(targets, 3), new InputSource(targets, 3)];
  for (let number = 0; number < 50; number += 1) one.input(number);
  expect(other.input(49)).toEqual(one.input(49));
});

test("code that fails in other words than its own is found", async () => {
  const reachesTooFar = planted((input) => new DataView(input.buffer).getUint8(15));
  expect(await firstFinding(reachesTooFar, 500)).toBeUndefined();
  const forgetsWhatIsMissing = planted((input) => {
    const text = input.length < 8 ? undefined : "long";
    void (text as string).length;
  });
  expect(await firstFinding(forgetsWhatIsMissing, 500)).toMatch(/^planted \d+ TypeError/);
  const recursesForEver = planted(function deeper(input: Uint8Array): void {
    deeper(input);
  });
  expect(await firstFinding(recursesForEver, 500)).toMatch(/call stack/);
});

test.each([
  ["hang", /hangs$/],
  ["leak", /holds 4900 bytes more/],
  ["die", /died \(3\)/],
])("a worker whose code would %s is found", async (targetName, finding) => {
  const { findings } = await fuzz({
    seed: 1,
    firstInput: 0,
    inputCount: 10,
    jobCount: 1,
    targetName,
    onProgress: () => {},
    workerPath: PLANTED,
    hangMs: 500,
    growthBytesMax: 1000,
  });
  expect(findings).toEqual([expect.stringMatching(finding)]);
});
