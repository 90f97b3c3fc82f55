/*
 * Renews the term slots, by the order of `renewal.ts`. The caller has made sure that every other process that may ever have claimed
 * a term is confirmed dead, and that the super block says durably that a renewal is under way.
 */
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
 * @throws DeviceError Something could not be written; run it again.
 */
export async function renewQuorum(
  region: QuorumRegion,
  ports: IoPorts,
  renewed: (payload: Uint8Array) => Promise<Uint8Array> = (payload) => Promise.resolve(payload),
): Promise<CommitRecord> {
  const next = nextGeneration(region);
  if (await isInUse(next, ports)) return readRecordToRenew(next, ports);
  await writeBlocks(renewalBlocks(next, "announce", new Uint8Array(0)), ports.device);
  const begun = await readFirstRecord(next, ports);
  const payload = begun?.payload ?? (await renewed((await readRecordToRenew(region, ports)).payload));
  for (const step of ["record", "record-copy", "rest"] as const)
    await writeBlocks(renewalBlocks(next, step, payload), ports.device);
  const record = await readFirstRecord(next, ports);
  if (record === undefined) throw corrupt(firstTerm(next), "the record that the renewal wrote is missing");
  return record;
}

/** True if a term behind the first of its generation has a record: nobody could begin one before the renewal was done. */
async function isInUse(region: QuorumRegion, ports: IoPorts): Promise<boolean> {
  const blocksCount = 2 * (region.termsMax - 1);
  for (const copy of [0, 1] as const) {
    for (let start = 0; start < blocksCount; start += SCAN_BLOCKS) {
      const address = recordBlock(region, firstTerm(region) + 1n, copy) + BigInt(start);
      const ranges = [{ address, count: Math.min(SCAN_BLOCKS, blocksCount - start) }];
      const { blocks } = await performRead({ type: "read-blocks", id: 1, ranges, attempt: 1 }, ports);
      for (const [index, block] of blocks.entries()) {
        const { state } = readSlot(region, address + BigInt(index), block);
        if (state === "record" || state === "misplaced") return true;
      }
    }
  }
  return false;
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
