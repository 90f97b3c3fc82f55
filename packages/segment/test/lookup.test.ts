import { expect, test } from "vitest";
import { BlockCache, KeyProbe, SegmentReader, noPosition, valueAt } from "../src/index.ts";
import { EVERYTHING, FSID, collect, item, keyOf, linesOf, writeSegment } from "./items.ts";
import { MemoryDevice } from "./memory-device.ts";

const items = Array.from({ length: 6000 }, (_, index) => item(index));

async function openedSegment(cache?: BlockCache): Promise<{ device: MemoryDevice; reader: SegmentReader }> {
  const device = new MemoryDevice(400);
  const ref = await writeSegment(device, items, { start: 0n, lengthBlocks: 400 });
  const reader = await SegmentReader.open(device, FSID, ref, cache);
  device.readCount = 0;
  return { device, reader };
}

test("a lookup without I/O says unread until the data block was read", async () => {
  const { device, reader } = await openedSegment();
  const probe = new KeyProbe(keyOf(7));

  const before = reader.tryGet(probe);
  await reader.get(keyOf(8));
  const after = reader.tryGet(probe);

  expect(before).toBe("unread");
  expect(after).toEqual({ seq: 1n, value: items[7]?.value });
  expect(device.readCount).toBe(1);
});

test("a lookup can point at the item instead of making objects", async () => {
  const { reader } = await openedSegment();
  const position = noPosition();
  await reader.get(keyOf(8));

  expect(reader.locate(new KeyProbe(keyOf(8)), position)).toBe("found");
  expect(valueAt(position)).toEqual(items[8]?.value);
});

test("keys outside the segment and about 99 of 100 absent keys inside cost no read", async () => {
  const device = new MemoryDevice(400);
  const even = Array.from({ length: 6000 }, (_, index) => item(2 * index));
  const ref = await writeSegment(device, even, { start: 0n, lengthBlocks: 400 });
  const reader = await SegmentReader.open(device, FSID, ref);

  const probe = new KeyProbe();
  const passed = even.filter((_, index) => reader.tryGet(probe.set(keyOf(2 * index + 1))) === "unread");

  expect(passed.length / even.length).toBeLessThan(0.025);
  expect(reader.tryGet(probe.set(keyOf(12_001)))).toBe("absent");
});

test("many who ask for one block at once share one read", async () => {
  const { device, reader } = await openedSegment();

  await Promise.all([reader.get(keyOf(1)), reader.get(keyOf(2)), reader.get(keyOf(1))]);

  expect(device.readCount).toBe(1);
});

test("a shared cache keeps its limit and every item stays readable", async () => {
  const cache = new BlockCache(100_000);
  const { reader } = await openedSegment(cache);

  expect(await collect(reader.cursor(EVERYTHING))).toEqual(linesOf(items));
  for (const { key, value } of items) expect((await reader.get(key))?.value?.length).toBe(value?.length);

  expect(cache.usedBytes).toBeGreaterThan(60_000);
  expect(cache.usedBytes).toBeLessThanOrEqual(100_000);
});

test("blocks that are used again stay in a full cache, others leave it first", async () => {
  const cache = new BlockCache(100_000);
  const { device, reader } = await openedSegment(cache);

  await reader.get(keyOf(1));
  for (let number = 500; number < 6000; number += 100) {
    await reader.get(keyOf(number));
    await reader.get(keyOf(1));
  }
  device.readCount = 0;
  await reader.get(keyOf(1));

  expect(device.readCount).toBe(0);
});

test("a closed reader gives its part of the cache back", async () => {
  const cache = new BlockCache();
  const { reader } = await openedSegment(cache);
  await collect(reader.cursor(EVERYTHING));

  reader.close();

  expect(cache.usedBytes).toBe(0);
});

test("a long walk reads ahead in growing steps, a merge in large ones", async () => {
  const { device, reader } = await openedSegment(new BlockCache(1));

  await collect(reader.cursor(EVERYTHING, true));
  const walkReads = device.readCount;
  await collect(reader.stream(EVERYTHING));

  expect(walkReads).toBeLessThan(12);
  expect(device.readCount - walkReads).toBeLessThanOrEqual(3);
});
