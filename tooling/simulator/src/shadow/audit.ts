/*
 * The audit of a committed state: every block of the extents' area has exactly one owner.
 *
 * Owners are: free space, the server's metadata grants, spares, orphaned grants of former servers, members' grants,
 * members' journals, segments of the manifest, the quarantine, and the blocks that mkfs wrote its first tree to. A block
 * without an owner is leaked, one with two will be overwritten; both are complaints. Nodes of the trees stand inside
 * metadata grants, orphans, the quarantine or mkfs's blocks, for a former server's grants go into quarantine together with
 * the nodes in use there: a node that is no longer reached is not leaked, it is where its region is.
 *
 * What is leaked for good, and allowed: blocks of mkfs that no tree reaches any more. They belong to no grant.
 */
import { NOBODY, type VolumeLayout } from "@holdfast/member";
import { type BlockRun, endOf, firstOutside } from "./block-runs.ts";
import type { FreeItem, VolumeImage } from "./volume-image.ts";

/** What an audit looks at. */
export interface AuditOptions {
  readonly image: VolumeImage;
  /** All entries of the free-space tree. */
  readonly free: readonly FreeItem[];
  readonly layout: Pick<VolumeLayout, "dataBlock" | "dataCount">;
  /** Blocks that mkfs wrote its first trees to. */
  readonly mkfs: BlockRun;
}

interface OwnedRun extends BlockRun {
  readonly owner: string;
}

/** Complaints told of one audit. */
const COMPLAINTS_MAX = 5;

/** Looks for blocks with no owner or with two, and for totals that do not agree with what they count. */
export function audit(options: AuditOptions): readonly string[] {
  const { image, free, layout, mkfs } = options;
  const whole = { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) };
  const complaints = [
    ...checkOwners(ownersOf(options), whole),
    ...checkNodes(image, mkfs),
    ...checkFreeSpace(image, free),
    ...checkQuarantine(image),
  ];
  return complaints.slice(0, COMPLAINTS_MAX);
}

function ownersOf({ image, free, mkfs }: AuditOptions): OwnedRun[] {
  const { state, members, segments, quarantine } = image;
  return [
    ...ownedBy("mkfs", [mkfs]),
    ...ownedBy(
      "free space",
      free.filter(({ order }) => order === "start"),
    ),
    ...ownedBy("the server's metadata", state.metadataGrants),
    ...ownedBy("the spares", state.spares),
    ...ownedBy("the orphans", state.orphans),
    ...[...members].flatMap(([rid, { record, grants }]) => [
      ...ownedBy(`member ${rid}`, grants),
      ...ownedBy(`the journal of ${rid}`, record === undefined ? [] : Object.values(record.journal)),
    ]),
    ...segments.flatMap(({ id, extent }) => ownedBy(`segment ${id}`, [extent])),
    ...[...quarantine].flatMap(([rid, runs]) => ownedBy(`the quarantine of ${rid}`, runs)),
  ];
}

function ownedBy(owner: string, runs: readonly BlockRun[]): OwnedRun[] {
  return runs.map(({ start, lengthBlocks }) => ({ owner, start, lengthBlocks }));
}

function checkOwners(runs: readonly OwnedRun[], whole: BlockRun): string[] {
  const complaints: string[] = [];
  let leakedBlocks = 0n;
  let [at, before] = [whole.start, "nobody"];
  for (const run of runs.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    if (run.start < at) complaints.push(`block ${run.start} belongs to ${before} and to ${run.owner}`);
    if (run.start > at) {
      leakedBlocks += run.start - at;
      complaints.push(`blocks ${at} to ${run.start - 1n} belong to nobody, behind ${before}`);
    }
    if (endOf(run) > at) [at, before] = [endOf(run), run.owner];
  }
  if (at < endOf(whole)) complaints.push(`blocks from ${at} on belong to nobody, behind ${before}`);
  if (at > endOf(whole)) complaints.push(`${before} reaches behind the last block, to ${at}`);
  return leakedBlocks > 0n ? [`${leakedBlocks} blocks are leaked`, ...complaints] : complaints;
}

function checkNodes({ state, nodes, quarantine }: VolumeImage, mkfs: BlockRun): string[] {
  const regions = [...state.metadataGrants, ...state.orphans, mkfs, ...[...quarantine.values()].flat()];
  return [...nodes]
    .filter((block) => firstOutside({ start: block, lengthBlocks: 1 }, regions) !== undefined)
    .map((block) => `the tree node in block ${block} stands in no region for metadata`);
}

function checkFreeSpace({ state }: VolumeImage, free: readonly FreeItem[]): string[] {
  const byStart = free.filter(({ order }) => order === "start");
  const lengths = new Set(
    free
      .filter(({ order }) => order === "length")
      .map(({ start, lengthBlocks }) => `${start}+${lengthBlocks}`),
  );
  const complaints = byStart
    .filter(({ start, lengthBlocks }) => !lengths.has(`${start}+${lengthBlocks}`))
    .map(({ start }) => `the free extent at ${start} is missing in the order of lengths`);
  const blocks = byStart.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  const { freeBlocks, extentCount } = state.free;
  if (lengths.size !== byStart.length || byStart.length !== extentCount || blocks !== freeBlocks)
    complaints.push(
      `${blocks} blocks in ${byStart.length} extents are free (${lengths.size} by length), ` +
        `but ${freeBlocks} in ${extentCount} are counted`,
    );
  return complaints;
}

function checkQuarantine({ state, quarantine }: VolumeImage): string[] {
  const retained = quarantine.get(NOBODY) ?? [];
  const others = [...quarantine].filter(([owner]) => owner !== NOBODY).flatMap(([, runs]) => runs);
  return [
    ...checkTotals("in quarantine", others, state.quarantine),
    ...checkTotals("retained", retained, state.retained),
  ];
}

function checkTotals(
  where: string,
  runs: readonly BlockRun[],
  counted: { readonly blocks: number; readonly extentCount: number },
): string[] {
  const blocks = runs.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  if (blocks === counted.blocks && runs.length === counted.extentCount) return [];
  return [
    `${blocks} blocks in ${runs.length} extents are ${where}, but ${counted.blocks} in ${counted.extentCount} are counted`,
  ];
}
