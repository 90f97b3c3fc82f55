import { ManualClock } from "@holdfast/memory-ports";
import { expect, test } from "vitest";
import { ProcessWatch } from "../../../src/server/fencing/process-watch.ts";
import type { ProcessRecord } from "../../../src/volume/process-record.ts";
import { processOf, TestProcesses } from "../../world/fencing-rig.ts";

interface Stage {
  readonly clock: ManualClock;
  readonly processes: TestProcesses;
  readonly awaited: Set<bigint>;
  readonly gone: bigint[];
  readonly watch: ProcessWatch;
}

function stage(process: ProcessRecord | undefined = processOf(7)): Stage {
  const clock = new ManualClock();
  const processes = new TestProcesses();
  const awaited = new Set([7n]);
  const gone: bigint[] = [];
  const watch = new ProcessWatch({
    clock,
    processes,
    own: processOf(1),
    processOf: () => Promise.resolve(process),
    isAwaited: (rid) => awaited.has(rid),
    onGone: (rid) => gone.push(rid),
  });
  return { clock, processes, awaited, gone, watch };
}

test("a member whose process is gone already is known to be gone without any wait", async () => {
  const { processes, gone, watch } = stage();
  processes.gone.add(7);

  await watch.watch(7n);

  expect(gone).toEqual([7n]);
});

test("a process that ends while its member is waited for is noticed soon", async () => {
  const { clock, processes, gone, watch } = stage();
  const watching = watch.watch(7n);
  await clock.advance(1000);
  expect(gone).toEqual([]);

  processes.gone.add(7);
  await clock.advance(160);
  await watching;

  expect(gone).toEqual([7n]);
  expect(processes.looks).toBeLessThan(15);
});

test("nobody looks any more at a member that came back, nor after the end", async () => {
  const { clock, processes, awaited, gone, watch } = stage();
  const watching = watch.watch(7n);
  await clock.advance(20);
  awaited.delete(7n);
  processes.gone.add(7);
  await clock.advance(1000);
  await watching;
  awaited.add(7n);
  watch.close();

  await watch.watch(7n);

  expect(gone).toEqual([]);
  expect(clock.timersCount).toBe(0);
});

test("a member is looked at once at a time", async () => {
  const { clock, processes, watch } = stage();
  const watching = [watch.watch(7n), watch.watch(7n)];
  await clock.advance(1);

  expect(processes.looks).toBe(1);

  processes.gone.add(7);
  await clock.advance(100);
  await Promise.all(watching);
});

test.each([
  ["a process of another host", processOf(7, { bootId: "boot-2" })],
  ["a process that writes over a network", processOf(7, { isDeviceLocal: false })],
])("%s is never said to be gone", async (_, process) => {
  const { clock, processes, awaited, gone, watch } = stage(process);
  processes.gone.add(7);
  const watching = watch.watch(7n);

  await clock.advance(5000);
  awaited.clear();
  await clock.advance(200);
  await watching;

  expect(gone).toEqual([]);
  expect(processes.looks).toBe(0);
});
