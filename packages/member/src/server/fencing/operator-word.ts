/*
 * An operator says that a member can never write again.
 *
 * His word is taken, since nobody else may know; but not by mistake: the server's own member is never fenced, and one that
 * is connected only by force. A member is evicted first, as one that broke the protocol: it is barred at once, and its locks
 * go on when its lease must be over. The answer comes when all of it is done, so that a request that meets a new server
 * begins anew there.
 */
import { type Deferred, deferred } from "@holdfast/environment";
import { FenceReply, FenceRequest, Refusal } from "../../protocol.ts";
import type { Committer } from "../committer.ts";
import { RefusedError } from "../refusals.ts";
import type { Roster } from "../roster.ts";
import type { VolumeTrees } from "../volume-trees.ts";
import type { Fencing } from "./fencing.ts";
import { type Evidence, NO_EVIDENCE } from "./owner-record.ts";

/** What an operator's word needs. */
export interface OperatorWordOptions {
  /** The server's own member. */
  readonly own: bigint;
  readonly committer: Committer;
  readonly fencing: Fencing;
  readonly roster: () => Pick<Roster, "isConnected" | "condemn">;
}

interface Promised {
  readonly evidence: Evidence;
  readonly evicted: Deferred<void>;
}

/** Takes an operator's word about members. */
export class OperatorWord {
  readonly #options: OperatorWordOptions;
  /** Members that are being evicted on his word. */
  readonly #promised: Map<bigint, Promised> = new Map();

  constructor(options: OperatorWordOptions) {
    this.#options = options;
  }

  /**
   * Fences one member.
   *
   * @throws {@link RefusedError} `unknownMember` when nothing is known of it, `living` when it is connected, `serves`.
   */
  async fence(body: Uint8Array): Promise<Uint8Array> {
    const { own, committer, fencing } = this.#options;
    const { rid, isForced, operator } = FenceRequest.decode(body);
    if (rid === own) throw new RefusedError(Refusal.serves, "the member serves");
    const found = await committer.read((trees) => lookUp(trees, rid));
    if (found === undefined) throw new RefusedError(Refusal.unknownMember, "no such member, no such owner");
    const { blocks, isMember } = found;
    const evidence = fencing.evidence("operator", operator);
    if (isMember) await this.#evict(rid, { isForced, evidence });
    await fencing.confirm(rid, evidence);
    return FenceReply.encode({ blocks, wasMember: isMember });
  }

  /** What an operator said of a member that is being evicted. */
  evidenceOf(rid: bigint): Evidence {
    return this.#promised.get(rid)?.evidence ?? NO_EVIDENCE;
  }

  /** A member's eviction is done. */
  evicted(rid: bigint): void {
    this.#promised.get(rid)?.evicted.resolve();
    this.#promised.delete(rid);
  }

  /** No eviction will be done any more. */
  close(error: unknown): void {
    for (const { evicted } of this.#promised.values()) evicted.reject(error);
    this.#promised.clear();
  }

  async #evict(
    rid: bigint,
    { isForced, evidence }: { readonly isForced: boolean; readonly evidence: Evidence },
  ): Promise<void> {
    const roster = this.#options.roster();
    if (roster.isConnected(rid) && !isForced)
      throw new RefusedError(Refusal.living, "the member is connected");
    const promised = this.#promised.get(rid) ?? { evidence, evicted: deferred() };
    this.#promised.set(rid, promised);
    // One that is barred already is on its way out.
    roster.condemn(rid);
    await promised.evicted.promise;
  }
}

async function lookUp(
  trees: VolumeTrees,
  rid: bigint,
): Promise<{ readonly blocks: number; readonly isMember: boolean } | undefined> {
  const member = await trees.members.get(rid);
  if (member === undefined && (await trees.members.owner(rid)) === undefined) return undefined;
  const { first, second } = member?.journal ?? { first: NO_BLOCKS, second: NO_BLOCKS };
  let blocks = first.lengthBlocks + second.lengthBlocks;
  for (const { lengthBlocks } of await trees.members.grants(rid)) blocks += lengthBlocks;
  for await (const { extent } of trees.quarantined(rid)) blocks += extent.lengthBlocks;
  return { blocks, isMember: member !== undefined };
}

const NO_BLOCKS = { lengthBlocks: 0 };
