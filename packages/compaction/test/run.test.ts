import { packKey, type Key } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  type CompactionJob,
  type CompactionLimits,
  type CompactionResult,
  applyResult,
  runCompaction,
} from "../src/index.ts";
import { Store, present, tickingClock, type Write } from "./store.ts";

const LIMITS: CompactionLimits = { level0Segments: 1, level1Segments: 1, fanOut: 1, inputsMax: 8 };

const keyOf = (number: number): Key =>
  packKey({ zone: 2, first: 1n, type: 1, second: BigInt(number), third: 0n, fourth: 0 });

const writes = (from: number, count: number, seq: bigint, valueBytes = 20): Write[] =>
  Array.from({ length: count }, (_, index) => ({
    key: keyOf(from + index),
    seq,
    value: new Uint8Array(valueBytes),
  }));

/** A store with two overlapping segments on level 0 and the job that merges them. */
async function startedJob(
  itemCount = 300,
): Promise<{ store: Store; job: CompactionJob; result: CompactionResult }> {
  const store = new Store();
  await store.record(writes(0, itemCount, 1n));
  await store.record(writes(100, itemCount, 2n));
  const plan = await store.plan(LIMITS);
  const job = store.start(present(plan));
  return { store, job, result: await runCompaction(job, store.ports) };
}

test("a merge gives its segments and the granted blocks that it did not need", async () => {
  const { job, result } = await startedJob();

  expect(result.outputs.map(({ level, itemCount }) => ({ level, itemCount }))).toEqual([
    { level: 1, itemCount: 400 },
  ]);
  const usedBlocks = result.outputs.reduce((sum, { extent }) => sum + extent.lengthBlocks, 0);
  const unusedBlocks = result.unused.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  expect(usedBlocks + unusedBlocks).toBe(
    job.outputs.reduce((sum, { extent }) => sum + extent.lengthBlocks, 0),
  );
});

test("applying a result swaps inputs for outputs and frees all other blocks of the job", async () => {
  const { store, job, result } = await startedJob();
  const before = await store.content();

  const applied = await applyResult(store.manifest, job, result);

  expect((await store.manifest.list()).map(({ id }) => id)).toEqual(result.outputs.map(({ id }) => id));
  expect(applied.freed).toEqual([...job.upper.map(({ extent }) => extent), ...result.unused]);
  expect(applied.removedIds).toEqual(new Set(job.upper.map(({ id }) => id)));
  expect(await store.content()).toEqual(before);
});

test("a moved segment keeps its blocks and is neither read nor written", async () => {
  const store = new Store();
  await store.record(writes(0, 10, 1n));
  const plan = await store.plan({ ...LIMITS, level0Segments: 0 });
  const job = store.start(present(plan));
  store.device.journal.length = 0;
  store.device.readCount = 0;

  const result = await runCompaction(job, store.ports);
  const applied = await applyResult(store.manifest, job, result);

  expect(store.device.journal).toEqual([]);
  expect(store.device.readCount).toBe(0);
  expect(applied.freed).toEqual([]);
  expect((await store.manifest.list(1)).map(({ id }) => id)).toEqual(job.upper.map(({ id }) => id));
  expect(await store.manifest.list(0)).toEqual([]);
});

test("a result that comes twice, for a job that is not known, or for other inputs is refused", async () => {
  const { store, job, result } = await startedJob();
  const refused = expect.objectContaining({ code: "ERR_HOLDFAST_COMPACTION_REFUSED" });

  await expect(applyResult(store.manifest, undefined, result)).rejects.toEqual(refused);
  await expect(applyResult(store.manifest, { ...job, id: 1n }, result)).rejects.toEqual(refused);
  const other = { ...job, upper: job.upper.map((ref) => ({ ...ref, seqMax: 9n })) };
  await expect(applyResult(store.manifest, other, result)).rejects.toEqual(refused);
  await applyResult(store.manifest, job, result);
  await expect(applyResult(store.manifest, job, result)).rejects.toEqual(refused);
});

test.each<[string, (output: CompactionResult["outputs"][number]) => object]>([
  ["that was not granted", () => ({ id: 999n })],
  ["in another extent", ({ extent }) => ({ extent: { ...extent, start: extent.start + 1n } })],
  ["longer than its extent", ({ extent }) => ({ extent: { ...extent, lengthBlocks: 9000 } })],
  ["whose footer is elsewhere", ({ footer }) => ({ footer: { ...footer, address: 1n } })],
  ["on another level", () => ({ level: 2 })],
  ["back on the upper level", () => ({ level: 0 })],
  ["outside the keys of the inputs", () => ({ last: keyOf(5000) })],
  ["without items", () => ({ itemCount: 0 })],
])("a result with a segment %s is refused and changes nothing", async (_, change) => {
  const { store, job, result } = await startedJob();
  const before = await store.manifest.list();
  const outputs = result.outputs.map((output) => ({ ...output, ...change(output) }));

  await expect(applyResult(store.manifest, job, { ...result, outputs })).rejects.toMatchObject({
    code: "ERR_HOLDFAST_COMPACTION_REFUSED",
    category: "conflict",
  });

  expect(await store.manifest.list()).toEqual(before);
});

test("a result that would overlap what came to its level meanwhile is refused", async () => {
  const { store, job, result } = await startedJob();
  await store.manifest.add({ ...present(result.outputs[0]), id: 5000n });

  await expect(applyResult(store.manifest, job, result)).rejects.toThrow("overlaps segment 5000");
});

test("output that does not fit into the granted extents is an error, never a shorter result", async () => {
  const { store, job } = await startedJob(3000);
  const small = { id: 900n, extent: store.allocate(32) };

  await expect(runCompaction({ ...job, outputs: [small] }, store.ports)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_COMPACTION_SPACE",
    facts: { job: job.id, outputCount: 1 },
  });
  await expect(runCompaction({ ...job, outputs: [] }, store.ports)).rejects.toThrow("0 output extents");
});

test("inputs whose blocks hold something else by now make the job fail as stale", async () => {
  const { store, job } = await startedJob();
  store.device.overwrite(present(job.upper[0]).extent.start);

  await expect(runCompaction(job, store.ports)).rejects.toMatchObject({ code: "ERR_HOLDFAST_SEGMENT_STALE" });
});

test("a worker leaves the event loop to others while it works", async () => {
  const { store, job } = await startedJob(4000);
  const clock = tickingClock();

  await runCompaction(job, { ...store.ports, clock });

  expect(clock.yieldCount).toBeGreaterThanOrEqual(4);
});

test("a worker that is cancelled stops without a footer written", async () => {
  const { store, job } = await startedJob(4000);
  const controller = new AbortController();
  const clock = {
    ...tickingClock(),
    yield: async () => controller.abort(),
  };
  store.device.journal.length = 0;

  await expect(
    runCompaction(job, { ...store.ports, clock, signal: controller.signal }),
  ).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });

  expect(store.device.journal.filter(({ what }) => what === "durable")).toEqual([]);
});

test("a failing device makes the worker fail once nothing is in flight", async () => {
  const { store, job } = await startedJob();
  store.device.writeFailure = new Error("no device");

  await expect(runCompaction(job, store.ports)).rejects.toThrow("no device");
});
