/*
 * Whose blocks are in quarantine, for people.
 */
import { QUARANTINE_OWNERS_MAX, type QuarantineStatus } from "../../protocol.ts";
import { NOBODY, type VolumeTrees } from "../volume-trees.ts";
import { UNKNOWN_OWNER } from "./owner-record.ts";

/** The owners with the most blocks, the greatest first; `problemOf` tells what the fence agent said of one. */
export async function quarantineStatus(
  trees: VolumeTrees,
  problemOf: (rid: bigint) => string,
): Promise<readonly QuarantineStatus[]> {
  const totals = new Map<bigint, { blocks: number; extentCount: number }>();
  for await (const { owner, extent } of trees.quarantined()) {
    if (owner === NOBODY) continue;
    const total = totals.get(owner) ?? { blocks: 0, extentCount: 0 };
    total.blocks += extent.lengthBlocks;
    total.extentCount += 1;
    totals.set(owner, total);
  }
  const [owners, members] = [await trees.members.owners(), await trees.members.list()];
  return [...totals]
    .toSorted(([, a], [, b]) => b.blocks - a.blocks)
    .slice(0, QUARANTINE_OWNERS_MAX)
    .map(([rid, { blocks, extentCount }]) => {
      const member = members.get(rid);
      const { name, process, sinceMs, evidence } = { ...UNKNOWN_OWNER, ...member, ...owners.get(rid) };
      return {
        rid,
        blocks,
        extentCount,
        isMember: member !== undefined,
        name,
        hostName: process.hostName,
        pid: process.pid,
        sinceMs,
        evidence: evidence.kind,
        problem: problemOf(rid),
      };
    });
}
