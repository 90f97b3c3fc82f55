import { BLOCK_BYTES, type Random } from "@holdfast/environment";
import { BlockRef, BlockType, openReferencedBlock, refTo, sealBlock } from "@holdfast/wire-format";
import { type NodeReader, type NodeWriter, decodeNode } from "../src/index.ts";

const FSID = 0x5eedn;

/** Sealed blocks in memory: what a device holds, with the same verification on the way back. */
export class BlockStore implements NodeReader, NodeWriter {
  readonly blocks: Map<bigint, Uint8Array> = new Map();
  readonly freed: bigint[] = [];
  readCount = 0;
  writeCount = 0;
  /** Makes the write with this number, counted from 1, fail. */
  failingWrite = 0;
  #nextBlock = 100n;

  async read(ref: BlockRef): Promise<Uint8Array> {
    this.readCount += 1;
    const block = this.blocks.get(ref.address) ?? new Uint8Array(BLOCK_BYTES);
    return openReferencedBlock(block, ref, { fsid: FSID, types: [BlockType.treeNode] }).payload;
  }

  allocate(): bigint {
    const address = this.#nextBlock;
    this.#nextBlock += 1n;
    return address;
  }

  async write(address: bigint, seq: bigint, payload: Uint8Array): Promise<BlockRef> {
    this.writeCount += 1;
    if (this.writeCount === this.failingWrite) throw new Error("the device refused");
    const identity = { fsid: FSID, address, term: 1n, writer: 7n, seq, type: BlockType.treeNode };
    const block = sealBlock(identity, payload);
    this.blocks.set(address, block);
    return refTo(block);
  }

  free(ref: BlockRef): void {
    this.freed.push(ref.address);
  }

  /** Forgets the blocks that were freed, as if others had used them since. */
  reclaim(): void {
    for (const address of this.freed.splice(0)) {
      if (!this.blocks.delete(address)) throw new Error(`block ${address} was freed twice`);
    }
  }
}

/** Facts about a tree as its blocks tell them. */
export interface TreeShape {
  readonly addresses: readonly bigint[];
  readonly levelCount: number;
  /** Least share of its space that a node other than the root uses. */
  readonly leastFill: number;
}

/** Walks the blocks under a root. */
export async function shapeOf(
  store: BlockStore,
  root: BlockRef,
  payloadBytesMax: number,
): Promise<TreeShape> {
  if (root.address === 0n) return { addresses: [], levelCount: 0, leastFill: 1 };
  const node = decodeNode(await store.read(root), root.address);
  const addresses = [root.address];
  let leastFill = 1;
  if (node.type === "leaf") return { addresses, levelCount: 1, leastFill };
  for (const child of node.children) {
    if ("type" in child) throw new Error("a stored branch names a node in memory");
    const shape = await shapeOf(store, child, payloadBytesMax);
    const own = decodeNode(await store.read(child), child.address);
    leastFill = Math.min(leastFill, shape.leastFill, (own.bytes - 4) / (payloadBytesMax - 4));
    addresses.push(...shape.addresses);
  }
  return { addresses, levelCount: node.level + 1, leastFill };
}

/** Numbers that repeat themselves from a seed (mulberry32). */
export function seededRandom(seed: number): Pick<Random, "u32"> {
  let state = seed >>> 0;
  return { u32 };

  function u32(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
