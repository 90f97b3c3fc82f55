import type { QuorumRegion } from "@holdfast/quorum";
import type { VolumeLayout } from "./layout.ts";
import type { SuperBlock } from "./super-block.ts";

/** Where the elections of a volume take place, in the present generation of its term slots. */
export function quorumRegionOf(
  { fsid, termBase, generation }: Pick<SuperBlock, "fsid" | "termBase" | "generation">,
  layout: Pick<VolumeLayout, "quorum">,
): QuorumRegion {
  return { ...layout.quorum, fsid, termBase, generation };
}
