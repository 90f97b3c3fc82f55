/*
 * A member's journal: a region of two halves, written round and round, one epoch per half.
 *
 * The rules that make an acknowledged group survive:
 *
 *   1. One durable write at a time; the next begins only when the one before is on stable storage.
 *   2. A half is written again only when the epoch that stands in it is recorded, that is, when its items are in
 *      segments of a committed manifest.
 *   3. A write that failed is the last: nobody can tell what of it will be on the device, or when.
 *
 * Who calls decides about epochs; nothing here waits for one.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset, invariant } from "@holdfast/environment";
import { type StructCodec, struct, u32, u64 } from "@holdfast/wire-format";
import { JournalWriteError } from "./errors.ts";
import { EntryBuilder, JOURNAL_ENTRY_BYTES_MAX, entrySizeBlocks } from "./journal-format.ts";

/** A run of blocks of the journal. */
export interface JournalHalf {
  /** Number of its first block. */
  readonly start: bigint;
  readonly lengthBlocks: number;
}

/** Where a member's journal is: granted to it alone until it has left or is confirmed dead. */
export interface JournalRegion {
  /** Holds the odd epochs. */
  readonly first: JournalHalf;
  /** Holds the even epochs. */
  readonly second: JournalHalf;
}

/** Layout of one half's place. */
export const JournalHalf: StructCodec<JournalHalf> = struct("JournalHalf", { start: u64, lengthBlocks: u32 });

/** Layout of a journal's place, for the member's record at the server. */
export const JournalRegion: StructCodec<JournalRegion> = struct("JournalRegion", {
  first: JournalHalf,
  second: JournalHalf,
});

/** Blocks in the smallest useful half: the longest transaction fits whatever else happens. */
export const JOURNAL_HALF_BLOCKS_MIN: number = 16;

/** Blocks in the greatest half, 64 MiB: a replay holds a half in memory. */
export const JOURNAL_HALF_BLOCKS_MAX = 16_384;

/** The half of the region where an epoch stands. */
export function halfOfEpoch(region: JournalRegion, epoch: bigint): JournalHalf {
  return epoch % 2n === 1n ? region.first : region.second;
}

/** Bytes of items that one entry can have in this region. */
export function entryItemsBytesMax(region: JournalRegion): number {
  const halfBytes = Math.min(region.first.lengthBlocks, region.second.lengthBlocks) * BLOCK_BYTES;
  return Math.min(JOURNAL_ENTRY_BYTES_MAX, halfBytes) - 64;
}

/** The journal of one member while it lives. */
export class Journal {
  /** Where the next entry is built; `begin` it, `add` its items, then {@link append}. */
  readonly entry: EntryBuilder = new EntryBuilder();
  readonly #device: BlockDevice;
  readonly #fsid: bigint;
  readonly #rid: bigint;
  readonly #region: JournalRegion;
  #epoch = 1n;
  #recordedEpoch = 0n;
  #index = 0;
  #previous = 0;
  #usedBlocks = 0;
  #isWriting = false;

  /**
   * A journal that nothing was written to under this rid.
   *
   * @throws RangeError when a half is smaller or greater than the limits.
   */
  constructor(options: {
    readonly device: BlockDevice;
    readonly fsid: bigint;
    readonly rid: bigint;
    readonly region: JournalRegion;
  }) {
    for (const { lengthBlocks } of [options.region.first, options.region.second]) {
      if (lengthBlocks < JOURNAL_HALF_BLOCKS_MIN || lengthBlocks > JOURNAL_HALF_BLOCKS_MAX)
        throw new RangeError(
          `half a journal has ${JOURNAL_HALF_BLOCKS_MIN} to ${JOURNAL_HALF_BLOCKS_MAX} blocks, not ${lengthBlocks}`,
        );
    }
    this.#device = options.device;
    this.#fsid = options.fsid;
    this.#rid = options.rid;
    this.#region = options.region;
  }

  /** The epoch that is being written, from 1. */
  get epoch(): bigint {
    return this.#epoch;
  }

  /** The last epoch whose items are in a committed manifest; 0 before the first. */
  get recordedEpoch(): bigint {
    return this.#recordedEpoch;
  }

  /** Blocks left in the present half. */
  get freeBlocks(): number {
    return halfOfEpoch(this.#region, this.#epoch).lengthBlocks - this.#usedBlocks;
  }

  /** An eighth of the present half, in blocks: when less is left it is time to record the epoch. */
  get reserveBlocks(): number {
    return halfOfEpoch(this.#region, this.#epoch).lengthBlocks / 8;
  }

  /** True when less than {@link reserveBlocks} are left. */
  get isNearlyFull(): boolean {
    return this.freeBlocks < this.reserveBlocks;
  }

  /** True if an entry with so many bytes of items fits the present half and leaves `reserveBlocks` of it free. */
  hasRoom(itemsBytes: number, reserveBlocks = 0): boolean {
    return entrySizeBlocks(itemsBytes) + reserveBlocks <= this.freeBlocks;
  }

  /**
   * Writes the entry that was built; resolves when it is on stable storage.
   *
   * @throws {@link JournalWriteError} `ERR_HOLDFAST_JOURNAL_WRITE`: the outcome is unknown and nothing may follow.
   */
  async append(): Promise<void> {
    invariant(!this.#isWriting, "one journal entry is written at a time, and none after a failed one");
    const { block, checksum } = this.entry.finish({
      fsid: this.#fsid,
      rid: this.#rid,
      epoch: this.#epoch,
      index: this.#index,
      previous: this.#previous,
    });
    const address = halfOfEpoch(this.#region, this.#epoch).start + BigInt(this.#usedBlocks);
    const lengthBlocks = block.length / BLOCK_BYTES;
    invariant(lengthBlocks <= this.freeBlocks, "a journal entry stays within its half");
    this.#isWriting = true;
    try {
      await this.#device.write(blockOffset(address), block, { isDurable: true });
    } catch (cause) {
      throw new JournalWriteError(this.#epoch, address, { cause });
    }
    this.#isWriting = false;
    this.#usedBlocks += lengthBlocks;
    this.#index += 1;
    this.#previous = checksum;
  }

  /** Turns to the other half, under the next epoch; the epoch that stood there must be recorded. */
  rotate(): void {
    invariant(!this.#isWriting, "the journal does not turn while an entry is written");
    invariant(this.#recordedEpoch === this.#epoch - 1n, "a half is reused only when its epoch is recorded");
    this.#epoch += 1n;
    this.#index = 0;
    this.#previous = 0;
    this.#usedBlocks = 0;
  }

  /** Takes note that the items of `epoch` are in a committed manifest. */
  recorded(epoch: bigint): void {
    invariant(epoch === this.#recordedEpoch + 1n && epoch < this.#epoch, "epochs are recorded in order");
    this.#recordedEpoch = epoch;
  }
}
