import { HoldfastError } from "@holdfast/environment";
import type { Extent } from "./extent.ts";

/** Codes of {@link ExtentError}. */
export type ExtentErrorCode =
  | "ERR_HOLDFAST_EXTENT_INVALID"
  | "ERR_HOLDFAST_EXTENT_OVERLAP"
  | "ERR_HOLDFAST_EXTENT_ABSENT";

/** The extent that could not be added or removed. */
export interface ExtentFacts {
  readonly [fact: string]: string | number | bigint;
  readonly start: bigint;
  readonly lengthBlocks: number;
}

/** An extent that is no extent, is free already, or is not free. Nothing was changed. */
export class ExtentError extends HoldfastError<ExtentErrorCode, ExtentFacts> {
  constructor(code: ExtentErrorCode, { start, lengthBlocks }: Extent, what: string) {
    const category = code === "ERR_HOLDFAST_EXTENT_INVALID" ? "usage" : "corruption";
    super(code, category, `extent of ${lengthBlocks} blocks at ${start} ${what}`, { start, lengthBlocks });
  }
}

/** Where the free-space tree contradicts itself. */
export interface FreeSpaceCorruptFacts {
  readonly [fact: string]: string | number | bigint;
  /** The rule that is broken, in words. */
  readonly rule: string;
}

/** The two orders of the free-space tree, or its counters, do not say the same. */
export class FreeSpaceCorruptError extends HoldfastError<
  "ERR_HOLDFAST_FREE_SPACE_CORRUPT",
  FreeSpaceCorruptFacts
> {
  constructor(rule: string, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_FREE_SPACE_CORRUPT",
      "corruption",
      `free space is inconsistent: ${rule}`,
      { rule },
      options,
    );
  }
}

/** The server has no granted block left for metadata. */
export class GrantExhaustedError extends HoldfastError<
  "ERR_HOLDFAST_GRANT_EXHAUSTED",
  { readonly grantedBlocks: number; readonly pendingBlocks: number }
> {
  constructor(grantedBlocks: number, pendingBlocks: number) {
    super(
      "ERR_HOLDFAST_GRANT_EXHAUSTED",
      "retry",
      `all ${grantedBlocks} granted metadata blocks are in use, ${pendingBlocks} become usable with the next commit`,
      { grantedBlocks, pendingBlocks },
    );
  }
}
