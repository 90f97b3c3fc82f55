/*
 * Tree nodes on the device: read and verified against the reference of their parent, written in runs.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset } from "@holdfast/environment";
import type { NodeReader } from "@holdfast/btree";
import {
  type BlockRef,
  BlockType,
  openReferencedBlock,
  readVerified,
  refTo,
  sealBlock,
} from "@holdfast/wire-format";

/** Reads tree nodes of a volume. */
export class NodeStore implements NodeReader {
  readonly #device: BlockDevice;
  readonly #fsid: bigint;

  constructor(device: BlockDevice, fsid: bigint) {
    this.#device = device;
    this.#fsid = fsid;
  }

  /**
   * The payload of the node that `ref` names.
   *
   * @throws {@link BlockError} when it is not there; `ERR_HOLDFAST_BLOCK_STALE` when a newer commit reused the block.
   */
  read(ref: BlockRef): Promise<Uint8Array> {
    const expected = { fsid: this.#fsid, types: [BlockType.treeNode] };
    return readVerified(
      this.#device,
      blockOffset(ref.address),
      BLOCK_BYTES,
      (bytes) => openReferencedBlock(bytes, ref, expected).payload,
    );
  }
}

/** Greatest run of blocks in one write. */
const RUN_BLOCKS_MAX = 256;

/** Gathers the nodes of one commit and writes neighbours together, durably. */
export class NodeBatch {
  readonly #device: BlockDevice;
  readonly #identity: { readonly fsid: bigint; readonly term: bigint; readonly writer: bigint };
  readonly #blocks: { readonly address: bigint; readonly block: Uint8Array }[] = [];

  constructor(
    device: BlockDevice,
    identity: { readonly fsid: bigint; readonly term: bigint; readonly writer: bigint },
  ) {
    this.#device = device;
    this.#identity = identity;
  }

  /** Seals a node for its place; nothing is on the device before {@link write}. */
  add(address: bigint, seq: bigint, payload: Uint8Array): BlockRef {
    const block = sealBlock({ ...this.#identity, address, seq, type: BlockType.treeNode }, payload);
    this.#blocks.push({ address, block });
    return refTo(block);
  }

  /** Resolves when every node is on stable storage. */
  async write(): Promise<void> {
    const ordered = this.#blocks.toSorted((a, b) => (a.address < b.address ? -1 : 1));
    const runs: { start: bigint; blocks: Uint8Array[] }[] = [];
    for (const { address, block } of ordered) {
      const run = runs.at(-1);
      const isNeighbour = run !== undefined && run.start + BigInt(run.blocks.length) === address;
      if (isNeighbour && run.blocks.length < RUN_BLOCKS_MAX) run.blocks.push(block);
      else runs.push({ start: address, blocks: [block] });
    }
    await Promise.all(runs.map((run) => this.#writeRun(run.start, run.blocks)));
  }

  async #writeRun(start: bigint, blocks: readonly Uint8Array[]): Promise<void> {
    const bytes = new Uint8Array(blocks.length * BLOCK_BYTES);
    blocks.forEach((block, index) => bytes.set(block, index * BLOCK_BYTES));
    await this.#device.write(blockOffset(start), bytes, { isDurable: true });
  }
}
