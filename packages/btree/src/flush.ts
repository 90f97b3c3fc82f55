/*
 * Writing the dirty nodes of a state: children before parents, because a parent holds the hash of its child.
 */
import { invariant } from "@holdfast/environment";
import { type BlockRef, NO_BLOCK } from "@holdfast/wire-format";
import type { TreeState } from "./edit.ts";
import { type Child, type TreeNode, isNode } from "./node.ts";
import { encodeNode } from "./node-codec.ts";
import type { NodeWriter } from "./node-ports.ts";
import type { NodeSource } from "./node-source.ts";

/** Writes in flight together: enough to fill a device's queue, few enough to bound memory. */
const FLUSH_WRITES_MAX = 32;

/**
 * Writes what is dirty in `state` and returns the clean state.
 *
 * @throws whatever the writer throws, after all writes begun have settled; `state` is as good as before.
 */
export async function flushState(
  state: TreeState,
  source: NodeSource,
  writer: NodeWriter,
  seq: bigint,
): Promise<TreeState> {
  const { root } = state;
  const levels: TreeNode[][] = [];
  if (root !== undefined && isNode(root)) collectDirty(root, levels);
  const addresses = allocateAll(levels, writer);
  invariant(addresses.size === state.dirtyNodeCount, "the count of dirty nodes is exact");
  const refs = new Map<TreeNode, BlockRef>();
  for (const nodes of levels) {
    for (let start = 0; start < nodes.length; start += FLUSH_WRITES_MAX) {
      const batch = nodes.slice(start, start + FLUSH_WRITES_MAX);
      await settleAll(batch.map((node) => writeNode(node)));
    }
  }
  for (let { replaced } = state; replaced !== undefined; replaced = replaced.next) writer.free(replaced.ref);
  const flushedRoot = root === undefined ? NO_BLOCK : refOf(root);
  return {
    root: root === undefined ? undefined : flushedRoot,
    dirtyNodeCount: 0,
    replaced: undefined,
    flushedRoot,
  };

  async function writeNode(node: TreeNode): Promise<void> {
    const address = addresses.get(node);
    invariant(address !== undefined, "every dirty node has its block");
    const ref = await writer.write(address, seq, encodeNode(node, refOf));
    invariant(ref.address === address && ref.seq === seq, "a writer refers to what it was given to write");
    refs.set(node, ref);
    source.keep(ref, node.type === "leaf" ? node : { ...node, children: node.children.map(refOf) });
  }

  function refOf(child: Child): BlockRef {
    if (!isNode(child)) return child;
    const ref = refs.get(child);
    invariant(ref !== undefined, "children are written before their parents");
    return ref;
  }
}

/** Dirty nodes by level, from left to right: what stands together in the tree gets blocks together. */
function collectDirty(node: TreeNode, levels: TreeNode[][]): void {
  if (node.type === "branch") {
    for (const child of node.children) if (isNode(child)) collectDirty(child, levels);
  }
  while (levels.length <= node.level) levels.push([]);
  levels[node.level]?.push(node);
}

function allocateAll(levels: readonly (readonly TreeNode[])[], writer: NodeWriter): Map<TreeNode, bigint> {
  const addresses = new Map<TreeNode, bigint>();
  for (const nodes of levels) {
    for (const node of nodes) {
      const address = writer.allocate();
      invariant(address > 0n, "block 0 holds no tree node");
      addresses.set(node, address);
    }
  }
  return addresses;
}

/** Waits for all, then fails with the first failure: nothing is left in flight behind an error. */
async function settleAll(writes: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(writes);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
