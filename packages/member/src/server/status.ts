/*
 * The volume as its server sees it.
 */
import { isQuarantineAlarming } from "@holdfast/alloc-extent";
import { type QuorumRegion, termUsage } from "@holdfast/quorum";
import { StatusReply } from "../protocol.ts";
import type { VolumeLayout } from "../volume/layout.ts";
import type { Committer } from "./committer.ts";
import type { Compactor } from "./compactor.ts";
import { quarantineStatus } from "./fencing/quarantine-status.ts";
import type { Roster } from "./roster.ts";

/** What is looked at. */
export interface StatusSources {
  readonly term: bigint;
  /** The member that serves. */
  readonly server: bigint;
  readonly layout: VolumeLayout;
  readonly region: QuorumRegion;
  readonly committer: Committer;
  readonly compactor: Compactor;
  readonly roster: Roster;
  /** What the fence agent said of an owner of quarantined blocks. */
  readonly problemOf: (rid: bigint) => string;
}

/** The status now; members and levels may be ahead of the last commit by what is being committed. */
export async function statusOf(sources: StatusSources): Promise<StatusReply> {
  const { term, server, layout, region, committer, compactor, roster, problemOf } = sources;
  const members = await committer.read((trees) => trees.members.list());
  const owners = await committer.read((trees) => quarantineStatus(trees, problemOf));
  const levels = await compactor.levels();
  const { free, quarantine, manifestVersion, votes } = committer.committed;
  return {
    term,
    server,
    termsMax: layout.termsMax,
    termsUsed: termUsage(region, term).used,
    freeBlocks: BigInt(free.freeBlocks),
    quarantinedBlocks: BigInt(quarantine.blocks),
    isQuarantineAlarming: isQuarantineAlarming(quarantine, Number(layout.dataCount)),
    quarantine: owners,
    totalBlocks: layout.dataCount,
    manifestVersion,
    votes,
    levels,
    commits: committer.commits,
    members: [...members].map(([rid, { number, isVoter, isEvicted, address, name }]) => ({
      rid,
      number,
      isVoter,
      isConnected: roster.isConnected(rid),
      isEvicted,
      address,
      name,
    })),
  };
}
