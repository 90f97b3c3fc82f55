import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BLOCK_BYTES } from "@holdfast/environment";
import { FIRST_KEY, LAST_KEY, toHex } from "@holdfast/wire-format";
import {
  EntryBuilder,
  Journal,
  JournalDamagedError,
  JournalEntryHeader,
  JournalRegion,
  JournalWriteError,
  type ReplayedJournal,
  itemSizeBytes,
  parseJournalHalf,
  replayJournal,
  visitItems,
} from "../src/index.ts";
import { MemoryDevice } from "./simulated-ports.ts";
import { FSID, key } from "./world.ts";

const RID = 99n;
const REGION = {
  first: { start: 10n, lengthBlocks: 16 },
  second: { start: 40n, lengthBlocks: 16 },
};

interface Item {
  readonly name: string;
  readonly seq: bigint;
  readonly value: Uint8Array | undefined;
}

function journalOn(device: MemoryDevice): Journal {
  return new Journal({ device, fsid: FSID, rid: RID, region: REGION });
}

async function write(journal: Journal, ...items: Item[]): Promise<void> {
  journal.entry.begin(items.reduce((sum, { value }) => sum + itemSizeBytes(value), 0));
  for (const { name, seq, value } of items) journal.entry.add(key(name), seq, value);
  await journal.append();
}

function item(name: string, seq: bigint, value: number | undefined): Item {
  return { name, seq, value: value === undefined ? undefined : Uint8Array.of(value) };
}

function replay(device: MemoryDevice, sinceEpoch = 0n): Promise<ReplayedJournal> {
  return replayJournal({ device, fsid: FSID, rid: RID, region: REGION, sinceEpoch });
}

function found({ table }: ReplayedJournal): Record<string, number | undefined> {
  const items: Record<string, number | undefined> = {};
  const cursor = table.wholeCursor({ start: FIRST_KEY, end: LAST_KEY });
  while (cursor.nextSync()) {
    const { key: each, value } = cursor;
    items[String.fromCharCode(...each.subarray(10, 10 + (each[31] ?? 0)))] = value?.[0];
  }
  return items;
}

test("what was appended is replayed in order: the newest version of each key, tombstones included", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  await write(journal, item("a", 1n, 1), item("b", 1n, 2));
  await write(journal, item("a", 1n, 3), item("c", 1n, undefined));

  const replayed = await replay(device);

  expect(replayed.lastEpoch).toBe(1n);
  expect(found(replayed)).toEqual({ a: 3, b: 2, c: undefined });
});

test("both unrecorded epochs are replayed, a recorded one is not", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  await write(journal, item("a", 1n, 1));
  journal.rotate();
  await write(journal, item("b", 1n, 2));

  expect(found(await replay(device))).toEqual({ a: 1, b: 2 });
  expect(found(await replay(device, 1n))).toEqual({ b: 2 });
  expect(found(await replay(device, 2n))).toEqual({});
});

test("a half is not written again before its epoch is recorded", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  await write(journal, item("a", 1n, 1));
  journal.rotate();

  expect(() => journal.rotate()).toThrow("a half is reused only when its epoch is recorded");

  journal.recorded(1n);
  await write(journal, item("b", 1n, 2));
  journal.rotate();
  await write(journal, item("c", 2n, 3));
  expect(found(await replay(device, 1n))).toEqual({ b: 2, c: 3 });
});

test("entries of an older epoch behind the end of a newer one are not replayed", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  for (const name of ["a", "b", "c"]) await write(journal, item(name, 1n, 1));
  journal.rotate();
  await write(journal, item("d", 1n, 2));
  journal.recorded(1n);
  journal.rotate();
  await write(journal, item("e", 2n, 3));

  expect(found(await replay(device, 1n))).toEqual({ d: 2, e: 3 });
});

test("a torn last entry is no entry, at whatever byte it is torn", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  await write(journal, item("a", 1n, 1));
  const before = device.bytes.slice();
  await write(journal, { name: "b", seq: 1n, value: new Uint8Array(9000).fill(7) });
  const start = 11 * BLOCK_BYTES;

  for (let cut = 0; cut < 9100; cut += 607) {
    const torn = new MemoryDevice(0);
    Object.assign(torn, { bytes: device.bytes.slice() });
    torn.bytes.set(before.subarray(start + cut, start + 3 * BLOCK_BYTES), start + cut);
    expect(found(await replay(torn))).toEqual({ a: 1 });
  }
});

test("a damaged entry with a valid one behind it is an error, never a shorter journal", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  for (const name of ["a", "b", "c"]) await write(journal, item(name, 1n, 1));
  const damaged = 11 * BLOCK_BYTES + 70;
  device.bytes[damaged] = (device.bytes[damaged] ?? 0) ^ 1;

  await expect(replay(device)).rejects.toThrow(JournalDamagedError);
});

test("an epoch that is missing before a later one is an error", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  await write(journal, item("a", 1n, 1));
  journal.rotate();
  await write(journal, item("b", 1n, 2));
  device.bytes.fill(0, 10 * BLOCK_BYTES, 26 * BLOCK_BYTES);

  await expect(replay(device)).rejects.toThrow("epoch 1 is missing");
});

test("entries of another volume or of another member are not taken for one's own", async () => {
  const device = new MemoryDevice(1 << 20);
  await write(journalOn(device), item("a", 1n, 1));

  const half = device.bytes.slice(10 * BLOCK_BYTES, 26 * BLOCK_BYTES);

  expect(parseJournalHalf(half, { fsid: FSID, rid: RID }, 0n).entries).toHaveLength(1);
  expect(parseJournalHalf(half, { fsid: FSID + 1n, rid: RID }, 0n).entries).toHaveLength(0);
  expect(parseJournalHalf(half, { fsid: FSID, rid: RID + 1n }, 0n).entries).toHaveLength(0);
});

test("a failed write says that the outcome is unknown, and nothing can follow it", async () => {
  const device = new MemoryDevice(1 << 20);
  const journal = journalOn(device);
  device.onWrite = () => {
    throw new Error("pulled out");
  };

  await expect(write(journal, item("a", 1n, 1))).rejects.toThrow(JournalWriteError);
  device.onWrite = () => {};
  await expect(write(journal, item("a", 1n, 1))).rejects.toThrow("none after a failed one");
});

test("each group is one durable write of whole blocks", async () => {
  const device = new MemoryDevice(1 << 20);
  const writes: [bigint, number, boolean][] = [];
  device.onWrite = (block, bytes, { isDurable }) => writes.push([block, bytes.length, isDurable]);
  const journal = journalOn(device);

  await write(journal, item("a", 1n, 1), item("b", 1n, 1));
  await write(journal, { name: "c", seq: 1n, value: new Uint8Array(5000) });
  await write(journal, item("d", 1n, 1));

  expect(writes).toEqual([
    [10n, 4096, true],
    [11n, 8192, true],
    [13n, 4096, true],
  ]);
});

test("a flipped bit anywhere in an entry makes it no entry", () => {
  const builder = new EntryBuilder();
  builder.begin(itemSizeBytes(Uint8Array.of(1, 2, 3)) + itemSizeBytes(undefined));
  builder.add(key("a"), 3n, Uint8Array.of(1, 2, 3));
  builder.add(key("b"), 4n, undefined);
  const { block } = builder.finish({ fsid: FSID, rid: RID, epoch: 1n, index: 0, previous: 0 });
  const usedBits = 8 * (64 + 44 + 3 + 44);

  for (let bit = 0; bit < usedBits; bit += 1) {
    const flipped = block.slice();
    const at = bit >> 3;
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
    const { entries, strayBlock } = parseJournalHalf(flipped, { fsid: FSID, rid: RID }, 0n);
    expect(entries).toEqual([]);
    expect(strayBlock).toBeUndefined();
  }
});

test("an entry that names another predecessor than the one before it does not follow it", () => {
  const half = new Uint8Array(2 * BLOCK_BYTES);
  const place = { fsid: FSID, rid: RID, epoch: 1n, previous: 0 };
  for (const index of [0, 1]) {
    const builder = new EntryBuilder();
    builder.begin(itemSizeBytes(undefined));
    builder.add(key("a"), 3n, undefined);
    half.set(builder.finish({ ...place, index }).block, index * BLOCK_BYTES);
  }

  const parsed = parseJournalHalf(half, { fsid: FSID, rid: RID }, 0n);

  expect(parsed.entries).toHaveLength(1);
  expect(parsed.strayBlock).toBe(1);
});

test("no bytes make the parser throw, and what it accepts can be visited", () => {
  const header = fc.record({
    epoch: fc.bigInt(0n, 3n),
    index: fc.nat(2),
    length: fc.nat(9000),
    itemCount: fc.nat(5),
    previous: fc.nat(1),
  });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), header, (noise, fields) => {
      const half = new Uint8Array(2 * BLOCK_BYTES);
      const whole = { magic: 0x314a4648, fsid: FSID, rid: RID, reserved: new Uint8Array(16), ...fields };
      half.set(JournalEntryHeader.encode({ checksum: 0, ...whole }));
      half.set(noise, 64);
      const parsed = parseJournalHalf(half, { fsid: FSID, rid: RID }, 0n);
      for (const entry of parsed.entries) visitItems(half, entry, (each) => toHex(each));
      expect(parsed.usedBlocks).toBeLessThanOrEqual(2);
    }),
  );
});

test("an entry's header and a journal's place keep their bytes", () => {
  expect(JournalEntryHeader.sizeBytes).toBe(64);
  expect(toHex(JournalRegion.encode(REGION))).toBe("0a0000000000000010000000280000000000000010000000");
});

test("halves that are too small or too great are refused", () => {
  const device = new MemoryDevice(1 << 20);
  const region = { first: { start: 1n, lengthBlocks: 4 }, second: REGION.second };

  expect(() => new Journal({ device, fsid: FSID, rid: RID, region })).toThrow(RangeError);
});
