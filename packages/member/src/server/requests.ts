/*
 * What the server does for each request of a member.
 *
 * Every answer stands behind the record that holds its effect, or, when there is no effect, behind a check that
 * began after the request arrived (E8). A mutating request is applied once, whatever server it meets: its
 * result is committed with it, under the member's operation number.
 */
import { JOURNAL_HALF_BLOCKS_MIN } from "@holdfast/item-store";
import { SegmentRef } from "@holdfast/segment";
import { type Clock, HoldfastError, type Logger } from "@holdfast/environment";
import type { Leadership } from "@holdfast/quorum";
import { BlockRef, MessageError } from "@holdfast/wire-format";
import {
  CompactedRequest,
  EMPTY_BODY,
  ExtentMessage,
  GiveExtentsRequest,
  JoinReply,
  JoinRequest,
  ManifestReply,
  Membership,
  type Operation,
  RecordSegmentsRequest,
  Refusal,
  TakeExtentRequest,
} from "../protocol.ts";
import type { VolumeSizes } from "../volume/sizes.ts";
import type { Committer } from "./committer.ts";
import type { Compactor } from "./compactor.ts";
import { type MemberRecord, NotGrantedError } from "./member-records.ts";
import { NoSpaceError, type VolumeTrees } from "./volume-trees.ts";

/** What the handlers stand on. */
export interface RequestsOptions {
  readonly committer: Committer;
  readonly leadership: Pick<Leadership, "term" | "check">;
  readonly compactor: Compactor;
  readonly sizes: VolumeSizes;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A request that the server turns down, with the code that travels. */
export class RefusedError extends HoldfastError<"ERR_HOLDFAST_REFUSED", { readonly refusal: number }> {
  constructor(refusal: number, why: string) {
    super("ERR_HOLDFAST_REFUSED", "protocol", why, { refusal });
  }
}

/** The code that travels for an error. */
export function refusalFor(error: unknown): number {
  if (error instanceof RefusedError) return error.facts.refusal;
  if (error instanceof NoSpaceError) return Refusal.noSpace;
  if (error instanceof NotGrantedError) return Refusal.notYours;
  return error instanceof MessageError || error instanceof RangeError ? Refusal.malformed : Refusal.internal;
}

/** The requests of members, but for locks. */
export class Requests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Makes a member of `rid`; a second time, it gives the same answer. */
  async join(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = JoinRequest.decode(body);
    const { committer } = this.#options;
    const record = await committer.mutate(async (trees) => {
      const known = await trees.members.get(rid);
      if (known?.isEvicted === true) throw new RefusedError(Refusal.evicted, "the member was evicted");
      return known ?? (await this.#admit(trees, rid, request));
    });
    const membership = await this.#membership(rid);
    return JoinReply.encode({
      number: record.number,
      journal: [record.journal.first, record.journal.second],
      evictGeneration: membership.evictGeneration,
    });
  }

  /** The server's word that `rid` is a member. */
  async confirm(rid: bigint): Promise<Uint8Array> {
    return Membership.encode(await this.#membership(rid));
  }

  /** Blocks for a member. */
  takeExtent(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = TakeExtentRequest.decode(body);
    return this.#once(rid, request, async (trees) => {
      const extent = await trees.take(request.blocks, "a member");
      await trees.members.grant(rid, extent);
      return ExtentMessage.encode(extent);
    });
  }

  /** Blocks from a member that is done with them. */
  giveExtents(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = GiveExtentsRequest.decode(body);
    return this.#once(rid, request, async (trees) => {
      for (const extent of request.extents) {
        await trees.members.revoke(rid, extent);
        await trees.free.add(extent);
      }
      return EMPTY_BODY;
    });
  }

  /** New level-0 segments of a member. Waits while level 0 is full. */
  async recordSegments(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = RecordSegmentsRequest.decode(body);
    const segments = request.segments.map((encoded) => SegmentRef.decode(encoded));
    const { committer, compactor } = this.#options;
    await compactor.roomInLevelZero();
    const result = await this.#once(rid, request, async (trees, record) => {
      for (const segment of segments) {
        await trees.members.revoke(rid, segment.extent);
        await trees.manifest.add(segment);
      }
      if (segments.length > 0) trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
      if (request.journalEpoch < record.journalEpoch) throw new RangeError("a journal's epochs only rise");
      await trees.members.put(rid, { ...record, journalEpoch: request.journalEpoch });
      return EMPTY_BODY;
    });
    compactor.manifestChanged(committer.committed);
    return result;
  }

  /** Where the committed manifest stands. */
  async manifest(): Promise<Uint8Array> {
    const { committer, leadership } = this.#options;
    const { manifestVersion, manifestRoot } = committer.committed;
    await leadership.check();
    return ManifestReply.encode({ version: manifestVersion, root: BlockRef.encode(manifestRoot) });
  }

  /** The end of a compaction. */
  async compacted(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = CompactedRequest.decode(body);
    const { committer, compactor } = this.#options;
    const result = await this.#once(rid, request, async (trees) => {
      await compactor.finish(trees, rid, request.job, request.result);
      return EMPTY_BODY;
    });
    compactor.forget(request.job);
    compactor.manifestChanged(committer.committed);
    return result;
  }

  /** A member leaves: it has drained, so all it held is free. */
  async farewell(rid: bigint): Promise<Uint8Array> {
    await this.#options.committer.mutate(async (trees) => {
      const record = await trees.members.get(rid);
      // An earlier server did it and its answer was lost.
      if (record === undefined) return;
      for (const extent of await trees.members.grants(rid)) await trees.free.add(extent);
      await trees.free.add(record.journal.first);
      await trees.free.add(record.journal.second);
      await trees.members.remove(rid);
    });
    this.#options.log.info(
      { event: "member.left", rid, term: this.#options.leadership.term },
      "a member left",
    );
    return EMPTY_BODY;
  }

  async #admit(trees: VolumeTrees, rid: bigint, request: JoinRequest): Promise<MemberRecord> {
    const { sizes, leadership, log } = this.#options;
    const first = await trees.take(sizes.journalHalfBlocks, "a journal");
    const second = await trees.take(sizes.journalHalfBlocks, "a journal");
    if (Math.min(first.lengthBlocks, second.lengthBlocks) < JOURNAL_HALF_BLOCKS_MIN) {
      throw new NoSpaceError(2 * sizes.journalHalfBlocks, "a journal");
    }
    const number = trees.state.nextMember;
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
    };
    await trees.members.put(rid, record);
    log.info({ event: "member.joined", rid, number, name: request.name }, "a member joined");
    return record;
  }

  /** Applies an operation, or gives the result it had at this server or a former one. */
  #once(
    rid: bigint,
    { operation, seen }: Operation,
    apply: (trees: VolumeTrees, record: MemberRecord) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    return this.#options.committer.mutate(async (trees) => {
      const record = await livingMember(trees, rid);
      const known = await trees.members.result(rid, operation);
      if (known !== undefined) return known.slice();
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
    const evictGeneration = await committer.read(async (trees) => {
      await livingMember(trees, rid);
      return committer.committed.evictGeneration;
    });
    await leadership.check();
    return { evictGeneration };
  }
}

async function livingMember(trees: VolumeTrees, rid: bigint): Promise<MemberRecord> {
  const record = await trees.members.get(rid);
  if (record === undefined || record.isEvicted)
    throw new RefusedError(Refusal.evicted, "the asker is no member");
  return record;
}
