/*
 * Reads back what a dead member had acknowledged: every item of the epochs that were not recorded.
 *
 * A group that was written but not acknowledged may be among them; that is as good as having been acknowledged. A
 * torn last entry is no entry. But an epoch, or an entry within one, that later ones prove to have been there and
 * that is not, is an error and never a shorter journal: what was acknowledged would be lost in silence.
 */
import { BLOCK_BYTES, type BlockDevice, MIB, blockOffset } from "@holdfast/environment";
import type { Key } from "@holdfast/wire-format";
import { JournalDamagedError } from "./errors.ts";
import { ItemTable } from "./item-table.ts";
import { JOURNAL_HALF_BLOCKS_MAX, type JournalHalf, type JournalRegion } from "./journal.ts";
import { type ParsedHalf, parseJournalHalf, visitItems } from "./journal-format.ts";

/** Bytes of one read of a replay. */
const READ_BYTES: number = MIB;

/** Whose journal to replay, and from where. */
export interface JournalReplay {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** The dead member. */
  readonly rid: bigint;
  readonly region: JournalRegion;
  /** Last epoch that the committed state has; only later ones are replayed. */
  readonly sinceEpoch: bigint;
}

/** What a journal held beyond what was recorded. */
export interface ReplayedJournal {
  /** The newest epoch found; `sinceEpoch` if none is newer. Record the segments under it. */
  readonly lastEpoch: bigint;
  /** The items, newest version of each key, ready to be written as segments in key order. */
  readonly table: ItemTable;
}

/**
 * Reads a journal. Changes nothing, so it can be repeated.
 *
 * @throws {@link JournalDamagedError} `ERR_HOLDFAST_JOURNAL_DAMAGED` when an acknowledged entry is missing.
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_READ` when the device cannot be read.
 */
export async function replayJournal(replay: JournalReplay): Promise<ReplayedJournal> {
  const { region, sinceEpoch } = replay;
  const halves = await Promise.all([openHalf(replay, region.first), openHalf(replay, region.second)]);
  const unrecorded = halves
    .filter(({ parsed }) => parsed.epoch > sinceEpoch)
    .sort((a, b) => (a.parsed.epoch < b.parsed.epoch ? -1 : 1));
  const table = new ItemTable();
  let lastEpoch = sinceEpoch;
  for (const { bytes, half, parsed } of unrecorded) {
    if (parsed.epoch !== lastEpoch + 1n)
      throw new JournalDamagedError(`epoch ${lastEpoch + 1n} is missing`, parsed.epoch, half.start);
    lastEpoch = parsed.epoch;
    for (const entry of parsed.entries)
      visitItems(bytes, entry, (key, seq, value) => putNewest(table, key, seq, value));
  }
  return { lastEpoch, table };
}

interface OpenedHalf {
  readonly half: JournalHalf;
  readonly bytes: Uint8Array;
  readonly parsed: ParsedHalf;
}

async function openHalf(replay: JournalReplay, half: JournalHalf): Promise<OpenedHalf> {
  if (half.lengthBlocks > JOURNAL_HALF_BLOCKS_MAX)
    throw new RangeError(`half a journal has at most ${JOURNAL_HALF_BLOCKS_MAX} blocks`);
  const bytes = new Uint8Array(half.lengthBlocks * BLOCK_BYTES);
  for (let offset = 0; offset < bytes.length; offset += READ_BYTES) {
    const into = bytes.subarray(offset, Math.min(bytes.length, offset + READ_BYTES));
    await replay.device.read(blockOffset(half.start) + BigInt(offset), into);
  }
  const parsed = parseJournalHalf(bytes, replay, replay.sinceEpoch);
  if (parsed.strayBlock !== undefined) {
    throw new JournalDamagedError(
      `an entry at block ${parsed.usedBlocks} of a half is not valid, but one behind it is`,
      parsed.epoch,
      half.start + BigInt(parsed.usedBlocks),
    );
  }
  return { half, bytes, parsed };
}

/** Newest `seq` wins; of equal ones, which have the same lock grant, the later. */
function putNewest(table: ItemTable, key: Key, seq: bigint, value: Uint8Array | undefined): void {
  const row = table.find(key);
  if (row < 0 || table.seqAt(row) <= seq) table.put(key, seq, value);
}
