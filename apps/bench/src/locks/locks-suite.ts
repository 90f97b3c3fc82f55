/*
 * Locks, as far as a user of a volume meets them: cached, asked of the server, and taken from each other.
 *
 * Two members in two processes; the one in the child was first and serves. No other lock service is installed here,
 * so there is no peer to stand beside.
 */
import { join } from "node:path";
import { type Dataset, makeVolume, openVolume, type Volume } from "holdfast";
import { type Child, startChild } from "../child.ts";
import { measureRow, median, nextTurn, ratePerSecond, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import type { LocksSizes } from "../sizes.ts";
import { makeCachedLock, useCachedLock } from "./cached-lock.ts";

const SHARED_KEY = "shared";

/** Synchronous uses between two turns of the event loop. */
const USES_PER_TURN = 10_000;

/** Measures the locks rows. */
export function measureLocks(sizes: LocksSizes, runs: number): Promise<readonly Row[]> {
  return withDirectory(async (directory) => {
    const url = join(directory, "volume.hf");
    await makeVolume(url, { sizeBytes: sizes.volumeBytes });
    const { child } = await startChild("locks/member-process.js", [url]);
    try {
      const volume = await openVolume(url);
      try {
        return await rowsOf(volume, child, sizes, runs);
      } finally {
        await volume.close();
      }
    } finally {
      await child.stop();
    }
  });
}

async function rowsOf(
  volume: Volume,
  child: Child,
  sizes: LocksSizes,
  runs: number,
): Promise<readonly Row[]> {
  const cached = makeCachedLock();
  const datasets = new FreshDatasets(volume);
  const shared = await volume.dataset();
  const keys = Array.from({ length: sizes.firstUses }, (_, byte) => Uint8Array.of(byte));
  const alone = { runs, peers: {} };
  return [
    await measureRow({
      ...alone,
      row: "use of a cached lock, state machine alone",
      unit: "uses/s",
      isLowerBetter: false,
      ours: () => ratePerSecond(sizes.cachedUses, () => useCachedLock(cached, sizes.cachedUses)),
    }),
    await measureRow({
      ...alone,
      row: "read under a cached lock, synchronous",
      unit: "uses/s",
      isLowerBetter: false,
      ours: () => cachedReads(shared, sizes.cachedUses),
    }),
    await measureRow({
      ...alone,
      row: "read under a cached lock, awaited",
      unit: "uses/s",
      isLowerBetter: false,
      ours: () =>
        ratePerSecond(sizes.cachedUses, async () => {
          for (let index = 0; index < sizes.cachedUses; index += 1) await shared.get(SHARED_KEY);
        }),
    }),
    await measureRow({
      ...alone,
      row: "first read under a lock of another member's server, p50",
      unit: "µs",
      isLowerBetter: true,
      ours: async () => firstReadUs(await datasets.next(), keys),
    }),
    await measureRow({
      ...alone,
      row: `first reads under ${keys.length} locks at a time`,
      unit: "locks/s",
      isLowerBetter: false,
      ours: async () => {
        const dataset = await datasets.next();
        return ratePerSecond(keys.length, async () => {
          await Promise.all(keys.map((key) => dataset.get(key)));
        });
      },
    }),
    await measureRow({
      ...alone,
      row: "durable put after the other member's put, p50",
      unit: "µs",
      isLowerBetter: true,
      ours: () => handoverUs(shared, child, sizes.handovers),
    }),
  ];
}

/** Datasets whose locks nobody has had. */
class FreshDatasets {
  readonly #volume: Volume;
  #count = 0;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  next(): Promise<Dataset> {
    this.#count += 1;
    return this.#volume.createDataset(`fresh-${this.#count}`);
  }
}

async function cachedReads(dataset: Dataset, count: number): Promise<number> {
  await dataset.get(SHARED_KEY);
  return ratePerSecond(count, async () => {
    for (let index = 0; index < count; index += 1) {
      if (dataset.tryGet(SHARED_KEY) === undefined) throw new Error("the cached lock is gone");
      if (index % USES_PER_TURN === 0) await nextTurn();
    }
  });
}

async function firstReadUs(dataset: Dataset, keys: readonly Uint8Array[]): Promise<number> {
  const tookUs: number[] = [];
  for (const key of keys) {
    const startMs = performance.now();
    await dataset.get(key);
    tookUs.push((performance.now() - startMs) * 1000);
  }
  return median(tookUs);
}

/** Both members write one key in turns; ours is timed, the way of the word to the other process is not. */
async function handoverUs(dataset: Dataset, child: Child, count: number): Promise<number> {
  const tookUs: number[] = [];
  for (let index = 0; index < count; index += 1) {
    await child.ask(SHARED_KEY);
    const startMs = performance.now();
    await dataset.put(SHARED_KEY, String(index));
    tookUs.push((performance.now() - startMs) * 1000);
  }
  return median(tookUs);
}
