/*
 * The end of a member that did not say farewell.
 *
 *   1. A record says that it is evicted, who it was, and what confirms its end if anything does (fencing/). From here on no journal write of it can be acknowledged: its check
 *      reads that record, or its write was on the device before the journal is read below.
 *   2. Its journal is read, and what no segment holds yet is written as level-0 segments.
 *   3. Every block it could write to goes into quarantine; the commit that ends this records those segments, and
 *      removes the member.
 *   4. Its locks go on.
 *
 * Each step may be repeated by another server after any death: step 1 leaves the mark that step 2 starts from. At one
 * server steps 2 and 3 of a member run once at a time, and the blocks they write to are the server's own member's:
 * it does not leave before they are done.
 */
import {
  type BlockDevice,
  type BrokenRules,
  type Clock,
  type Logger,
  NO_BROKEN_RULES,
} from "@holdfast/environment";
import { replayJournal, SpaceFragmentedError, type StoreSpace, writeSegments } from "@holdfast/item-store";
import type { SegmentRef } from "@holdfast/segment";
import type { StoredExtent } from "../volume/volume-state.ts";
import type { Committer } from "./committer.ts";
import { Deadlines } from "./deadlines.ts";
import { type Evidence, NO_EVIDENCE, ownerOf } from "./fencing/owner-record.ts";
import { GRANTS_PER_COMMIT, type MemberRecord } from "./member-records.ts";
import { NoSpaceError } from "./volume-trees.ts";

/** What evictions need. */
export interface EvictionsOptions {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** The server's own member: writes the segments. */
  readonly rid: bigint;
  readonly term: bigint;
  readonly clock: Clock;
  readonly committer: Committer;
  /** Resolves when the server's own member is counted in: it holds the blocks that replays write to. */
  readonly ownMember: Promise<void>;
  /** Nothing of a member is left: its locks may go on. */
  readonly onDone: (rid: bigint) => void;
  /** An eviction that was tried again failed. */
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
  /** None by default. */
  readonly brokenRules?: BrokenRules;
}

/** An eviction that lacked space is tried again after so long. */
const RETRY_MS = 1000;

/** Members that one line of the log names. */
const WAITING_TOLD_MAX = 64;

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
  readonly #brokenRules: BrokenRules;
  readonly #running: Map<bigint, Promise<void>> = new Map();
  /** Evictions that wait for space, those that wait longest first. */
  readonly #waiting: Set<bigint> = new Set();
  readonly #retries: Deadlines;
  #isClosing = false;

  constructor(options: EvictionsOptions) {
    this.#options = options;
    this.#brokenRules = options.brokenRules ?? NO_BROKEN_RULES;
    this.#retries = new Deadlines(options.clock, (rid) => {
      this.finish(rid).catch((error: unknown) => options.onFatal(error));
    });
  }

  /** Step 1, with what confirms its end, if anything does. False when there is no such member, or it was marked before. */
  mark(rid: bigint, evidence: Evidence = NO_EVIDENCE): Promise<boolean> {
    const { committer, clock } = this.#options;
    return committer.mutate(async (trees) => {
      const record = await trees.members.get(rid);
      if (record === undefined || record.isEvicted) return false;
      if (this.#brokenRules.has("mark-before-replay")) return true;
      await trees.members.putOwner(rid, ownerOf(record, { wallMs: clock.wallMs(), evidence }));
      await trees.members.put(rid, { ...record, isEvicted: true });
      trees.amend({ evictGeneration: trees.state.evictGeneration + 1n });
      return true;
    });
  }

  /** Steps 2 to 4 for a marked member, at once or, without space, later; who asks while they run waits for the same. */
  async finish(rid: bigint): Promise<void> {
    await this.#options.ownMember;
    const running = this.#running.get(rid);
    if (running !== undefined) return await running;
    if (this.#isClosing) return;
    const started = this.#reclaim(rid).finally(() => this.#running.delete(rid));
    this.#running.set(rid, started);
    await started;
  }

  /** Begins no evictions any more and resolves when none runs. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#retries.close();
    await Promise.allSettled(this.#running.values());
  }

  async #reclaim(rid: bigint): Promise<void> {
    const { committer, log, onDone } = this.#options;
    const record = await committer.read((trees) => trees.members.get(rid));
    if (record !== undefined) {
      const replayed = await this.#replay(rid, record);
      if (replayed === undefined) return this.#retries.arm(rid, RETRY_MS);
      await this.#quarantineGrants(rid);
      await this.#remove(rid, record, replayed);
      const { itemCount, segments } = replayed;
      log.warn(
        { event: "member.evicted", rid, items: itemCount, segments: segments.length },
        "a member was evicted",
      );
    }
    // Whoever is gone by other ways, too: the one that waits longest tells of all.
    this.#waiting.delete(rid);
    onDone(rid);
  }

  /** Step 2. Undefined when there is no space; nothing is left of the attempt then. */
  async #replay(rid: bigint, record: MemberRecord): Promise<Replayed | undefined> {
    const { device, fsid, rid: server, term, clock } = this.#options;
    const { table } = await replayJournal({
      device,
      fsid,
      rid,
      region: record.journal,
      sinceEpoch: record.journalEpoch + (this.#brokenRules.has("replay-every-epoch") ? 1n : 0n),
    });
    const taken: StoredExtent[] = [];
    const unused: StoredExtent[] = [];
    const space: StoreSpace = {
      take: async (blocks) => {
        const extent = await this.#take(blocks);
        taken.push(extent);
        return extent;
      },
      put: (extent) => unused.push(extent),
    };
    let id = (BigInt(record.number) << 40n) + REPLAY_SEGMENTS_FROM;
    const nextSegmentId = (): bigint => {
      id += 1n;
      return id;
    };
    try {
      const target = { device, fsid, rid: server, clock, space, term: () => term, nextSegmentId };
      const segments = await writeSegments(table, target);
      return { itemCount: table.rowCount, segments, unused };
    } catch (error) {
      if (!(error instanceof NoSpaceError) && !(error instanceof SpaceFragmentedError)) throw error;
      // Every write so far is done, so these blocks are quiet.
      await this.#giveBack(taken);
      this.#tellOfWait(rid, error);
      return undefined;
    }
  }

  /** One line names all who wait, and what an operator can do: not each of a hundred dead members once a second. */
  #tellOfWait(rid: bigint, error: NoSpaceError | SpaceFragmentedError): void {
    const { committer, log } = this.#options;
    this.#waiting.add(rid);
    const [longest] = this.#waiting;
    if (longest !== rid) return;
    const { blocks: quarantinedBlocks } = committer.committed.quarantine;
    log.error(
      {
        event: "member.eviction-waits",
        rid,
        waitingCount: this.#waiting.size,
        waiting: [...this.#waiting].slice(0, WAITING_TOLD_MAX),
        quarantinedBlocks,
        remedy: quarantinedBlocks > 0 ? "holdfast fence" : "delete items",
        err: error,
      },
      "no space for what dead members left: their locks wait, and after a change of the server all new ones",
    );
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

  #giveBack(extents: readonly StoredExtent[]): Promise<void> {
    const { committer, rid } = this.#options;
    return committer.mutate(async (trees) => {
      for (const extent of extents) {
        await trees.members.revoke(rid, extent);
        await trees.free.add(extent);
      }
    });
  }

  /** A member may hold more extents than one commit should touch. */
  async #quarantineGrants(rid: bigint): Promise<void> {
    const { committer, term } = this.#options;
    let isMore = true;
    while (isMore) {
      isMore = await committer.mutate(async (trees) => {
        const held = await trees.members.grants(rid);
        for (const extent of held.slice(0, GRANTS_PER_COMMIT)) {
          await trees.members.revoke(rid, extent);
          await trees.quarantine(extent, rid, term);
        }
        return held.length > GRANTS_PER_COMMIT;
      });
    }
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
      const { first, second } = record.journal;
      for (const extent of [first, second]) await trees.quarantine(extent, rid, term);
      await trees.members.remove(rid);
    });
  }
}
