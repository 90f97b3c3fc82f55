import { compareBytes, toHex } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type ItemCursor, SegmentReader, concatenateCursors, mergeCursors } from "../src/index.ts";
import {
  EVERYTHING,
  FSID,
  type Item,
  collect,
  item,
  keyOf,
  linesOf,
  tombstone,
  writeSegment,
} from "./items.ts";
import { MemoryDevice } from "./memory-device.ts";

/** A cursor without fast path, as another package may write one. */
function plainCursor(items: readonly Item[]): ItemCursor {
  let at = -1;
  const current = (): Item => items[at] as Item;
  return {
    next: async () => (at += 1) < items.length,
    get key() {
      return current().key;
    },
    get seq() {
      return current().seq;
    },
    get value() {
      return current().value;
    },
  };
}

/** What a merge must show: newest seq, ties to the earlier source. */
function modelOf(sources: readonly (readonly Item[])[], dropTombstones: boolean): Item[] {
  const newest = new Map<string, Item>();
  for (const source of sources) {
    for (const candidate of source) {
      const name = toHex(candidate.key);
      const known = newest.get(name);
      if (known === undefined || candidate.seq > known.seq) newest.set(name, candidate);
    }
  }
  return [...newest.values()]
    .filter(({ value }) => !dropTombstones || value !== undefined)
    .toSorted((a, b) => compareBytes(a.key, b.key));
}

test("a merge of any sources shows what a map of the newest versions holds, seq ties included", async () => {
  const entry = fc.record({
    number: fc.nat(40),
    seq: fc.integer({ min: 1, max: 4 }),
    length: fc.nat(300),
    isDead: fc.boolean(),
  });
  const source = fc.record({
    entries: fc.uniqueArray(entry, { selector: ({ number }) => number, maxLength: 30 }),
    isPlain: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(source, { maxLength: 6 }),
      fc.boolean(),
      fc.boolean(),
      async (made, dropTombstones, isReverse) => {
        const device = new MemoryDevice(256);
        const sources = made.map(({ entries }, age) =>
          entries
            .toSorted((a, b) => a.number - b.number)
            .map((e) => (e.isDead ? tombstone(e.number, e.seq) : item(e.number, e.seq, e.length + age))),
        );
        const cursors = await Promise.all(
          sources.map(async (items, age): Promise<ItemCursor> => {
            if (items.length === 0 || made[age]?.isPlain === true)
              return plainCursor(isReverse ? items.toReversed() : items);
            const extent = { start: BigInt(age * 40), lengthBlocks: 40 };
            const ref = await writeSegment(device, items, extent, BigInt(age + 1));
            return (await SegmentReader.open(device, FSID, ref)).cursor(EVERYTHING, isReverse);
          }),
        );

        const merged = await collect(mergeCursors(cursors, { dropTombstones, isReverse }));

        const model = linesOf(modelOf(sources, dropTombstones));
        expect(merged).toEqual(isReverse ? model.toReversed() : model);
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);

test("steps need no promise while the data blocks are in the cache", async () => {
  const device = new MemoryDevice(64);
  const [old, fresh] = [
    [item(1), item(2)],
    [tombstone(2, 2), item(3)],
  ];
  const oldRef = await writeSegment(device, old, { start: 0n, lengthBlocks: 32 }, 1n);
  const freshRef = await writeSegment(device, fresh, { start: 32n, lengthBlocks: 32 }, 2n);
  const readers = [
    await SegmentReader.open(device, FSID, freshRef),
    await SegmentReader.open(device, FSID, oldRef),
  ];
  const merged = mergeCursors(
    readers.map((reader) => reader.cursor(EVERYTHING)),
    { dropTombstones: true },
  );

  expect(merged.nextSync()).toBeUndefined();
  expect(await merged.next()).toBe(true);
  expect(merged.key).toEqual(keyOf(1));
  expect(merged.nextSync()).toBe(true);
  expect(merged.key).toEqual(keyOf(3));
  expect(merged.nextSync()).toBe(false);
});

test("concatenated cursors are opened one after the other, the last only when it is reached", async () => {
  let openedCount = 0;
  const sources = [[item(1), item(2)], [], [item(5)]];
  const cursor = concatenateCursors(
    sources.map((items) => async () => {
      openedCount += 1;
      return plainCursor(items);
    }),
  );

  await cursor.next();
  const openedAtFirst = openedCount;
  const rest = await collect(cursor);

  expect(openedAtFirst).toBe(1);
  expect(rest).toEqual(linesOf([item(2), item(5)]));
  expect(cursor.nextSync()).toBe(false);
});
