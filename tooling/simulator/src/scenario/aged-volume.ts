/*
 * A volume that was in use for long: free space in pieces, spares short and far away, much in quarantine.
 *
 * mkfs leaves one free extent behind sixteen long spares. There an allocator has hardly a choice, grants always rise, and
 * a server never runs short of metadata blocks, so most of what can go wrong with them cannot be seen. This writes
 * the first state of a volume anew, as mkfs could have left it had it found the device in pieces.
 */
import { FreeSpace, NO_FREE_SPACE, quarantineKey, quarantineValue } from "@holdfast/alloc-extent";
import { BTree } from "@holdfast/btree";
import { BLOCK_BYTES, type BlockDevice, blockOffset, invariant } from "@holdfast/environment";
import {
  EMPTY_STATE,
  NodeBatch,
  NodeStore,
  SPARES_MAX,
  VolumeState,
  type VolumeLayout,
} from "@holdfast/member";
import { recordBlock, sealRecord } from "@holdfast/quorum";
import { NO_BLOCK } from "@holdfast/wire-format";
import type { BlockRun } from "../shadow/block-runs.ts";
import type { RandomStream } from "../world/random-stream.ts";

/** What is aged. */
export interface AgedVolume {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  readonly layout: VolumeLayout;
  readonly random: RandomStream;
}

/** Blocks for the nodes of the first trees. */
const NODE_BLOCKS = 64;

/** Seq of the first nodes, as mkfs gives it. */
const MKFS_SEQ = 1n;

/** Whose blocks fill the gaps between free ones: somebody long gone. */
export const GONE = 1n;

const PIECES_MAX = 200;
const PIECE_BLOCKS_MAX = 600;

/** So much of a volume may be in quarantine: more than its server keeps silent about. */
const ALARMING_SHARE = 0.11;
const ALARMING_PROBABILITY = 0.25;

/** Shorter than a server wants for itself, long enough for its first commits. */
const SPARE_BLOCKS_MIN = 64;
const SPARE_BLOCKS_MAX = 256;

/** Rewrites the first state of a fresh volume; returns the blocks that its trees were written to. */
export async function ageVolume({ device, fsid, layout, random }: AgedVolume): Promise<BlockRun> {
  const nodes = { start: layout.dataBlock, lengthBlocks: NODE_BLOCKS };
  const pieces = drawPieces(layout.dataBlock + BigInt(NODE_BLOCKS), random);
  if (random.fork("alarm").chance(ALARMING_PROBABILITY)) {
    const lengthBlocks = Math.ceil((Number(device.sizeBytes) / BLOCK_BYTES) * ALARMING_SHARE);
    pieces.held.push({ start: pieces.end, lengthBlocks });
    pieces.end += BigInt(lengthBlocks);
  }
  const end = layout.dataBlock + layout.dataCount;
  const spares = drawSpares(end, random);
  const last = spares.at(-1);
  invariant(last !== undefined, "there are spares");

  const store = new NodeStore(device, fsid);
  const trees = { free: new BTree(NO_BLOCK, store), quarantine: new BTree(NO_BLOCK, store) };
  const bounds = { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) };
  const free = new FreeSpace(trees.free, bounds, NO_FREE_SPACE);
  for (const extent of pieces.free) await free.add(extent);
  await free.add({ start: pieces.end, lengthBlocks: Number(last.start - pieces.end) });
  let blocks = 0;
  for (const extent of pieces.held) {
    await trees.quarantine.put(
      quarantineKey(GONE, extent.start),
      quarantineValue({ extent, owner: GONE, term: 0n }),
    );
    blocks += extent.lengthBlocks;
  }

  const batch = new NodeBatch(device, { fsid, term: 0n, writer: 0n });
  let next = nodes.start;
  const writer = {
    allocate: () => next++,
    write: (address: bigint, seq: bigint, payload: Uint8Array) =>
      Promise.resolve(batch.add(address, seq, payload)),
    free: () => {},
  };
  const state = {
    ...EMPTY_STATE,
    freeRoot: await trees.free.flush(writer, MKFS_SEQ),
    quarantineRoot: await trees.quarantine.flush(writer, MKFS_SEQ),
    free: { ...free.counters, cursor: layout.dataBlock },
    quarantine: { blocks, extentCount: pieces.held.length },
    spares,
  };
  invariant(next <= nodes.start + BigInt(NODE_BLOCKS), "the first trees fit their blocks");
  await batch.write();
  await writeFirstRecord(device, { fsid, layout }, VolumeState.encode(state));
  return nodes;
}

/** Free extents with others between them. */
function drawPieces(
  from: bigint,
  random: RandomStream,
): { readonly free: BlockRun[]; readonly held: BlockRun[]; end: bigint } {
  const [free, held]: [BlockRun[], BlockRun[]] = [[], []];
  let end = from;
  for (let count = random.between(1, PIECES_MAX); count > 0; count--) {
    for (const runs of [free, held]) {
      const lengthBlocks = Math.ceil(PIECE_BLOCKS_MAX ** random.unit());
      runs.push({ start: end, lengthBlocks });
      end += BigInt(lengthBlocks);
    }
  }
  return { free, held, end };
}

/** Spares of any length at the end of the device, the first to be taken last. */
function drawSpares(end: bigint, random: RandomStream): BlockRun[] {
  let start = end;
  return Array.from({ length: SPARES_MAX }, () => {
    const lengthBlocks = random.between(SPARE_BLOCKS_MIN, SPARE_BLOCKS_MAX);
    start -= BigInt(lengthBlocks);
    return { start, lengthBlocks };
  });
}

async function writeFirstRecord(
  device: BlockDevice,
  { fsid, layout }: Pick<AgedVolume, "fsid" | "layout">,
  payload: Uint8Array,
): Promise<void> {
  const record = { term: 1n, seq: 1n, writer: 0n, address: "", payload };
  for (const copy of [0, 1] as const) {
    const block = recordBlock({ fsid, ...layout.quorum }, 1n, copy);
    await device.write(blockOffset(block), sealRecord(record, { fsid, block }), { isDurable: true });
  }
}
