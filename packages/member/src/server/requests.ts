/*
 * What the server does for each request of a member.
 *
 * Every answer stands behind the record that holds its effect, or, when there is no effect, behind a check that
 * began after the request arrived (E8). A mutating request is applied once, whatever server it meets: its
 * result is committed with it, under the member's operation number.
 */
import { MEMBER_GRANT_BLOCKS_MAX } from "@holdfast/alloc-extent";
import { JOURNAL_HALF_BLOCKS_MIN } from "@holdfast/item-store";
import { SegmentRef } from "@holdfast/segment";
import type { Clock, Logger } from "@holdfast/environment";
import type { Leadership } from "@holdfast/quorum";
import { BlockRef, compareBytes } from "@holdfast/wire-format";
import {
  Command,
  CompactedRequest,
  EMPTY_BODY,
  ExtentMessage,
  type FarewellRequest,
  GiveExtentsRequest,
  JoinReply,
  JoinRequest,
  ManifestReply,
  Membership,
  MEMBERS_MAX,
  type Operation,
  RecordSegmentsRequest,
  Refusal,
  TakeExtentRequest,
  TuneOperation,
} from "../protocol.ts";
import { checkVotes } from "../volume/format-volume.ts";
import type { StoredExtent } from "../volume/volume-state.ts";
import type { VolumeSizes } from "../volume/sizes.ts";
import type { Committer } from "./committer.ts";
import type { Compactor } from "./compactor.ts";
import { type Evidence, NO_EVIDENCE, ownerOf, wallTime } from "./fencing/owner-record.ts";
import { GRANTS_PER_COMMIT, type MemberRecord } from "./member-records.ts";
import { RefusedError } from "./refusals.ts";
import { NoSpaceError, type VolumeTrees } from "./volume-trees.ts";

/** Members that a volume ever had; their numbers stand in the upper bits of segment ids, below that of compactions. */
const MEMBER_NUMBER_MAX = 2 ** 23 - 1;

/** Bits of a segment's id below its member's number. */
const SEGMENT_NUMBER_BITS = 40n;

/** What the handlers stand on. */
export interface RequestsOptions {
  readonly committer: Committer;
  readonly leadership: Pick<Leadership, "term" | "check">;
  readonly compactor: Compactor;
  readonly sizes: VolumeSizes;
  readonly clock: Pick<Clock, "wallMs">;
  /** A member left, and may have blocks in quarantine. */
  readonly onOwner: (rid: bigint) => void;
  readonly log: Logger;
}

/** What a leaving member says of its writes. */
export type LastWord = Pick<FarewellRequest, "mayBeWritten" | "isServing" | "saidTerm">;

/** The requests of members, but for locks. */
export class Requests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * What a member that is counted in may ask for.
   *
   * @throws {@link RefusedError} and whatever {@link refusalFor} has a code for.
   */
  async handle(rid: bigint, command: number, body: Uint8Array): Promise<Uint8Array> {
    switch (command) {
      case Command.takeExtent:
        return await this.takeExtent(rid, body);
      case Command.giveExtents:
        return await this.giveExtents(rid, body);
      case Command.recordSegments:
        return await this.recordSegments(rid, body);
      case Command.manifest:
        return await this.manifest();
      case Command.renew:
        return await this.renew();
      case Command.confirm:
        return await this.confirm(rid);
      case Command.compacted:
        return await this.compacted(rid, body);
      default:
        throw new RefusedError(Refusal.unknownCommand, `there is no command ${command}`);
    }
  }

  /** Makes a member of `rid`; a second time, it gives the same answer. */
  async join(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = JoinRequest.decode(body);
    const { committer, log } = this.#options;
    const { record, isNew } = await committer.mutate(async (trees) => {
      const known = await trees.members.get(rid);
      if (known?.isEvicted === true) throw new RefusedError(Refusal.evicted, "the member was evicted");
      return known === undefined
        ? { record: await this.#admit(trees, rid, request), isNew: true }
        : { record: known, isNew: false };
    });
    const { number, journal, name } = record;
    if (isNew) log.info({ event: "member.joined", rid, number, name }, "a member joined");
    const membership = await this.#membership(rid);
    return JoinReply.encode({ number, journal: [journal.first, journal.second], ...membership });
  }

  /** The server's word that `rid` is a member. */
  async confirm(rid: bigint): Promise<Uint8Array> {
    return Membership.encode(await this.#membership(rid));
  }

  /** A lease is granted by a server that no other has followed when it was asked (E8). */
  async renew(): Promise<Uint8Array> {
    await this.#options.leadership.check();
    return EMPTY_BODY;
  }

  /** Blocks for a member, no more at a time than it may cost when it dies, whatever it asks for. */
  async takeExtent(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = TakeExtentRequest.decode(body);
    return this.#once(rid, request, async (trees) => {
      const blocks = Math.min(request.blocks, MEMBER_GRANT_BLOCKS_MAX);
      const extent = await trees.takeForData(blocks, "a member");
      await trees.members.grant(rid, extent);
      return ExtentMessage.encode(extent);
    });
  }

  /** Blocks from a member that is done with them: free, or in quarantine while a write of it may still land there. */
  async giveExtents(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = GiveExtentsRequest.decode(body);
    const { term } = this.#options.leadership;
    return this.#once(rid, request, async (trees) => {
      for (const extent of request.extents) {
        await trees.members.revoke(rid, extent);
        if (request.mayBeWritten) await trees.quarantine(extent, rid, term);
        else await trees.free.add(extent);
      }
      return EMPTY_BODY;
    });
  }

  /** New level-0 segments of a member. Waits while level 0 is full and compaction is under way. */
  async recordSegments(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = RecordSegmentsRequest.decode(body);
    const segments = request.segments.map((encoded) => SegmentRef.decode(encoded));
    const { compactor } = this.#options;
    await compactor.roomInLevelZero();
    const result = await this.#once(rid, request, async (trees, record) => {
      if (request.journalEpoch < record.journalEpoch) throw new RangeError("a journal's epochs only rise");
      for (const segment of segments) {
        checkNewSegment(segment, record);
        await trees.members.revoke(rid, segment.extent);
        await trees.manifest.add(segment);
      }
      if (segments.length > 0) trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
      await trees.members.put(rid, { ...record, journalEpoch: request.journalEpoch });
      return EMPTY_BODY;
    });
    compactor.lookForWork();
    return result;
  }

  /** Where the committed manifest stands. */
  async manifest(): Promise<Uint8Array> {
    const { committer, leadership } = this.#options;
    const { manifestVersion, manifestRoot } = committer.committed;
    await leadership.check();
    return ManifestReply.encode({ version: manifestVersion, root: BlockRef.encode(manifestRoot) });
  }

  /** The end of a compaction. Whoever's result is not taken keeps the blocks it was granted, and returns them. */
  async compacted(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = CompactedRequest.decode(body);
    const { compactor } = this.#options;
    try {
      const result = await this.#once(rid, request, async (trees) => {
        await compactor.finish(trees, rid, request.job, request.result);
        return EMPTY_BODY;
      });
      if (request.result.length > 0) compactor.succeeded(rid, request.job);
      else compactor.failed(rid, request.job);
      return result;
    } catch (error) {
      compactor.failed(rid, request.job);
      throw error;
    }
  }

  /** A member leaves: it has drained, so all it held is free. One that is being evicted is not asked any more. */
  async farewell(rid: bigint, word: LastWord): Promise<Uint8Array> {
    const { committer, clock, log, leadership, onOwner } = this.#options;
    const { term } = leadership;
    let left: "some" | "nothing" | "unknown" = "some";
    while (left === "some")
      left = await committer.mutate((trees) =>
        forgetSome(trees, rid, { ...word, term, wallMs: clock.wallMs() }),
      );
    onOwner(rid);
    // Where it is unknown, an earlier server did it and its answer was lost.
    if (left === "nothing") log.info({ event: "member.left", rid, term }, "a member left");
    return EMPTY_BODY;
  }

  /**
   * Changes how many votes it takes to campaign.
   *
   * @param countVoters - Voters that are members and connected.
   */
  async tune(
    rid: bigint,
    body: Uint8Array,
    countVoters: (trees: VolumeTrees) => Promise<number>,
  ): Promise<Uint8Array> {
    const request = TuneOperation.decode(body);
    const { votes, isForced } = request;
    checkVotes(votes);
    const { log, leadership } = this.#options;
    let isChanged = false;
    const result = await this.#once(rid, request, async (trees) => {
      const voters = await countVoters(trees);
      if (votes > voters && !isForced)
        throw new RefusedError(
          Refusal.tooFewVoters,
          `${votes} votes are asked for, and ${voters} voters are here`,
        );
      trees.amend({ votes });
      isChanged = true;
      return EMPTY_BODY;
    });
    if (isChanged)
      log.info({ event: "votes.changed", term: leadership.term, votes }, "another number of votes is needed");
    return result;
  }

  async #admit(trees: VolumeTrees, rid: bigint, request: JoinRequest): Promise<MemberRecord> {
    const { sizes, leadership } = this.#options;
    const number = trees.state.nextMember;
    if (number > MEMBER_NUMBER_MAX || (await trees.members.list()).size >= MEMBERS_MAX)
      throw new RefusedError(
        Refusal.tooManyMembers,
        `the volume has ${MEMBERS_MAX} members, or had too many`,
      );
    const first = await trees.take(sizes.journalHalfBlocks, "a journal");
    const second = await trees.take(sizes.journalHalfBlocks, "a journal");
    if (Math.min(first.lengthBlocks, second.lengthBlocks) < JOURNAL_HALF_BLOCKS_MIN) {
      throw new NoSpaceError(2 * sizes.journalHalfBlocks, "a journal");
    }
    trees.amend({ nextMember: number + 1 });
    const record: MemberRecord = {
      number,
      isVoter: request.isVoter,
      isEvicted: false,
      joinedTerm: leadership.term,
      journalEpoch: 0n,
      journal: { first, second },
      address: request.address,
      name: request.name,
      process: request.process,
    };
    await trees.members.put(rid, record);
    return record;
  }

  /** Applies an operation, or gives the result it had at this server or a former one. */
  #once(
    rid: bigint,
    { operation, seen }: Operation,
    apply: (trees: VolumeTrees, record: MemberRecord) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { committer, log, leadership } = this.#options;
    return committer.mutate(async (trees) => {
      const record = await livingMember(trees, rid);
      const known = await trees.members.result(rid, operation);
      if (known !== undefined) {
        log.debug(
          { event: "operation.repeated", rid, operation, term: leadership.term },
          "its result is told again",
        );
        return known.slice();
      }
      const result = await apply(trees, record);
      await trees.members.keepResult(rid, operation, seen, result);
      return result;
    });
  }

  /**
   * Membership and generation of one moment, confirmed by a check that began later: an eviction of `rid` is either
   * seen here, or raises the generation beyond what is answered.
   */
  async #membership(rid: bigint): Promise<Membership> {
    const { committer, leadership } = this.#options;
    const { evictGeneration, votes } = await committer.read(async (trees) => {
      await livingMember(trees, rid);
      return committer.committed;
    });
    await leadership.check();
    return { evictGeneration, votes };
  }
}

async function livingMember(trees: VolumeTrees, rid: bigint): Promise<MemberRecord> {
  const record = await trees.members.living(rid);
  if (record === undefined) throw new RefusedError(Refusal.evicted, "the asker is no member");
  return record;
}

/** Frees what a member held, as much as one change should touch, and removes its record with the last of it. */
async function forgetSome(
  trees: VolumeTrees,
  rid: bigint,
  leaving: LastWord & { readonly term: bigint; readonly wallMs: number },
): Promise<"some" | "nothing" | "unknown"> {
  // A reign that began when it had said so may be in the middle of a replay, which writes to its member's blocks.
  const mayBeWritten = leaving.mayBeWritten || (await trees.isQuarantined(rid, leaving.saidTerm));
  const release = (extent: StoredExtent): Promise<void> =>
    mayBeWritten ? trees.quarantine(extent, rid, leaving.term) : trees.free.add(extent);
  const record = await trees.members.get(rid);
  if (record === undefined) return "unknown";
  if (record.isEvicted) throw new RefusedError(Refusal.evicted, "the member was evicted");
  const held = await trees.members.grants(rid);
  for (const extent of held.slice(0, GRANTS_PER_COMMIT)) {
    await trees.members.revoke(rid, extent);
    await release(extent);
  }
  if (held.length > GRANTS_PER_COMMIT) return "some";
  await release(record.journal.first);
  await release(record.journal.second);
  await trees.members.remove(rid);
  // Where its blocks are in quarantine, or may come there when its reign ends badly, it is remembered whose they are.
  if (leaving.isServing || (await trees.isQuarantined(rid))) {
    const isEvidence = !mayBeWritten && !leaving.isServing;
    const evidence = isEvidence ? farewellOf(record, leaving.wallMs) : NO_EVIDENCE;
    await trees.members.putOwner(rid, ownerOf(record, { wallMs: leaving.wallMs, evidence }));
  }
  return "nothing";
}

/** A farewell is evidence if everything that the member ever began to write is done. */
function farewellOf({ name }: MemberRecord, wallMs: number): Evidence {
  return { kind: "farewell", by: name, atMs: wallTime(wallMs) };
}

/** What a faulty member may not bring into the manifest: others would fail on it. */
function checkNewSegment(
  { id, level, order, first, last, extent, footer }: SegmentRef,
  record: MemberRecord,
): void {
  const end = extent.start + BigInt(extent.lengthBlocks);
  const isSound =
    level === 0 &&
    order === 0n &&
    id >> SEGMENT_NUMBER_BITS === BigInt(record.number) &&
    compareBytes(first, last) <= 0 &&
    footer.address >= extent.start &&
    footer.address < end;
  if (!isSound) throw new RangeError(`segment ${id} is no new segment of member ${record.number}`);
}
