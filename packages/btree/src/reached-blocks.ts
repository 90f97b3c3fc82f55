/*
 * Which blocks of the device a tree reaches.
 *
 * Leaves are not read: their parents name them. So a tree of thousands of nodes costs a few dozen reads.
 */
import type { Child } from "./node.ts";
import { isNode } from "./node.ts";
import type { Place } from "./node-codec.ts";
import { type NodeSource, ROOT_PLACE, placeOf } from "./node-source.ts";

/**
 * The blocks of all nodes below `root` that stand on the device; those that are only in memory have none yet.
 *
 * @throws {@link TreeCorruptError} and whatever the reader throws.
 */
export async function* reachedBlocks(
  root: Child | undefined,
  source: NodeSource,
): AsyncGenerator<bigint, void, void> {
  const waiting: { readonly child: Child; readonly place: Place }[] = [];
  if (root !== undefined) waiting.push({ child: root, place: ROOT_PLACE });
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { child, place } = next;
    if (!isNode(child)) yield child.address;
    if (place.level === 0) continue;
    const node = source.peek(child, place) ?? (await source.read(child, place));
    if (node.type === "leaf") continue;
    node.children.forEach((below, index) =>
      waiting.push({ child: below, place: placeOf(node, index, place) }),
    );
  }
}
