import { FreeSpace } from "@holdfast/alloc-extent";
import { BTree } from "@holdfast/btree";
import { BLOCK_BYTES, MIB } from "@holdfast/environment";
import { formatQuorum, readNewestRecord } from "@holdfast/quorum";
import { expect, test } from "vitest";
import {
  NodeStore,
  SPARES_MAX,
  SUPER_BLOCK,
  VOLUME_FORMAT_HASH,
  VolumeError,
  VolumeState,
  formatVolume,
  layoutFor,
  readSuper,
} from "../../src/index.ts";
import { sizesFor } from "../../src/volume/sizes.ts";
import { ManualClock } from "@holdfast/memory-ports";
import { MemoryDevice } from "../world/memory-device.ts";
import { SeededRandom } from "@holdfast/memory-ports";

const DEVICE_BYTES = 16 * MIB;
const OPTIONS = { label: "test", votes: 1 };

test("a formatted device is a volume with the label, the votes and the terms that were asked for", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);

  const made = await formatVolume(device, { label: "books", votes: 3, termsMax: 20 }, new SeededRandom(1));

  const { superBlock, damagedCopies } = await readSuper(device, VOLUME_FORMAT_HASH);
  expect(superBlock).toEqual(made);
  expect(superBlock).toMatchObject({ label: "books", votes: 3, termsMax: 20, blockCount: 4096n });
  expect(damagedCopies).toEqual([]);
});

test("two volumes have neither an identity nor a key in common", async () => {
  const random = new SeededRandom(1);
  const first = await formatVolume(new MemoryDevice(DEVICE_BYTES), OPTIONS, random);
  const second = await formatVolume(new MemoryDevice(DEVICE_BYTES), OPTIONS, random);

  expect(first.fsid).not.toBe(second.fsid);
  expect(first.fsid).not.toBe(0n);
  expect(first.key).not.toEqual(second.key);
});

test("hints, slots and records are exactly what the quorum wants of a fresh region, whatever stood there", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);
  device.bytes.fill(0xa5);
  const { fsid } = await formatVolume(device, OPTIONS, new SeededRandom(1));
  const region = { fsid, ...layoutFor(device.sizeBytes).quorum };
  const record = await readNewestRecord(region, { device, clock: new ManualClock() });

  expect(record).toMatchObject({ term: 1n, seq: 1n, writer: 0n, address: "" });
  const blocks = [...formatQuorum(region, record?.payload ?? new Uint8Array(0))];
  expect(blocks.length).toBe(region.hintsCount + 6 * region.termsMax);
  const other = blocks.filter(({ address, block }) => Buffer.compare(device.block(address), block) !== 0);
  expect(other.map(({ address }) => address)).toEqual([]);
});

test("every block of the data is free, a spare, or the one node of the free space", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);
  const { fsid } = await formatVolume(device, OPTIONS, new SeededRandom(1));
  const layout = layoutFor(device.sizeBytes);
  const { freeRoot, free, spares, ...rest } = await stateOf(device, fsid);
  const { grantBlocks } = sizesFor(layout.dataCount);

  expect(spares.length).toBe(SPARES_MAX);
  let next = layout.dataBlock + 1n;
  for (const { start, lengthBlocks } of spares) {
    expect([start, lengthBlocks]).toEqual([next, grantBlocks]);
    next += BigInt(lengthBlocks);
  }
  expect(freeRoot.address).toBe(layout.dataBlock);
  const space = new FreeSpace(
    new BTree(freeRoot, new NodeStore(device, fsid)),
    { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) },
    free,
  );
  await space.verify();
  const lengthBlocks = Number(layout.dataBlock + layout.dataCount - next);
  expect(await collect(space.extents())).toEqual([{ start: next, lengthBlocks }]);
  expect(free).toEqual({ freeBlocks: lengthBlocks, extentCount: 1, cursor: next });
  expect(rest).toMatchObject({
    isResigned: true,
    metadataGrants: [],
    orphans: [],
    nextMember: 1,
    nextJob: 1n,
  });
});

test("nothing is written outside the areas of the layout", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);
  device.bytes.fill(0xa5);
  await formatVolume(device, OPTIONS, new SeededRandom(1));

  expect(device.bytes.subarray(0, Number(SUPER_BLOCK) * BLOCK_BYTES).every((byte) => byte === 0xa5)).toBe(
    true,
  );
  const { dataBlock, dataCount } = layoutFor(device.sizeBytes);
  const start = Number(dataBlock + 1n) * BLOCK_BYTES;
  const end = Number(dataBlock + dataCount) * BLOCK_BYTES;
  expect(device.bytes.subarray(start, end).every((byte) => byte === 0xa5)).toBe(true);
});

test.each([
  ["no votes", { ...OPTIONS, votes: 0 }],
  ["too many votes", { ...OPTIONS, votes: 65 }],
  ["half a vote", { ...OPTIONS, votes: 1.5 }],
  ["a label that is too long", { ...OPTIONS, label: "ö".repeat(33) }],
  ["one term", { ...OPTIONS, termsMax: 1 }],
  ["half a term", { ...OPTIONS, termsMax: 2.5 }],
  ["more terms than there is room for", { ...OPTIONS, termsMax: 10_000 }],
])("%s: refused before anything is written", async (_, options) => {
  const device = new MemoryDevice(DEVICE_BYTES);

  await expect(formatVolume(device, options, new SeededRandom(1))).rejects.toBeInstanceOf(RangeError);

  expect(device.writeCount).toBe(0);
});

test("a device that is too small is refused before anything is written", async () => {
  const device = new MemoryDevice(DEVICE_BYTES - BLOCK_BYTES);

  await expect(formatVolume(device, OPTIONS, new SeededRandom(1))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_TOO_SMALL",
  });
  expect(device.writeCount).toBe(0);
});

test("mkfs that dies before the super blocks leaves no volume behind, neither the new one nor the one before", async () => {
  const old = new MemoryDevice(DEVICE_BYTES);
  await formatVolume(old, OPTIONS, new SeededRandom(1));
  const whole = new MemoryDevice(DEVICE_BYTES);
  await formatVolume(whole, OPTIONS, new SeededRandom(2));
  const writes = whole.writeCount;

  for (let survived = 2; survived < writes - 1; survived += 1) {
    const device = new MemoryDevice(DEVICE_BYTES);
    device.bytes.set(old.bytes);
    dieAfter(device, survived);
    await expect(formatVolume(device, OPTIONS, new SeededRandom(2))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_WRITE",
    });

    await expect(readSuper(device, VOLUME_FORMAT_HASH)).rejects.toBeInstanceOf(VolumeError);
  }
});

test("mkfs that dies between the super blocks has made the whole volume", async () => {
  const whole = new MemoryDevice(DEVICE_BYTES);
  await formatVolume(whole, OPTIONS, new SeededRandom(2));
  const device = new MemoryDevice(DEVICE_BYTES);
  dieAfter(device, whole.writeCount - 1);
  await expect(formatVolume(device, OPTIONS, new SeededRandom(2))).rejects.toThrow("refused");

  const { superBlock, damagedCopies } = await readSuper(device, VOLUME_FORMAT_HASH);

  expect(damagedCopies).toEqual([superBlock.blockCount - 1n]);
  await expect(stateOf(device, superBlock.fsid)).resolves.toMatchObject({ isResigned: true });
});

test("progress rises to one", async () => {
  const shares: number[] = [];
  const onProgress = (share: number): void => {
    shares.push(share);
  };

  await formatVolume(new MemoryDevice(DEVICE_BYTES), { ...OPTIONS, onProgress }, new SeededRandom(1));

  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  expect(shares.at(-1)).toBe(1);
  expect(shares.length).toBeGreaterThan(2);
});

function dieAfter(device: MemoryDevice, writes: number): void {
  device.onWrite = () => {
    if (device.writeCount > writes) throw new Error("the process died");
  };
}

async function stateOf(device: MemoryDevice, fsid: bigint): Promise<VolumeState> {
  const region = { fsid, ...layoutFor(device.sizeBytes).quorum };
  const record = await readNewestRecord(region, { device, clock: new ManualClock() });
  return VolumeState.decode(record?.payload ?? new Uint8Array(0));
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of source) found.push(item);
  return found;
}
