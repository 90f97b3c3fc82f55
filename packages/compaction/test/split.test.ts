import { packKey, type Key } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { type CompactionLimits, applyResult, runCompaction } from "../src/index.ts";
import { Store, type Write, present } from "./store.ts";

const keyOf = (number: number): Key =>
  packKey({ zone: 2, first: 1n, type: 1, second: BigInt(number), third: 0n, fourth: 0 });

const put = (number: number, seq: bigint): Write => ({ key: keyOf(number), seq, value: new Uint8Array(9) });

const LIMITS: CompactionLimits = { level0Segments: 0, level1Segments: 1, fanOut: 10, inputsMax: 2 };

/** A store whose level 1 has one segment for each of these numbers. */
async function storeWithLevel1(...numbers: readonly number[]): Promise<Store> {
  const store = new Store();
  for (const number of numbers) {
    await store.record([put(number, 1n)]);
    await store.complete(store.start(present(await store.plan(LIMITS))));
    if ((await store.manifest.list(1)).length === 0) throw new Error("the segment should have moved down");
  }
  return store;
}

const PATIENT: CompactionLimits = { ...LIMITS, level1Segments: 10 };

test("tombstones that stay on the upper level after a merge in part still hide what is below", async () => {
  const store = new Store();
  for (const number of [1, 5, 9]) {
    await store.record([put(number, 1n)]);
    await store.complete(store.start(present(await store.plan(PATIENT))));
  }
  await store.record([1, 5, 9].map((number): Write => ({ key: keyOf(number), seq: 2n, value: undefined })));

  const plan = present(await store.plan(PATIENT));
  await store.complete(store.start(plan));

  expect(plan).toMatchObject({ dropTombstones: true, lower: [{ first: keyOf(1) }] });
  expect((await store.manifest.list(0)).map(({ tombstoneCount }) => tombstoneCount)).toEqual([2]);
  expect([...(await store.content()).keys()]).toEqual([]);
});

test("what stays on level 0 after a merge in part is as old as the oldest input", async () => {
  const store = await storeWithLevel1(1);
  await store.record([put(1, 2n), put(8, 2n)]);
  await store.record([put(2, 3n), put(9, 3n)]);
  const [newer, older] = present((await store.manifest.view()).levels[0]);
  const lower = await store.manifest.list(1);
  const outputs = [1, 2].map(() => ({ id: store.newId(), extent: store.allocate(64) }));
  const job = {
    id: 900n,
    upperLevel: 0,
    upper: [present(newer), present(older)],
    lower,
    isMove: false,
    dropTombstones: true,
    splitAfter: keyOf(4),
    outputs,
  };

  const result = await runCompaction(job, store.ports);
  await applyResult(store.manifest, job, result);

  expect(result.outputs.map(({ level, order, itemCount }) => ({ level, order, itemCount }))).toEqual([
    { level: 1, order: 0n, itemCount: 2 },
    { level: 0, order: present(older).order, itemCount: 2 },
  ]);
  expect((await store.content()).size).toBe(4);
});
