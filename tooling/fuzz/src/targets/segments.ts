/*
 * Segments on a device that damages them: a reader finds what was written, or says that the segment is stale.
 */
import { type BlockDevice, BLOCK_BYTES } from "@holdfast/environment";
import { SegmentReader, type SegmentRef, SegmentWriter } from "@holdfast/segment";
import { compareBytes, equalBytes } from "@holdfast/wire-format";
import { FindingError, type FuzzTarget, isRefusal, type Verdict } from "../target.ts";
import { FSID, sampleKey } from "./samples.ts";

const EXTENT = { start: 0n, lengthBlocks: 24 };
const ITEMS = 200;

/** The targets of this file. */
export async function segmentTargets(): Promise<readonly FuzzTarget[]> {
  const image = new Uint8Array(EXTENT.lengthBlocks * BLOCK_BYTES);
  const ref = await writeSegment(image);
  return [
    {
      name: "damaged segments",
      weight: 2,
      seeds: [image],
      isFixedLength: true,
      feed: (input, entropy) => read(input, ref, entropy % ITEMS),
    },
  ];
}

async function read(input: Uint8Array, ref: SegmentRef, number: number): Promise<Verdict> {
  try {
    const reader = await SegmentReader.open(imageDevice(input), FSID, ref);
    const item = await reader.get(sampleKey(number));
    if (item?.value === undefined || !equalBytes(item.value, valueOf(number)))
      throw new FindingError(`item ${number} of a damaged segment is another one`);
    await walk(reader);
    return "accepted";
  } catch (error) {
    if (isRefusal(error)) return "refused";
    throw error;
  }
}

/** Keys rise, and none is missing. */
async function walk(reader: SegmentReader): Promise<void> {
  const cursor = reader.cursor({ start: sampleKey(0), end: sampleKey(ITEMS) });
  let [count, previous] = [0, sampleKey(0)];
  while (await cursor.next()) {
    if (count > 0 && compareBytes(previous, cursor.key) >= 0) throw new FindingError("keys out of order");
    previous = cursor.key.slice();
    count += 1;
  }
  if (count !== ITEMS) throw new FindingError(`a damaged segment shows ${count} items of ${ITEMS}`);
}

async function writeSegment(image: Uint8Array): Promise<SegmentRef> {
  const writer = new SegmentWriter({
    device: imageDevice(image),
    fsid: FSID,
    writer: 5n,
    term: 1n,
    id: 9n,
    level: 1,
    extent: EXTENT,
  });
  for (let number = 0; number < ITEMS; number += 1) writer.add(sampleKey(number), 3n, valueOf(number));
  return writer.finish();
}

function valueOf(number: number): Uint8Array {
  return new Uint8Array(number % 300).fill(number);
}

/** A device over bytes in memory that nobody else changes. */
function imageDevice(image: Uint8Array): BlockDevice {
  return {
    url: "memory:fuzz",
    sizeBytes: BigInt(image.length),
    sectorBytes: BLOCK_BYTES,
    isLocal: true,
    read: (offsetBytes, into) => {
      into.set(image.subarray(Number(offsetBytes), Number(offsetBytes) + into.length));
      return Promise.resolve();
    },
    write: (offsetBytes, bytes) => {
      image.set(bytes, Number(offsetBytes));
      return Promise.resolve();
    },
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
