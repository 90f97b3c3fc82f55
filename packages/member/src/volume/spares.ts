/*
 * Spares for a volume that has none left, in a renewal: everybody who was granted an extent of the orphans is confirmed dead then,
 * or has drained, so what no tree reaches of them is anybody's. Nothing else changes, and no tree is written.
 */
import { BTree, type NodeReader } from "@holdfast/btree";
import { type OrphanedGrant, SPARES_MAX, VolumeState } from "./volume-state.ts";

/** What it takes. */
export interface SparesOptions {
  readonly nodes: NodeReader;
  /** Blocks of a spare. */
  readonly grantBlocks: number;
}

/**
 * The encoded state with spares made of orphans; as it is when there is a spare.
 *
 * @throws {@link BlockError} when a tree cannot be read.
 */
export async function withSpares(
  payload: Uint8Array,
  { nodes, grantBlocks }: SparesOptions,
): Promise<Uint8Array> {
  const state = VolumeState.decode(payload);
  if (state.spares.length > 0) return payload;
  const reached: bigint[] = [];
  for (const root of [state.freeRoot, state.manifestRoot, state.membersRoot, state.quarantineRoot])
    for await (const block of new BTree(root, nodes).reachedBlocks()) reached.push(block);
  const isSpare = ({ start, lengthBlocks }: OrphanedGrant): boolean =>
    lengthBlocks * 2 >= grantBlocks &&
    !reached.some((block) => block >= start && block < start + BigInt(lengthBlocks));
  const taken = state.orphans.filter(isSpare).slice(0, SPARES_MAX);
  return VolumeState.encode({
    ...state,
    spares: taken.map(({ start, lengthBlocks }) => ({ start, lengthBlocks })),
    orphans: state.orphans.filter((orphan) => !taken.includes(orphan)),
  });
}
