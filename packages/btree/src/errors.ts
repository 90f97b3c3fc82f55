import { HoldfastError } from "@holdfast/environment";

/** Which node of a tree is malformed, and how. */
export interface TreeCorruptFacts {
  readonly [fact: string]: string | number | bigint;
  /** Number of the block that holds the node. */
  readonly block: bigint;
  /** The rule that it breaks, in words. */
  readonly rule: string;
}

/**
 * A node whose block is intact and is the one its parent names, but whose content cannot be part of the tree.
 *
 * Software wrote it so; reading again cannot help.
 */
export class TreeCorruptError extends HoldfastError<"ERR_HOLDFAST_TREE_CORRUPT", TreeCorruptFacts> {
  constructor(block: bigint, rule: string, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_TREE_CORRUPT",
      "corruption",
      `tree node in block ${block} is malformed: ${rule}`,
      { block, rule },
      options,
    );
  }
}
