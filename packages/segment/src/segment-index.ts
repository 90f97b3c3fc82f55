/*
 * Footer, index and filter of one segment, read and verified when it is opened and kept in memory.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset } from "@holdfast/environment";
import {
  BlockError,
  BlockType,
  compareBytes,
  equalBytes,
  hash128,
  openReferencedBlock,
} from "@holdfast/wire-format";
import { StaleSegmentError } from "./errors.ts";
import { filterMayHold } from "./filter.ts";
import { INDEX_ENTRY_BYTES, SegmentFooter, type SegmentRef } from "./format.ts";
import { type KeyProbe, compareKeysAt, sharedPrefixAt } from "./key-probe.ts";

/** Blocks read together with the footer; the tail of a full segment mostly fits. */
const TAIL_GUESS_BLOCKS = 16;

/** One entry of the index. */
export interface IndexEntry {
  /** Where the data block starts, in blocks from the start of the extent. */
  readonly startBlock: number;
  readonly lengthBlocks: number;
  readonly itemCount: number;
  readonly checksum: number;
}

/** Index and filter. */
export class SegmentIndex {
  /** Data blocks of the segment. */
  readonly count: number;
  readonly #tail: DataView;
  readonly #filterOffset: number;
  readonly #filterBytes: number;
  readonly #bounds: DataView;
  readonly #prefix: number;

  constructor(footer: SegmentFooter, tail: Uint8Array) {
    this.count = footer.indexCount;
    this.#tail = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
    this.#filterOffset = footer.indexCount * INDEX_ENTRY_BYTES;
    this.#filterBytes = footer.filterBytes;
    this.#bounds = new DataView(new ArrayBuffer(64));
    new Uint8Array(this.#bounds.buffer).set(footer.first);
    new Uint8Array(this.#bounds.buffer).set(footer.last, 32);
    this.#prefix = sharedPrefixAt(this.#bounds, 0, this.#bounds, 32);
  }

  /** Bytes it keeps in memory. */
  get sizeBytes(): number {
    return this.#tail.byteLength;
  }

  /** False: the key is certainly not in the segment. */
  mayHold(probe: KeyProbe): boolean {
    return (
      compareKeysAt(this.#bounds, 0, probe.view, 0, 0) <= 0 &&
      compareKeysAt(probe.view, 0, this.#bounds, 32, 0) <= 0 &&
      filterMayHold(this.#tail, this.#filterOffset, this.#filterBytes, probe.hash)
    );
  }

  /** Number of the data block that holds the key if any does; −1 when the key lies before the segment. */
  blockOf(key: DataView): number {
    if (compareKeysAt(key, 0, this.#bounds, 0, 0) < 0) return -1;
    if (compareKeysAt(key, 0, this.#bounds, 32, 0) >= 0) return this.count - 1;
    // Between the bounds, so it shares their prefix.
    const prefix = this.#prefix;
    const head = key.getUint32(prefix);
    let low = 0;
    let high = this.count;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const entry = middle * INDEX_ENTRY_BYTES;
      const entryHead = this.#tail.getUint32(entry + prefix);
      const isAfter =
        entryHead === head ? compareKeysAt(this.#tail, entry, key, 0, prefix + 4) > 0 : entryHead > head;
      if (isAfter) high = middle;
      else low = middle;
    }
    return low;
  }

  /** Entry of data block `number`. */
  entry(number: number): IndexEntry {
    const offset = number * INDEX_ENTRY_BYTES;
    return {
      startBlock: this.#tail.getUint32(offset + 32, true),
      lengthBlocks: this.#tail.getUint32(offset + 36, true),
      itemCount: this.#tail.getUint32(offset + 40, true),
      checksum: this.#tail.getUint32(offset + 44, true),
    };
  }
}

/**
 * Reads footer, index and filter, mostly in one read.
 *
 * @throws {@link StaleSegmentError} when the extent holds something else.
 */
export async function readSegmentIndex(
  device: BlockDevice,
  fsid: bigint,
  ref: SegmentRef,
): Promise<SegmentIndex> {
  const guessBlocks = Math.min(TAIL_GUESS_BLOCKS, ref.extent.lengthBlocks);
  const end = new Uint8Array(guessBlocks * BLOCK_BYTES);
  const endStart = ref.extent.lengthBlocks - guessBlocks;
  await device.read(blockOffset(ref.extent.start + BigInt(endStart)), end);
  const footer = openFooter(end.subarray(end.length - BLOCK_BYTES), fsid, ref);
  const tailBytes = (ref.extent.lengthBlocks - 1 - footer.dataBlocks) * BLOCK_BYTES;
  const tail = new Uint8Array(tailBytes);
  const missing = Math.max(0, endStart - footer.dataBlocks) * BLOCK_BYTES;
  const tailStart = ref.extent.start + BigInt(footer.dataBlocks);
  if (missing > 0) await device.read(blockOffset(tailStart), tail.subarray(0, missing));
  tail.set(end.subarray(end.length - BLOCK_BYTES - (tailBytes - missing), end.length - BLOCK_BYTES), missing);
  if (!equalBytes(hash128(tail), footer.tailHash)) {
    throw new StaleSegmentError(`index of segment ${ref.id} does not match its footer`, {
      segment: ref.id,
      block: tailStart,
    });
  }
  return new SegmentIndex(footer, tail);
}

function openFooter(block: Uint8Array, fsid: bigint, ref: SegmentRef): SegmentFooter {
  const { payload } = openFooterBlock(block, fsid, ref);
  const footer = SegmentFooter.decode(payload);
  const isMeant =
    footer.id === ref.id &&
    footer.extent.start === ref.extent.start &&
    footer.extent.lengthBlocks === ref.extent.lengthBlocks &&
    compareBytes(footer.first, ref.first) === 0 &&
    compareBytes(footer.last, ref.last) === 0;
  if (!isMeant) {
    throw new StaleSegmentError(`the manifest describes segment ${ref.id} otherwise than its footer does`, {
      segment: ref.id,
      block: ref.footer.address,
    });
  }
  return footer;
}

function openFooterBlock(block: Uint8Array, fsid: bigint, ref: SegmentRef): { readonly payload: Uint8Array } {
  try {
    return openReferencedBlock(block, ref.footer, { fsid, types: [BlockType.segmentFooter] });
  } catch (cause) {
    if (!(cause instanceof BlockError)) throw cause;
    throw new StaleSegmentError(
      `segment ${ref.id} is not where the manifest says: ${cause.message}`,
      { segment: ref.id, block: ref.footer.address },
      { cause },
    );
  }
}
