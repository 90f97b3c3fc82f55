/*
 * Segments: writing, looking up and merging sorted runs, on a file and without a member around them.
 */
import { join } from "node:path";
import { createVolumeFile, openBlockDevice } from "@holdfast/block-device";
import { type CompactionJob, runCompaction } from "@holdfast/compaction";
import { BLOCK_BYTES, type BlockDevice } from "@holdfast/environment";
import { nodeClock } from "@holdfast/platform-node";
import { KeyProbe, SEGMENT_BLOCKS, SegmentReader, type SegmentRef, SegmentWriter } from "@holdfast/segment";
import { measureRow, ratePerSecond, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import { seededNumbers, shuffled } from "../seeded.ts";
import type { SegmentsSizes } from "../sizes.ts";
import { mergePlainly } from "./plain-merge.ts";
import { makeRuns, type Run, SEQ } from "./runs.ts";

/** Runs that are merged, and the segments that the result may take. */
const RUNS = 4;
const OUTPUTS = 5;

const FSID = 7n;
const RID = 7n;

/** Measures the segments rows. */
export function measureSegments(sizes: SegmentsSizes, runs: number): Promise<readonly Row[]> {
  return withDirectory(async (directory) => {
    const path = join(directory, "segments");
    await createVolumeFile(path, BigInt((RUNS + OUTPUTS) * SEGMENT_BLOCKS * BLOCK_BYTES));
    const device = await openBlockDevice(path);
    try {
      return await rowsOn(device, sizes, runs);
    } finally {
      await device.close();
    }
  });
}

async function rowsOn(device: BlockDevice, sizes: SegmentsSizes, runs: number): Promise<readonly Row[]> {
  const input = makeRuns(RUNS, sizes.itemsPerSegment);
  const itemCount = RUNS * sizes.itemsPerSegment;
  const refs = await writeAll(device, input);
  const [ref] = refs;
  const [first] = input;
  if (ref === undefined || first === undefined) throw new Error("there is nothing to read");
  const reader = await SegmentReader.open(device, FSID, ref);
  const keys = drawKeys(first, sizes.gets);
  return [
    await measureRow({
      row: "segment written, with its flush",
      unit: "items/s",
      isLowerBetter: false,
      runs,
      ours: () =>
        ratePerSecond(itemCount, async () => {
          await writeAll(device, input);
        }),
      peers: {},
    }),
    await measureRow({
      row: "segment get, awaited, warm",
      unit: "items/s",
      isLowerBetter: false,
      runs,
      ours: () => ratePerSecond(keys.length, () => getAll(reader, keys)),
      peers: {},
    }),
    await measureRow({
      row: "segment get, synchronous, warm",
      unit: "items/s",
      isLowerBetter: false,
      runs,
      ours: () => ratePerSecond(keys.length, () => getAllNow(reader, keys)),
      peers: {},
    }),
    await measureRow({
      row: `merge of ${RUNS} segments, read and written`,
      unit: "items/s",
      isLowerBetter: false,
      runs,
      ours: () => mergeRate(device, refs, itemCount),
      peers: { "plain merge in memory": () => ratePerSecond(itemCount, () => void mergePlainly(input)) },
    }),
  ];
}

/** Each run into the extent of its number; the same bytes every time, so that references stay true. */
async function writeAll(device: BlockDevice, input: readonly Run[]): Promise<readonly SegmentRef[]> {
  const refs: SegmentRef[] = [];
  for (const [index, { keys, values }] of input.entries()) {
    const extent = extentOf(index);
    const id = BigInt(index + 1);
    const writer = new SegmentWriter({ device, fsid: FSID, writer: RID, term: 1n, id, level: 0, extent });
    keys.forEach((key, item) => {
      if (!writer.add(key, SEQ, values[item]))
        throw new RangeError("a run has more items than a segment takes");
    });
    // The manifest would give a newer segment the greater order.
    refs.push({ ...(await writer.finish()), order: id });
  }
  return refs;
}

async function mergeRate(
  device: BlockDevice,
  refs: readonly SegmentRef[],
  itemCount: number,
): Promise<number> {
  const job: CompactionJob = {
    id: 1n,
    upperLevel: 0,
    upper: refs.toReversed(),
    lower: [],
    isMove: false,
    dropTombstones: true,
    splitAfter: undefined,
    outputs: Array.from({ length: OUTPUTS }, (_, index) => ({
      id: BigInt(RUNS + index + 1),
      extent: extentOf(RUNS + index),
    })),
  };
  let merged = 0;
  const rate = await ratePerSecond(itemCount, async () => {
    const { outputs } = await runCompaction(job, {
      device,
      fsid: FSID,
      rid: RID,
      term: 1n,
      clock: nodeClock,
    });
    for (const output of outputs) merged += output.itemCount;
  });
  if (merged !== itemCount) throw new Error(`a merge gave ${merged} items instead of ${itemCount}`);
  return rate;
}

async function getAll(reader: SegmentReader, keys: readonly Uint8Array[]): Promise<void> {
  for (const key of keys)
    if ((await reader.get(key)) === undefined) throw new Error("a segment does not have its own key");
}

function getAllNow(reader: SegmentReader, keys: readonly Uint8Array[]): void {
  const probe = new KeyProbe();
  for (const key of keys) {
    const found = reader.tryGet(probe.set(key));
    if (found === "absent" || found === "unread") throw new Error(`a key that was read before is ${found}`);
  }
}

function drawKeys({ keys }: Run, count: number): readonly Uint8Array[] {
  const order = shuffled(seededNumbers(count), keys.length);
  return Array.from({ length: count }, (_, index) => keys[order[index % order.length] ?? 0] as Uint8Array);
}

function extentOf(index: number): { readonly start: bigint; readonly lengthBlocks: number } {
  return { start: BigInt(index * SEGMENT_BLOCKS), lengthBlocks: SEGMENT_BLOCKS };
}
