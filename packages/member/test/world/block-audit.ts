/*
 * Every block of the extents' area has exactly one owner, and every node of the trees stands where metadata may.
 */
import { BTree } from "@holdfast/btree";
import type { StoredExtent } from "../../src/index.ts";
import { NodeStore } from "../../src/volume/node-store.ts";
import type { ServerWorld, TestServer } from "./server-world.ts";

interface OwnedRun extends StoredExtent {
  readonly owner: string;
}

/** What is wrong with the blocks of a server between two changes; mkfs's one node belongs to nobody. */
export async function auditBlocks(
  world: ServerWorld,
  { committer, trees }: Pick<TestServer, "committer" | "trees">,
): Promise<readonly string[]> {
  const { layout } = world;
  const runs = await ownedRuns(trees, layout.dataBlock);
  const complaints: string[] = [];
  let at = layout.dataBlock;
  for (const { start, lengthBlocks, owner } of runs.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    if (start < at) complaints.push(`block ${start} of ${owner} has another owner too`);
    if (start > at) complaints.push(`blocks ${at} to ${start - 1n} have no owner`);
    at = start + BigInt(lengthBlocks);
  }
  if (at !== layout.dataBlock + layout.dataCount) complaints.push(`the last owner ends at ${at}`);
  const places = runs.filter(({ owner }) => owner.startsWith("metadata"));
  const { freeRoot, manifestRoot, membersRoot, quarantineRoot } = committer.committed;
  for (const root of [freeRoot, manifestRoot, membersRoot, quarantineRoot]) {
    for await (const node of new BTree(root, new NodeStore(world.device, world.fsid)).reachedBlocks())
      if (!places.some((place) => node >= place.start && node < place.start + BigInt(place.lengthBlocks)))
        complaints.push(`node ${node} stands where no metadata may`);
  }
  await trees.free.verify();
  return complaints;
}

async function ownedRuns(trees: TestServer["trees"], mkfsNode: bigint): Promise<readonly OwnedRun[]> {
  const runs: OwnedRun[] = [{ start: mkfsNode, lengthBlocks: 1, owner: "metadata of mkfs" }];
  const add = (owner: string, { start, lengthBlocks }: StoredExtent): void => {
    runs.push({ owner, start, lengthBlocks });
  };
  const { metadataGrants, spares, orphans } = trees.state;
  for (const extent of metadataGrants) add("metadata of the server", extent);
  for (const extent of spares) add("a spare", extent);
  for (const extent of orphans) add("metadata of an orphan", extent);
  for await (const extent of trees.free.extents()) add("free space", extent);
  for await (const { extent, owner } of trees.quarantined())
    add(`metadata of ${owner} in quarantine`, extent);
  for (const [rid, { journal }] of await trees.members.list()) {
    add(`journal of ${rid}`, journal.first);
    add(`journal of ${rid}`, journal.second);
    for (const extent of await trees.members.grants(rid)) add(`grant of ${rid}`, extent);
  }
  for (const { id, extent } of await trees.manifest.list()) add(`segment ${id}`, extent);
  return runs;
}
