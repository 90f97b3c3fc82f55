import type { BlockRef } from "@holdfast/wire-format";

/** Reads nodes for a tree. */
export interface NodeReader {
  /**
   * The payload of the block that `ref` names, verified against it. The tree keeps views into it: nobody may write
   * to it afterwards.
   *
   * @throws whatever reading and verifying throws; the tree passes it on and is unchanged.
   */
  read(ref: BlockRef): Promise<Uint8Array>;
}

/** Places and writes the nodes of one flush. */
export interface NodeWriter {
  /** Number of a fresh block, never 0. Called once per dirty node, before the first write. */
  allocate(): bigint;
  /**
   * Writes a payload into an allocated block; several writes are in flight together. Durability is the caller's
   * matter: it flushes the device before it names the new root anywhere.
   */
  write(address: bigint, seq: bigint, payload: Uint8Array): Promise<BlockRef>;
  /** Takes back the block of a node that the new root does not reach. Called after the last write, synchronously. */
  free(ref: BlockRef): void;
}
