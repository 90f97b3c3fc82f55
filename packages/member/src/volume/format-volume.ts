/*
 * mkfs: writes an empty volume.
 *
 * The super blocks come last, so that a device on which mkfs was interrupted is not taken for a volume.
 */
import { FreeSpace, NO_FREE_SPACE } from "@holdfast/alloc-extent";
import { BTree } from "@holdfast/btree";
import { BLOCK_BYTES, type BlockDevice, blockOffset, invariant, type Random } from "@holdfast/environment";
import { formatQuorum } from "@holdfast/quorum";
import { NO_BLOCK } from "@holdfast/wire-format";
import { VOLUME_FORMAT_HASH } from "../formats.ts";
import { layoutFor, type VolumeLayout } from "./layout.ts";
import { NodeBatch, NodeStore } from "./node-store.ts";
import { NO_PROCESS } from "./process-record.ts";
import { quorumRegionOf } from "./quorum-region.ts";
import { sizesFor } from "./sizes.ts";
import { FORMAT_VERSION, type SuperBlock, sealSuper } from "./super-block.ts";
import { EMPTY_STATE, SPARES_MAX, VolumeState } from "./volume-state.ts";

/** Most voters that can be asked to agree. */
export const VOTES_MAX = 64;

/** @throws RangeError when so many voters cannot be asked to agree. */
export function checkVotes(votes: number): void {
  if (!Number.isInteger(votes) || votes < 1 || votes > VOTES_MAX)
    throw new RangeError(`votes must be 1 to ${VOTES_MAX}, not ${votes}`);
}

/** What a new volume is to be like. */
export interface FormatOptions {
  /** For people, at most 64 bytes of UTF-8. */
  readonly label: string;
  /** Voters that must agree before one campaigns, 1 … 64. */
  readonly votes: number;
  /** Term slots, at least 2 and few enough to leave room for data; by the size of the volume when absent. */
  readonly termsMax?: number;
  /** Called now and then with the share done, 0 … 1. */
  readonly onProgress?: (share: number) => void;
}

/** Seq of the nodes that mkfs writes: below those of every term. */
const MKFS_SEQ = 1n;

/** Blocks gathered into one write. */
const BATCH_BLOCKS = 256;

/**
 * Formats a device. Everything on it is lost.
 *
 * @returns What the super block says.
 * @throws {@link VolumeTooSmallError} `ERR_HOLDFAST_VOLUME_TOO_SMALL`; nothing was written then.
 * @throws RangeError when an option is out of range; nothing was written then.
 */
export async function formatVolume(
  device: BlockDevice,
  options: FormatOptions,
  random: Random,
): Promise<SuperBlock> {
  checkVotes(options.votes);
  const layout = layoutFor(device.sizeBytes, options.termsMax);
  const superBlock: SuperBlock = {
    formatVersion: FORMAT_VERSION,
    formatHash: VOLUME_FORMAT_HASH,
    fsid: random.u64() | 1n,
    blockCount: layout.blockCount,
    termsMax: layout.termsMax,
    termBase: 0n,
    generation: 0,
    isRenewing: false,
    votes: options.votes,
    key: random.bytes(32),
    label: options.label,
    renewer: 0n,
    renewerProcess: NO_PROCESS,
  };
  const copies = sealSuper(superBlock);
  await eraseSupers(device, copies);
  const state = {
    ...(await writeFreeSpace(device, layout, superBlock.fsid)),
    votes: options.votes,
  };
  const region = quorumRegionOf(superBlock, layout);
  await writeBlocks(device, formatQuorum(region, VolumeState.encode(state)), {
    total: fixedBlocks(layout),
    report: options.onProgress,
  });
  await device.flush();
  await writeBlocks(device, copies, { total: 2, report: undefined });
  await device.flush();
  return superBlock;
}

function fixedBlocks(layout: VolumeLayout): number {
  return layout.quorum.hintsCount + 6 * layout.termsMax;
}

/** A half-made volume must not be taken for the one that stood here before. */
async function eraseSupers(
  device: BlockDevice,
  copies: readonly { readonly address: bigint }[],
): Promise<void> {
  for (const { address } of copies) {
    await device.write(blockOffset(address), new Uint8Array(BLOCK_BYTES), { isDurable: true });
  }
}

/** One node holds the only free extent; spares stand in front of it. */
async function writeFreeSpace(device: BlockDevice, layout: VolumeLayout, fsid: bigint): Promise<VolumeState> {
  const { grantBlocks } = sizesFor(layout.dataCount);
  const nodeAddress = layout.dataBlock;
  const spares = Array.from({ length: SPARES_MAX }, (_, index) => ({
    start: nodeAddress + 1n + BigInt(index * grantBlocks),
    lengthBlocks: grantBlocks,
  }));
  const start = nodeAddress + 1n + BigInt(SPARES_MAX * grantBlocks);
  const lengthBlocks = Number(layout.dataBlock + layout.dataCount - start);
  const tree = new BTree(NO_BLOCK, new NodeStore(device, fsid));
  const free = new FreeSpace(
    tree,
    { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) },
    NO_FREE_SPACE,
  );
  await free.add({ start, lengthBlocks });
  invariant(tree.dirtyNodeCount === 1, "one free extent fits one node");
  const batch = new NodeBatch(device, { fsid, term: 0n, writer: 0n });
  const freeRoot = await tree.flush(
    {
      allocate: () => nodeAddress,
      write: (address, seq, payload) => Promise.resolve(batch.add(address, seq, payload)),
      free: () => {},
    },
    MKFS_SEQ,
  );
  await batch.write();
  return { ...EMPTY_STATE, freeRoot, free: { ...free.counters, cursor: start }, spares };
}

/** Writes blocks, neighbours together. */
async function writeBlocks(
  device: BlockDevice,
  blocks: Iterable<{ readonly address: bigint; readonly block: Uint8Array }>,
  progress: { readonly total: number; readonly report: ((share: number) => void) | undefined },
): Promise<void> {
  let run: { start: bigint; blocks: Uint8Array[] } | undefined;
  let done = 0;
  for (const { address, block } of blocks) {
    const isNeighbour = run !== undefined && run.start + BigInt(run.blocks.length) === address;
    if (run !== undefined && isNeighbour && run.blocks.length < BATCH_BLOCKS) {
      run.blocks.push(block);
      continue;
    }
    if (run !== undefined) await writeRun(device, run);
    done += run?.blocks.length ?? 0;
    progress.report?.(done / progress.total);
    run = { start: address, blocks: [block] };
  }
  if (run !== undefined) await writeRun(device, run);
  progress.report?.(1);
}

async function writeRun(
  device: BlockDevice,
  run: { readonly start: bigint; readonly blocks: readonly Uint8Array[] },
): Promise<void> {
  const bytes = new Uint8Array(run.blocks.length * BLOCK_BYTES);
  run.blocks.forEach((block, index) => bytes.set(block, index * BLOCK_BYTES));
  await device.write(blockOffset(run.start), bytes, { isDurable: false });
}
