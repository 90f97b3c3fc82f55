/*
 * One process of several that share a run. Says after each batch how far it is and what its heap holds, so that the one who
 * watches notices an input that never ends, and memory that grows.
 */
import { feedOne, InputSource, type Verdicts } from "./fuzz-run.ts";
import { makeTargets } from "./targets/all.ts";
import type { Progress, WorkerOrder } from "./fuzz-pool.ts";

/** Inputs between two reports. */
const BATCH = 2000;

process.once("message", (message) => {
  // The other end of this channel is fuzz-pool.ts, which sends nothing else.
  void run(message as WorkerOrder);
});

async function run({ seed, first, step, count, targetName }: WorkerOrder): Promise<void> {
  const all = await makeTargets();
  const targets = targetName === undefined ? all : all.filter(({ name }) => name === targetName);
  const source = new InputSource(targets, seed);
  const verdicts: Verdicts = new Map();
  report({ next: first, heapBytes: heapBytes(), verdicts: [], finding: undefined, isDone: false });
  for (let number = first, fed = 0; number < count; number += step) {
    const finding = await feedOne(source, number, verdicts);
    fed += 1;
    const isDone = number + step >= count;
    if (finding === undefined && fed % BATCH !== 0 && !isDone) continue;
    report({
      next: number + step,
      heapBytes: fed % (BATCH * 25) === 0 || isDone ? heapBytes() : undefined,
      verdicts: [...verdicts],
      finding,
      isDone: isDone || finding !== undefined,
    });
    verdicts.clear();
    if (finding !== undefined) break;
  }
  process.disconnect();
}

function report(progress: Progress): void {
  process.send?.(progress);
}

/** Bytes that are still reachable, and those outside the heap. */
function heapBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
