/*
 * Renews the term slots, by the order of `renewal.ts`. The caller has made sure that every other process that may ever have claimed
 * a term is confirmed dead, and that the super block says durably that a renewal is under way.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset, DeviceError } from "@holdfast/environment";
import { countIds } from "../block-reading.ts";
import { CorruptionError } from "../errors.ts";
import { firstRecordHalf } from "../format.ts";
import type { CommitRecord } from "../record.ts";
import { RecordSearch } from "../record-search.ts";
import { firstTerm, lastTerm, type QuorumRegion, recordBlock } from "../region.ts";
import { nextGeneration, renewalBlocks } from "../renewal.ts";
import { readSlot } from "../slot.ts";
import { type IoPorts, performRead, runReading } from "./block-io.ts";
import { writeBlocks } from "./write-blocks.ts";

/** Blocks of records that are read at once: 1 MiB. */
const SCAN_BLOCKS = 256;

/**
 * The record that a renewal would go on from. Run it before anything is written: a volume whose newest record is damaged
 * must not be renewed.
 *
 * @throws CorruptionError `ERR_HOLDFAST_RECORD_CORRUPT`.
 */
export async function readRecordToRenew(region: QuorumRegion, ports: IoPorts): Promise<CommitRecord> {
  const search = new RecordSearch({ region }, countIds(), lastTerm(region));
  await runReading(search, ports);
  const { finding } = search;
  switch (finding.type) {
    case "found":
      return finding.record;
    case "corrupt":
      throw corrupt(finding.term, "both copies of a record are damaged");
    case "none":
      throw corrupt(firstTerm(region), "no record is left");
  }
}

/**
 * Takes the term slots of `region` to `nextGeneration(region)`; what `renewed` makes of the newest record's payload becomes that
 * generation's first record. Interrupted anywhere, it is to be run again with the same `region`. If it had come to its end, and the next generation is in
 * use, it changes nothing: only the word that it was done had been lost.
 *
 * @returns The record that the volume goes on from.
 * @throws CorruptionError `ERR_HOLDFAST_RECORD_CORRUPT`: the newest record is damaged; no record was touched.
 * @throws DeviceError Something could not be written, or read where it decides whether the next generation is in use; run it again.
 */
export async function renewQuorum(
  region: QuorumRegion,
  ports: IoPorts,
  renewed: (payload: Uint8Array) => Promise<Uint8Array> = (payload) => Promise.resolve(payload),
): Promise<CommitRecord> {
  const next = nextGeneration(region);
  if (await isInUse(region, next, ports)) return readRecordToRenew(next, ports);
  await writeBlocks(renewalBlocks(next, "announce", new Uint8Array(0)), ports.device);
  const begun = await readFirstRecord(next, ports);
  const payload = begun?.payload ?? (await renewed((await readRecordToRenew(region, ports)).payload));
  for (const step of ["record", "record-copy", "rest"] as const)
    await writeBlocks(renewalBlocks(next, step, payload), ports.device);
  const record = await readFirstRecord(next, ports);
  if (record === undefined) throw corrupt(firstTerm(next), "the record that the renewal wrote is missing");
  return record;
}

/**
 * True if a term behind the first of the next generation has a record: nobody could begin one before the renewal was done.
 *
 * A record that was answered stands in both copies, so one copy that can be read is enough to know.
 *
 * @throws DeviceError `ERR_HOLDFAST_DEVICE_READ`: it cannot be known.
 */
async function isInUse(former: QuorumRegion, next: QuorumRegion, ports: IoPorts): Promise<boolean> {
  const blocksCount = 2 * (next.termsMax - 1);
  let unknown: bigint | undefined;
  for (let start = 0; start < blocksCount; start += SCAN_BLOCKS) {
    const count = Math.min(SCAN_BLOCKS, blocksCount - start);
    const ranges = ([0, 1] as const).map((copy) => ({
      address: recordBlock(next, firstTerm(next) + 1n, copy) + BigInt(start),
      count,
    }));
    const { blocks } = await performRead({ type: "read-blocks", id: 1, ranges, attempt: 1 }, ports);
    for (let index = 0; index < count; index += 1) {
      const copies = ranges.map(({ address }, copy) => {
        return { address: address + BigInt(index), block: blocks[copy * count + index] };
      });
      const states = new Set(copies.map(({ address, block }) => readSlot(next, address, block).state));
      if (states.has("record") || states.has("misplaced")) return true;
      const refused = copies.find(({ block }) => block === undefined);
      if (refused === undefined || states.has("pristine") || copies.some((copy) => isOf(former, copy)))
        continue;
      unknown ??= refused.address;
    }
  }
  if (unknown !== undefined) throw unreadable(unknown, ports.device);
  return false;
}

/** True if a block is sound and of that generation. */
function isOf(
  region: QuorumRegion,
  { address, block }: { readonly address: bigint; readonly block: Uint8Array | undefined },
): boolean {
  return readSlot(region, address, block).state !== "unreadable";
}

/** The first record of a generation, if either copy of it is whole. */
async function readFirstRecord(region: QuorumRegion, ports: IoPorts): Promise<CommitRecord | undefined> {
  const half = BigInt(firstRecordHalf(region));
  const ranges = ([0, 1] as const).map((copy) => ({
    address: recordBlock(region, firstTerm(region), copy) + half,
    count: 1,
  }));
  const { blocks } = await performRead({ type: "read-blocks", id: 1, ranges, attempt: 1 }, ports);
  for (const [index, { address }] of ranges.entries()) {
    const slot = readSlot(region, address, blocks[index]);
    if (slot.state === "record") return slot.record;
  }
  return undefined;
}

function corrupt(term: bigint, what: string): CorruptionError {
  const message = `${what} in term ${term}; a renewal now could bring back an older state`;
  return new CorruptionError("ERR_HOLDFAST_RECORD_CORRUPT", message, term);
}

function unreadable(block: bigint, { url }: BlockDevice): DeviceError {
  return new DeviceError(
    "ERR_HOLDFAST_DEVICE_READ",
    `device ${url} refuses to read block ${block}, and no copy says whether the renewed terms are in use already: a renewal now ` +
      "could bring back an older state; copy the device to a sound one, then run the renewal there",
    { device: url, offsetBytes: blockOffset(block), lengthBytes: BLOCK_BYTES },
  );
}
