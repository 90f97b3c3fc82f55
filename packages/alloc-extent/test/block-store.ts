import type { BTree, NodeReader, NodeWriter, ScanRange, TreeEntry } from "@holdfast/btree";
import { BLOCK_BYTES } from "@holdfast/environment";
import { BlockRef, BlockType, openReferencedBlock, refTo, sealBlock } from "@holdfast/wire-format";
import type { MetadataGrant } from "../src/index.ts";

const FSID = 0x5eedn;

/** Sealed blocks in memory, placed by a grant. */
export class BlockStore implements NodeReader {
  readonly #blocks: Map<bigint, Uint8Array> = new Map();

  async read(ref: BlockRef): Promise<Uint8Array> {
    const block = this.#blocks.get(ref.address) ?? new Uint8Array(BLOCK_BYTES);
    return openReferencedBlock(block, ref, { fsid: FSID, types: [BlockType.treeNode] }).payload;
  }

  /** A writer for one flush. */
  writer(grant: MetadataGrant): NodeWriter {
    return {
      allocate: () => grant.allocate(),
      free: (ref) => grant.free(ref.address),
      write: async (address, seq, payload) => {
        const identity = { fsid: FSID, address, term: 1n, writer: 7n, seq, type: BlockType.treeNode };
        const block = sealBlock(identity, payload);
        this.#blocks.set(address, block);
        return refTo(block);
      },
    };
  }
}

/** The entries of a range of a tree. */
export async function entriesOf(tree: BTree, range: ScanRange = {}): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  for await (const entry of tree.scan(range)) entries.push(entry);
  return entries;
}

/** Numbers that repeat themselves from a seed (mulberry32), 0 … below − 1. */
export function seededNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
