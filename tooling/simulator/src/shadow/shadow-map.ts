/*
 * The shadow map: who may write where, by the word of committed records alone, held against every landing write.
 *
 *   WHERE             WHO
 *   super blocks      nobody, once the volume is formatted
 *   hints             anybody, hints
 *   X, Y of a term    anybody, marks of that term
 *   records           see record-watch.ts
 *   tree nodes        the winner of the term that the node names, in what that term's committed records grant; never
 *                     where the newest committed record reaches a node
 *   journal entries   their member, in its own journal; the epoch two before must be recorded
 *   segments          a member, in extents it holds; never where a segment of the committed manifest stands
 *   anything          a member that was evicted: in what the quarantine holds under its name
 *
 * Pieces of torn writes may land wherever their writer could write whole ones.
 */
import { BLOCK_BYTES, invariant } from "@holdfast/environment";
import { JournalEntryHeader } from "@holdfast/item-store";
import type { VolumeLayout } from "@holdfast/member";
import { type CommitRecord, placeOf, type QuorumRegion } from "@holdfast/quorum";
import { type BlockHeader, BlockType } from "@holdfast/wire-format";
import type { LandingWrite } from "../world/landings.ts";
import type { Medium } from "../world/medium.ts";
import { isJournalEntry, sealedHeader } from "../scenario/write-kinds.ts";
import type { Counters } from "../scenario/counters.ts";
import { type BlockRun, endOf, firstOutside, overlap } from "./block-runs.ts";
import { LateEntries } from "./late-entries.ts";
import { type VolumeImage, VolumeReader } from "./volume-image.ts";

/** What a shadow map works with. */
export interface ShadowMapOptions {
  readonly medium: Medium;
  readonly layout: VolumeLayout;
  /** The present generation of term slots. */
  readonly region: QuorumRegion;
  /** Counts late writes of those who were given up. */
  readonly counters: Counters;
}

/** The newest committed record and what it says. */
export interface CommittedVolume {
  readonly term: bigint;
  readonly seq: bigint;
  readonly image: VolumeImage;
}

/** What servers of one term may write metadata to. */
interface TermGrants {
  readonly winner: bigint;
  readonly runs: readonly BlockRun[];
}

/** Judges landing writes, but for commit records. */
export class ShadowMap {
  readonly #options: ShadowMapOptions;
  readonly #region: QuorumRegion;
  readonly #reader: VolumeReader;
  readonly #terms: Map<bigint, TermGrants> = new Map();
  readonly #rids: Map<string, bigint> = new Map();
  readonly #lateEntries: LateEntries = new LateEntries();
  #newest: CommittedVolume | undefined;

  constructor(options: ShadowMapOptions) {
    const { medium, region } = options;
    this.#options = options;
    this.#region = region;
    this.#reader = new VolumeReader({ medium, fsid: region.fsid });
  }

  /** The newest committed record; undefined before the first. */
  get newest(): CommittedVolume | undefined {
    return this.#newest;
  }

  /** Reads what records say. */
  get reader(): VolumeReader {
    return this.#reader;
  }

  /**
   * Takes a record that is committed.
   *
   * @throws {@link BlockError} or {@link TreeCorruptError} when what it reaches is not on the medium.
   */
  committed({ term, seq, writer, payload }: CommitRecord): void {
    const image = this.#reader.imageOf(payload);
    for (const [rid, { record }] of image.members) {
      if (record === undefined) continue;
      if (record.isEvicted) this.#lateEntries.evicted(rid, record.number);
      else this.#lateEntries.lives(rid, record.number);
    }
    this.#terms.set(term, { winner: writer, runs: image.state.metadataGrants });
    const { newest } = this;
    if (newest === undefined || newest.term < term || (newest.term === term && newest.seq < seq))
      this.#newest = { term, seq, image };
  }

  /** Judges a member that has just acknowledged a write. */
  acknowledged(rid: bigint): string | undefined {
    return this.#lateEntries.acknowledged(rid);
  }

  /** Judges one landing write. */
  judge(write: LandingWrite): string | undefined {
    const { layout } = this.#options;
    const { firstBlock, blockCount } = write;
    const run = { start: firstBlock, lengthBlocks: blockCount };
    const header = sealedHeader(write.bytes, Number(write.offsetBytes));
    const rid = this.#ridOf(write, header);
    if (firstBlock >= layout.dataBlock && endOf(run) <= layout.dataBlock + layout.dataCount)
      return this.#judgeData(write, { run, header, rid });
    return this.#judgeFixed(firstBlock, header);
  }

  /** Supers, hints and slots. Records have a judge of their own, pieces of torn writes say nothing of themselves. */
  #judgeFixed(block: bigint, header: BlockHeader | undefined): string | undefined {
    const { hintsBlock, hintsCount, slotsBlock, termsMax } = this.#region;
    if (block >= hintsBlock && block < hintsBlock + BigInt(hintsCount))
      return header === undefined || header.type === BlockType.hint
        ? undefined
        : "no hint, but in their place";
    if (block >= slotsBlock && block < slotsBlock + 2n * BigInt(termsMax)) {
      const { kind, term } = placeOf(this.#region, block);
      const type = kind === "x" ? BlockType.splitterX : BlockType.splitterY;
      if (header === undefined || (header.type === type && header.term === term)) return undefined;
      return `no mark of term ${term}, but in the place of its ${kind}`;
    }
    const { superCopyBlock, dataBlock, dataCount } = this.#options.layout;
    const isRecord = (block > hintsBlock && block < dataBlock) || block >= dataBlock + dataCount;
    return isRecord && block !== superCopyBlock
      ? undefined
      : "nobody writes here once the volume is formatted";
  }

  #judgeData(write: LandingWrite, what: DataWrite): string | undefined {
    const { newest } = this;
    if (newest === undefined) return "no record is committed yet, so nothing is granted to anybody";
    const { run, header, rid } = what;
    if (rid === undefined) return "its writer never said who it is";
    for (let at = run.start; at < endOf(run); at += 1n) {
      if (newest.image.nodes.has(at)) return `block ${at} is a tree node of ${nameOf(newest)}`;
    }
    const hit = newest.image.segments.find(({ extent }) => overlap(extent, run));
    if (hit !== undefined) return `segment ${hit.id} of ${nameOf(newest)} stands there`;
    if (header?.type === BlockType.treeNode) return this.#judgeNode(run, header);
    if (isJournalEntry(write.bytes)) return this.#judgeJournal(write, run, rid);
    const own = this.#ownRuns(newest, rid);
    const isPiece = write.bytes.length < BLOCK_BYTES;
    return outside(run, isPiece ? [...own, ...this.#metadataOf(rid)] : own, () => `member ${rid} holds`);
  }

  #judgeNode(run: BlockRun, { term, writer }: BlockHeader): string | undefined {
    const grants = this.#terms.get(term);
    if (grants === undefined) return `a tree node of term ${term}, which has committed nothing`;
    if (grants.winner !== writer) return `a tree node of term ${term} by ${writer}, not by ${grants.winner}`;
    return outside(run, grants.runs, () => `the committed records of term ${term} grant`);
  }

  #judgeJournal(write: LandingWrite, run: BlockRun, rid: bigint): string | undefined {
    const { newest } = this;
    invariant(newest !== undefined, "it was looked at before");
    const member = newest.image.members.get(rid)?.record;
    const header = JournalEntryHeader.read(
      new DataView(write.bytes.buffer, write.bytes.byteOffset, write.bytes.byteLength),
      0,
    );
    if (header.rid !== rid) return `a journal entry of ${header.rid} by ${rid}`;
    const quarantined = newest.image.quarantine.get(rid) ?? [];
    if (this.#lateEntries.landed(rid)) this.#options.counters.add("journal entry landed after an eviction");
    if (member === undefined) return outside(run, quarantined, () => `is in quarantine under ${rid}`);
    if (header.epoch > member.journalEpoch + 2n)
      return `epoch ${header.epoch} of a journal of which only ${member.journalEpoch} is recorded`;
    const { first, second } = member.journal;
    return outside(run, [header.epoch % 2n === 1n ? first : second], () => `is the journal of ${rid}`);
  }

  /** What a member may write to as a member. */
  #ownRuns({ image }: CommittedVolume, rid: bigint): readonly BlockRun[] {
    const member = image.members.get(rid);
    const journal = member?.record === undefined ? [] : Object.values(member.record.journal);
    return [...(member?.grants ?? []), ...journal, ...(image.quarantine.get(rid) ?? [])];
  }

  /** What a member may write to as the server of some term. */
  #metadataOf(rid: bigint): readonly BlockRun[] {
    return [...this.#terms.values()].filter(({ winner }) => winner === rid).flatMap(({ runs }) => runs);
  }

  /** Who wrote: by its own word, in the first sealed block it ever wrote. */
  #ridOf(write: LandingWrite, header: BlockHeader | undefined): bigint | undefined {
    const known = write.rid ?? this.#rids.get(write.processId);
    if (known !== undefined || header === undefined) return known;
    this.#rids.set(write.processId, header.writer);
    return header.writer;
  }
}

interface DataWrite {
  readonly run: BlockRun;
  readonly header: BlockHeader | undefined;
  readonly rid: bigint | undefined;
}

function nameOf({ term, seq }: CommittedVolume): string {
  return `the committed record (${term}, ${seq})`;
}

function outside(run: BlockRun, runs: readonly BlockRun[], who: () => string): string | undefined {
  const block = firstOutside(run, runs);
  return block === undefined ? undefined : `block ${block} of ${run.lengthBlocks} is outside what ${who()}`;
}
