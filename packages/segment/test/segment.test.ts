import * as fc from "fast-check";
import { toHex } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  SegmentFooter,
  SegmentReader,
  SegmentRef,
  SegmentWriter,
  StaleSegmentError,
  VALUE_BYTES_MAX,
} from "../src/index.ts";
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
  writerOn,
} from "./items.ts";
import { MemoryDevice } from "./memory-device.ts";

/** Generous, for machines that are busy with other things. */
const SLOW_MS = 60_000;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test(
  "what was added is found again, in order and by key",
  async () => {
    const device = new MemoryDevice(512);
    const items = numbers(5000).map((number) =>
      number % 7 === 0 ? tombstone(2 * number, 4) : item(2 * number, 3),
    );

    const ref = await writeSegment(device, items, { start: 100n, lengthBlocks: 400 });
    const reader = await SegmentReader.open(device, FSID, ref);

    expect(await collect(reader.cursor(EVERYTHING))).toEqual(linesOf(items));
    expect(await collect(reader.stream(EVERYTHING))).toEqual(linesOf(items));
    expect(await collect(reader.cursor(EVERYTHING, true))).toEqual(linesOf(items).toReversed());
    const found = await Promise.all(
      items.map(async ({ key }) => ({ key, ...(await reader.get(key)) }) as Item),
    );
    expect(linesOf(found)).toEqual(linesOf(items));
    const absent = await Promise.all(numbers(5000).map((number) => reader.get(keyOf(2 * number + 1))));
    expect(absent.every((found) => found === undefined)).toBe(true);
  },
  SLOW_MS,
);

test("the reference tells counts, bounds and the greatest seq", async () => {
  const device = new MemoryDevice(64);
  const late = item(2, 9);

  const ref = await writeSegment(device, [item(1, 2), { ...late, seq: 7n << 40n }, tombstone(8, 5)]);

  expect(ref).toMatchObject({ id: 5n, level: 1, order: 0n, itemCount: 3, tombstoneCount: 1, writer: 0xabcn });
  expect(ref.first).toEqual(keyOf(1));
  expect(ref.last).toEqual(keyOf(8));
  expect(ref.seqMax).toBe(7n << 40n);
  expect(ref.footer.address).toBe(ref.extent.start + BigInt(ref.extent.lengthBlocks - 1));
  expect(SegmentRef.decode(SegmentRef.encode(ref))).toEqual(ref);
  expect(SegmentRef.sizeBytes).toBeLessThanOrEqual(256);
});

test(
  "any mixture of value lengths, ranges and directions reads back as written",
  async () => {
    const mixture = fc.uniqueArray(
      fc.record({
        number: fc.nat(60),
        length: fc.oneof(fc.nat(200), fc.nat(9000), fc.constant(VALUE_BYTES_MAX)),
      }),
      { selector: ({ number }) => number, minLength: 1, maxLength: 12 },
    );
    const device = new MemoryDevice(300);
    await fc.assert(
      fc.asyncProperty(mixture, fc.nat(60), fc.nat(60), async (parts, start, end) => {
        device.bytes.fill(0);
        const items = parts
          .toSorted((a, b) => a.number - b.number)
          .map(({ number, length }) => item(number, 1, length));
        const ref = await writeSegment(device, items, { start: 0n, lengthBlocks: 300 });
        const reader = await SegmentReader.open(device, FSID, ref);

        const range = { start: keyOf(start), end: keyOf(end) };
        const numbers = new Set(parts.map(({ number }) => number).filter((n) => start <= n && n <= end));
        const wanted = new Set([...numbers].map((number) => toHex(keyOf(number))));
        const expected = linesOf(items.filter(({ key }) => wanted.has(toHex(key))));
        expect(await collect(reader.cursor(range))).toEqual(expected);
        expect(await collect(reader.stream(range))).toEqual(expected);
        expect(await collect(reader.cursor(range, true))).toEqual(expected.toReversed());
      }),
      { numRuns: 40 },
    );
  },
  SLOW_MS,
);

test("items whose keys differ only in the last byte or only in the first are told apart", async () => {
  const device = new MemoryDevice(64);
  const keys = numbers(256).map((value) => new Uint8Array(32).fill(value));
  keys.push(...numbers(254).map((value) => new Uint8Array(32).fill(255).fill(value + 1, 31)));
  const unique = [...new Map(keys.map((key) => [key.join(), key])).values()].toSorted((a, b) =>
    Buffer.compare(a, b),
  );
  const items: Item[] = unique.map((key) => ({ key, seq: 1n, value: key.slice(30) }));

  const ref = await writeSegment(device, items);
  const reader = await SegmentReader.open(device, FSID, ref);

  for (const { key, seq, value } of items) expect(await reader.get(key)).toEqual({ seq, value });
});

test("a full writer refuses the item and keeps all it has accepted", async () => {
  const device = new MemoryDevice(64);
  const writer = writerOn(device, { start: 0n, lengthBlocks: 32 });
  const accepted: Item[] = [];

  let next = item(0);
  while (writer.add(next.key, next.seq, next.value)) {
    accepted.push(next);
    next = item(accepted.length);
  }
  const isSmallerItemAccepted = writer.add(keyOf(70_000), 1n, undefined);
  const ref = await writer.finish();

  const reader = await SegmentReader.open(device, FSID, ref);
  expect(isSmallerItemAccepted).toBe(false);
  expect(accepted.length).toBeGreaterThan(600);
  expect(ref.extent.lengthBlocks).toBeGreaterThan(28);
  expect(ref.extent.lengthBlocks).toBeLessThanOrEqual(32);
  expect(await collect(reader.cursor(EVERYTHING))).toEqual(linesOf(accepted));
});

test("the blocks that a segment does not need are named, to be given back", async () => {
  const device = new MemoryDevice(64);
  const writer = writerOn(device, { start: 8n, lengthBlocks: 40 });
  writer.add(keyOf(1), 1n, undefined);

  const ref = await writer.finish();

  expect(ref.extent).toEqual({ start: 8n, lengthBlocks: 3 });
  expect(writer.unused).toEqual({ start: 11n, lengthBlocks: 37 });
});

test("writes are large, one flush follows them, and the footer comes last and durable", async () => {
  const device = new MemoryDevice(1024);
  const items = numbers(25_000).map((number) => item(number));

  await writeSegment(device, items, { start: 0n, lengthBlocks: 1024 });

  const data = device.journal.slice(0, -2);
  expect(data.every(({ what }) => what === "write")).toBe(true);
  expect(data.slice(0, -1).every(({ lengthBytes }) => lengthBytes >= 262_144)).toBe(true);
  expect(data.length).toBeLessThanOrEqual(5);
  expect(device.journal.slice(-2)).toEqual([
    { what: "flush", lengthBytes: 0 },
    { what: "durable", lengthBytes: 4096 },
  ]);
});

test("a buffer may be used for one segment after another", async () => {
  const device = new MemoryDevice(64);
  const buffer = new Uint8Array(32 * 4096).fill(0xee);
  const write = async (start: bigint, id: bigint, items: readonly Item[]): Promise<SegmentReader> => {
    const extent = { start, lengthBlocks: 32 };
    const writer = new SegmentWriter({
      device,
      fsid: FSID,
      writer: 1n,
      term: 1n,
      id,
      level: 0,
      extent,
      buffer,
    });
    for (const { key, seq, value } of items) writer.add(key, seq, value);
    return SegmentReader.open(device, FSID, await writer.finish());
  };
  const [large, small] = [numbers(500).map((number) => item(number)), [item(3), tombstone(4)]];

  const readers = [await write(0n, 1n, large), await write(32n, 2n, small)] as const;

  expect(await collect(readers[0].cursor(EVERYTHING))).toEqual(linesOf(large));
  expect(await collect(readers[1].cursor(EVERYTHING))).toEqual(linesOf(small));
});

test("a failed write makes the segment fail, after all its writes have settled", async () => {
  const device = new MemoryDevice(64);
  device.writeFailure = new Error("no device");

  await expect(writeSegment(device, [item(1)])).rejects.toThrow("no device");

  expect(device.journal.map(({ what }) => what)).toEqual(["write"]);
});

test("an abandoned segment leaves no footer", async () => {
  const device = new MemoryDevice(64);
  const writer = writerOn(device);
  writer.add(keyOf(1), 1n, undefined);

  await writer.abandon();

  expect(device.journal).toEqual([]);
});

test("keys that do not rise, values over 64 KiB, keys of a wrong length and empty segments are refused", async () => {
  const writer = writerOn(new MemoryDevice(64));

  expect(() => writer.add(keyOf(1), 1n, new Uint8Array(VALUE_BYTES_MAX + 1))).toThrow(RangeError);
  expect(() => writer.add(new Uint8Array(31), 1n, undefined)).toThrow(RangeError);
  await expect(writer.finish()).rejects.toThrow(RangeError);
  writer.add(keyOf(1), 1n, undefined);
  expect(() => writer.add(keyOf(1), 2n, undefined)).toThrow("rise strictly");
});

test(
  "a flipped bit in any byte of a segment is detected, never read as data",
  async () => {
    const device = new MemoryDevice(32);
    const items = [item(1, 1, 40), tombstone(2), item(3, 2, 5000)];
    const ref = await writeSegment(device, items);
    const readAll = async (): Promise<string[]> =>
      collect((await SegmentReader.open(device, FSID, ref)).cursor(EVERYTHING));

    const undetected: number[] = [];
    const usedBytes = ref.extent.lengthBlocks * 4096;
    for (let offset = 0; offset < usedBytes; offset += 1) {
      const bit = 1 << (offset % 8);
      device.bytes[offset] = (device.bytes[offset] as number) ^ bit;
      const outcome = await readAll().catch((error: unknown) => error);
      if (!(outcome instanceof StaleSegmentError)) undetected.push(offset);
      device.bytes[offset] = (device.bytes[offset] as number) ^ bit;
    }

    expect(undetected).toEqual([]);
    expect(await readAll()).toEqual(linesOf(items));
  },
  SLOW_MS,
);

test("an extent that was given to another segment is stale, whichever part of it was overwritten", async () => {
  const device = new MemoryDevice(64);
  const old = await writeSegment(
    device,
    numbers(400).map((number) => item(number)),
  );
  const reader = await SegmentReader.open(device, FSID, old);

  await writeSegment(
    device,
    numbers(400).map((number) => item(number, 2)),
    undefined,
    6n,
  );

  await expect(reader.get(keyOf(5))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_SEGMENT_STALE",
    category: "retry",
    facts: { segment: 5n },
  });
  await expect(collect(reader.stream(EVERYTHING))).rejects.toThrow(StaleSegmentError);
  await expect(SegmentReader.open(device, FSID, old)).rejects.toThrow(StaleSegmentError);
});

test("a segment of another volume, or one that the manifest describes otherwise, is stale", async () => {
  const device = new MemoryDevice(64);
  const ref = await writeSegment(device, [item(1), item(2)]);

  await expect(SegmentReader.open(device, 1n, ref)).rejects.toThrow(StaleSegmentError);
  await expect(SegmentReader.open(device, FSID, { ...ref, last: keyOf(9) })).rejects.toThrow(
    StaleSegmentError,
  );
  await expect(SegmentReader.open(device, FSID, { ...ref, id: 9n })).rejects.toThrow(StaleSegmentError);
});

test("the layouts that the manifest and the footer rely on have the documented sizes", () => {
  expect(SegmentRef.sizeBytes).toBe(149);
  expect(SegmentFooter.sizeBytes).toBe(128);
  expect(SegmentRef.table).toContain("   133     8  seqMax (u64)");
  expect(SegmentFooter.table).toContain("   112    16  tailHash (bytes(16))");
});
