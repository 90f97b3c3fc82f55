/*
 * Items: a volume of one member on a file, beside LevelDB with synced writes.
 */
import { measureRow, nextTurn, ratePerSecond, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import { seededNumbers, shuffled } from "../seeded.ts";
import type { ItemsSizes } from "../sizes.ts";
import { type MeasuredStore, openClassicLevel, openHoldfast, type OpenStore } from "./stores.ts";
import { batchesOf, type Item, type KeyOrder, makeItems } from "./workload.ts";

const PEER = "classic-level";

/** Puts that wait at the same time in the row with many writers. */
const WRITERS = 64;

/** Synchronous reads between two turns of the event loop: a member must answer its server. */
const READS_PER_TURN = 10_000;

/** Measures the items rows. */
export async function measureItems(sizes: ItemsSizes, runs: number): Promise<readonly Row[]> {
  return [
    await batchRow("sequential keys", "sequential", sizes, runs),
    await batchRow("random keys under one lock", "prefixed", sizes, runs),
    await batchRow("random keys under 256 locks", "random", sizes, runs),
    ...(await loadedRows(sizes, runs)),
  ];
}

/** Every run fills a new store; making and closing it is not counted. */
function batchRow(title: string, order: KeyOrder, sizes: ItemsSizes, runs: number): Promise<Row> {
  const batches = batchesOf(makeItems(order, sizes.items), sizes.batchItems);
  const fill = (open: OpenStore) => (): Promise<number> =>
    withDirectory(async (directory) => {
      const store = await open(directory);
      try {
        return await ratePerSecond(sizes.items, () => putAll(store, batches));
      } finally {
        await store.close();
      }
    });
  return measureRow({
    row: `put, batches of ${sizes.batchItems}, ${title}`,
    unit: "items/s",
    isLowerBetter: false,
    runs,
    ours: fill(openHoldfast(sizes.volumeBytes)),
    peers: { [PEER]: fill(openClassicLevel) },
  });
}

/** Rows over two stores that hold the same items. */
function loadedRows(sizes: ItemsSizes, runs: number): Promise<readonly Row[]> {
  return withDirectory(async (directory) => {
    const ours = await openHoldfast(sizes.volumeBytes)(directory);
    const peer = await openClassicLevel(directory);
    try {
      const items = makeItems("random", sizes.items);
      for (const store of [ours, peer]) await putAll(store, batchesOf(items, sizes.batchItems));
      const keys = drawKeys(items, sizes.gets);
      const rowOf = (
        row: string,
        unit: string,
        measure: (store: MeasuredStore) => Promise<number>,
      ): Promise<Row> =>
        measureRow({
          row,
          unit,
          isLowerBetter: false,
          runs,
          ours: () => measure(ours),
          peers: { [PEER]: () => measure(peer) },
        });
      return [
        await rowOf("get, awaited, warm", "items/s", (store) =>
          ratePerSecond(keys.length, () => getAll(store, keys)),
        ),
        await rowOf("get, synchronous, warm", "items/s", (store) =>
          ratePerSecond(keys.length, () => getAllNow(store, keys)),
        ),
        await rowOf("full scan by pages", "items/s", (store) =>
          ratePerSecond(items.length, async () => expectCount(await store.countByPages(), items.length)),
        ),
        await rowOf("full scan by items", "items/s", (store) =>
          ratePerSecond(items.length, async () => expectCount(await store.countByItems(), items.length)),
        ),
        await rowOf("durable put, one at a time", "items/s", (store) =>
          putOneByOne(store, items, sizes.singlePuts),
        ),
        await rowOf(`durable put, ${WRITERS} at a time`, "items/s", (store) =>
          putTogether(store, items, sizes.singlePuts),
        ),
      ];
    } finally {
      await ours.close();
      await peer.close();
    }
  });
}

async function putAll(store: MeasuredStore, batches: readonly (readonly Item[])[]): Promise<void> {
  for (const batch of batches) await store.putBatch(batch);
}

async function getAll(store: MeasuredStore, keys: readonly Buffer[]): Promise<void> {
  let count = 0;
  for (const key of keys) if ((await store.get(key)) !== undefined) count += 1;
  expectCount(count, keys.length);
}

async function getAllNow(store: MeasuredStore, keys: readonly Buffer[]): Promise<void> {
  for (let from = 0; from < keys.length; from += READS_PER_TURN) {
    let count = 0;
    const part = keys.slice(from, from + READS_PER_TURN);
    // As users write it: what cannot be said at once, since the lease has to be renewed, is awaited.
    for (const key of part) if ((store.getNow(key) ?? (await store.get(key))) !== undefined) count += 1;
    expectCount(count, part.length);
    await nextTurn();
  }
}

/** Writes items again that are there, so that the stores stay alike. */
function putOneByOne(store: MeasuredStore, items: readonly Item[], count: number): Promise<number> {
  const part = items.slice(0, count);
  return ratePerSecond(part.length, async () => {
    for (const item of part) await store.put(item);
  });
}

function putTogether(store: MeasuredStore, items: readonly Item[], count: number): Promise<number> {
  const part = items.slice(0, count);
  const writer = async (first: number): Promise<void> => {
    for (let index = first; index < part.length; index += WRITERS) await store.put(part[index] as Item);
  };
  return ratePerSecond(part.length, async () => {
    await Promise.all(Array.from({ length: WRITERS }, (_, first) => writer(first)));
  });
}

function drawKeys(items: readonly Item[], count: number): readonly Buffer[] {
  const order = shuffled(seededNumbers(count), items.length);
  return Array.from({ length: count }, (_, index) => (items[order[index % order.length] ?? 0] as Item).key);
}

function expectCount(found: number, expected: number): void {
  if (found !== expected) throw new Error(`a store gave ${found} items instead of ${expected}`);
}
