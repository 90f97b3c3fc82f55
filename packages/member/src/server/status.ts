/*
 * The volume as its server sees it.
 */
import { StatusReply } from "../protocol.ts";
import type { VolumeLayout } from "../volume/layout.ts";
import type { Committer } from "./committer.ts";
import type { Compactor } from "./compactor.ts";
import type { Roster } from "./roster.ts";

/** What is looked at. */
export interface StatusSources {
  readonly term: bigint;
  /** The member that serves. */
  readonly server: bigint;
  readonly layout: VolumeLayout;
  readonly committer: Committer;
  readonly compactor: Compactor;
  readonly roster: Roster;
}

/** The status now; members and levels may be ahead of the last commit by what is being committed. */
export async function statusOf(sources: StatusSources): Promise<StatusReply> {
  const { term, server, layout, committer, compactor, roster } = sources;
  const members = await committer.read((trees) => trees.members.list());
  const levels = await compactor.levels();
  const { free, quarantine, manifestVersion } = committer.committed;
  return {
    term,
    server,
    termsMax: layout.termsMax,
    freeBlocks: BigInt(free.freeBlocks),
    quarantinedBlocks: BigInt(quarantine.blocks),
    totalBlocks: layout.dataCount,
    manifestVersion,
    levels,
    commits: committer.commits,
    members: [...members].map(([rid, { number, isVoter, address, name }]) => ({
      rid,
      number,
      isVoter,
      isConnected: roster.isConnected(rid),
      address,
      name,
    })),
  };
}
