/*
 * The end of a member that did not say farewell.
 *
 *   1. A record says that it is evicted. From here on no journal write of it can be acknowledged: its check
 *      reads that record, or its write was on the device before the journal is read below.
 *   2. Its journal is read, and what no segment holds yet is written as level-0 segments.
 *   3. One commit records those segments, quarantines every block it could write to, and removes it.
 *   4. Its locks go on.
 *
 * Each step may be repeated by another server after any death: step 1 leaves the mark that step 2 starts from.
 */
import type { BlockDevice, Clock, Logger } from "@holdfast/environment";
import { replayJournal, type StoreSpace, writeSegments } from "@holdfast/item-store";
import type { SegmentRef } from "@holdfast/segment";
import type { StoredExtent } from "../volume/volume-state.ts";
import type { Committer } from "./committer.ts";
import type { MemberRecord } from "./member-records.ts";

/** What evictions need. */
export interface EvictionsOptions {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** The server's own member: writes the segments. */
  readonly rid: bigint;
  readonly term: bigint;
  readonly clock: Clock;
  readonly committer: Committer;
  readonly log: Logger;
}

/** First segment number, below a member's own prefix, that replay gives: above all the member gave itself. */
const REPLAY_SEGMENTS_FROM = 1n << 39n;

/** What a replay made, none of it in a record yet but the grants of its blocks. */
interface Replayed {
  readonly itemCount: number;
  readonly segments: readonly SegmentRef[];
  /** Granted blocks that hold nothing. */
  readonly unused: readonly StoredExtent[];
}

/** Evicts members. */
export class Evictions {
  readonly #options: EvictionsOptions;

  constructor(options: EvictionsOptions) {
    this.#options = options;
  }

  /** Step 1. False when there is no such member, or it was marked before. */
  mark(rid: bigint): Promise<boolean> {
    return this.#options.committer.mutate(async (trees) => {
      const record = await trees.members.get(rid);
      if (record === undefined || record.isEvicted) return false;
      await trees.members.put(rid, { ...record, isEvicted: true });
      trees.amend({ evictGeneration: trees.state.evictGeneration + 1n });
      return true;
    });
  }

  /** Steps 2 and 3 for a marked member. Resolves with the number of items that were replayed. */
  async reclaim(rid: bigint): Promise<number> {
    const { committer, log } = this.#options;
    const record = await committer.read((trees) => trees.members.get(rid));
    if (record === undefined) return 0;
    const replayed = await this.#replay(rid, record);
    await this.#remove(rid, record, replayed);
    const { itemCount, segments } = replayed;
    log.warn(
      { event: "member.evicted", rid, items: itemCount, segments: segments.length },
      "a member was evicted",
    );
    return itemCount;
  }

  async #replay(rid: bigint, record: MemberRecord): Promise<Replayed> {
    const { device, fsid, rid: server, term, clock } = this.#options;
    const { table } = await replayJournal({
      device,
      fsid,
      rid,
      region: record.journal,
      sinceEpoch: record.journalEpoch,
    });
    const unused: StoredExtent[] = [];
    const space: StoreSpace = {
      take: (blocks) => this.#take(blocks),
      put: (extent) => unused.push(extent),
    };
    let id = (BigInt(record.number) << 40n) + REPLAY_SEGMENTS_FROM;
    const nextSegmentId = (): bigint => {
      id += 1n;
      return id;
    };
    const segments = await writeSegments(table, {
      device,
      fsid,
      rid: server,
      clock,
      space,
      term: () => term,
      nextSegmentId,
    });
    return { itemCount: table.rowCount, segments, unused };
  }

  /** Blocks that a committed record grants to this server's member. */
  #take(blocks: number): Promise<StoredExtent> {
    const { committer, rid } = this.#options;
    return committer.mutate(async (trees) => {
      const extent = await trees.take(blocks, "the replay of a journal");
      await trees.members.grant(rid, extent);
      return extent;
    });
  }

  #remove(rid: bigint, record: MemberRecord, { segments, unused }: Replayed): Promise<void> {
    const { committer, rid: server, term } = this.#options;
    return committer.mutate(async (trees) => {
      for (const segment of segments) {
        await trees.members.revoke(server, segment.extent);
        await trees.manifest.add(segment);
      }
      for (const extent of unused) {
        await trees.members.revoke(server, extent);
        await trees.free.add(extent);
      }
      if (segments.length > 0) trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
      const held = await trees.members.grants(rid);
      const { first, second } = record.journal;
      for (const extent of [...held, first, second]) await trees.quarantine(extent, rid, term);
      await trees.members.remove(rid);
    });
  }
}
