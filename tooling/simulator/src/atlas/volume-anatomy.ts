/*
 * What stands where on a volume of ours, by the newest committed record.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import { entrySizeBlocks, JournalEntryHeader } from "@holdfast/item-store";
import type { VolumeLayout } from "@holdfast/member";
import { placeOf, type QuorumRegion, readSlot, recordBlock, splitterBlock } from "@holdfast/quorum";
import { BlockType } from "@holdfast/wire-format";
import { isJournalEntry, sealedHeader } from "../scenario/write-kinds.ts";
import { type BlockRun, endOf } from "../shadow/block-runs.ts";
import type { CommittedVolume } from "../shadow/shadow-map.ts";
import type { Medium } from "../world/medium.ts";
import type { Anatomy, Place, PlaceKind } from "./anatomy.ts";

/** What an anatomy works with. */
export interface VolumeAnatomyOptions {
  readonly layout: VolumeLayout;
  readonly region: QuorumRegion;
  readonly medium: Medium;
  /** The newest committed record; undefined before the first. */
  readonly newest: () => CommittedVolume | undefined;
}

/** First block of the super blocks. */
const SUPER_BLOCK = 16n;

/** Records and marks of so many terms before the newest are worth damaging. */
const TERMS_BACK = 3n;

/** Marks of so many terms behind the newest. */
const TERMS_AHEAD = 3n;

/** Knows a volume. */
export class VolumeAnatomy implements Anatomy {
  readonly #options: VolumeAnatomyOptions;

  constructor(options: VolumeAnatomyOptions) {
    this.#options = options;
  }

  placeOf(block: bigint): Place | undefined {
    const { layout, region } = this.#options;
    if (block === SUPER_BLOCK) return { kind: "super", copy: 0 };
    if (block === layout.superCopyBlock) return { kind: "super", copy: 1 };
    if (block >= layout.dataBlock && block < layout.dataBlock + layout.dataCount)
      return this.#dataPlace(block);
    if (!this.#isSlot(block)) return undefined;
    const place = placeOf(region, block);
    return place.kind === "record" ? { kind: "record", copy: place.copy } : { kind: "mark", copy: 0 };
  }

  recordTwin(block: bigint): bigint | undefined {
    const { region } = this.#options;
    const place = this.#isSlot(block) ? placeOf(region, block) : undefined;
    if (place?.kind !== "record") return undefined;
    return recordBlock(region, place.term, place.copy === 0 ? 1 : 0) + BigInt(place.half);
  }

  blocksOf(kind: PlaceKind): readonly bigint[] {
    const { layout, region, newest } = this.#options;
    const volume = newest();
    if (volume === undefined) return [];
    switch (kind) {
      case "super":
        return [SUPER_BLOCK, layout.superCopyBlock];
      case "record":
        return this.#terms(volume, 0n).flatMap((term) =>
          ([0, 1] as const).flatMap((copy) => pair(recordBlock(region, term, copy))),
        );
      case "mark":
        return this.#terms(volume, TERMS_AHEAD).flatMap((term) => pair(splitterBlock(region, term)));
      case "node":
        return [...volume.image.nodes];
      case "segment":
        return volume.image.segments.flatMap(({ extent }) => blocksOfRun(extent));
      case "journal":
        return this.#journalRuns(volume).flatMap((run) => this.#journalBlocks(run));
    }
  }

  /** True if readers cannot use what stands in a record's place. */
  isRecordUnreadable(term: bigint, half: 0 | 1, copy: 0 | 1): boolean {
    const { region, medium } = this.#options;
    const block = recordBlock(region, term, copy) + BigInt(half);
    const bytes = new Uint8Array(BLOCK_BYTES);
    medium.read(Number(block) * BLOCK_BYTES, bytes);
    const { state } = readSlot(region, block, bytes);
    return state === "unreadable" || state === "misplaced";
  }

  #isSlot(block: bigint): boolean {
    const { slotsBlock, recordsBlock, recordsCopyBlock, termsMax } = this.#options.region;
    const count = 2n * BigInt(termsMax);
    return [slotsBlock, recordsBlock, recordsCopyBlock].some(
      (first) => block >= first && block < first + count,
    );
  }

  #terms({ term }: CommittedVolume, ahead: bigint): bigint[] {
    const { termBase, termsMax } = this.#options.region;
    const last = min(term + ahead, termBase + BigInt(termsMax));
    const terms: bigint[] = [];
    for (let at = max(term - TERMS_BACK, termBase + 1n); at <= last; at += 1n) terms.push(at);
    return terms;
  }

  #dataPlace(block: bigint): Place | undefined {
    const bytes = this.#read(block);
    const header = sealedHeader(bytes, Number(block) * BLOCK_BYTES);
    if (header?.type === BlockType.treeNode) return { kind: "node", copy: 0 };
    const volume = this.#options.newest();
    if (volume === undefined) return undefined;
    const run = this.#journalRuns(volume).find((one) => isInside(block, one));
    if (run !== undefined)
      return this.#journalBlocks(run).includes(block) ? { kind: "journal", copy: 0 } : undefined;
    const isSegment = volume.image.segments.some(({ extent }) => isInside(block, extent));
    return isSegment ? { kind: "segment", copy: 0 } : undefined;
  }

  #journalRuns({ image }: CommittedVolume): readonly BlockRun[] {
    return [...image.members.values()].flatMap(({ record }) =>
      record === undefined ? [] : Object.values(record.journal),
    );
  }

  /** Blocks of all entries of a half but the last, which cannot be told from one that was never acknowledged. */
  #journalBlocks(run: BlockRun): bigint[] {
    const blocks: bigint[] = [];
    let entry: BlockRun | undefined;
    for (let at = run.start; at < endOf(run); at = entry.start + BigInt(entry.lengthBlocks)) {
      const bytes = this.#read(at);
      if (!isJournalEntry(bytes)) break;
      if (entry !== undefined) blocks.push(...blocksOfRun(entry));
      const { length } = JournalEntryHeader.read(new DataView(bytes.buffer), 0);
      entry = { start: at, lengthBlocks: entrySizeBlocks(length) };
    }
    return blocks;
  }

  #read(block: bigint): Uint8Array {
    const bytes = new Uint8Array(BLOCK_BYTES);
    this.#options.medium.readTruth(Number(block) * BLOCK_BYTES, bytes);
    return bytes;
  }
}

function blocksOfRun({ start, lengthBlocks }: BlockRun): bigint[] {
  return Array.from({ length: lengthBlocks }, (_, index) => start + BigInt(index));
}

function isInside(block: bigint, run: BlockRun): boolean {
  return block >= run.start && block < endOf(run);
}

function pair(first: bigint): [bigint, bigint] {
  return [first, first + 1n];
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
