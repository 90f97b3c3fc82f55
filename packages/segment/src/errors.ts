import { HoldfastError } from "@holdfast/environment";

/** Which segment failed, and at which block of the device. */
export interface StaleSegmentFacts {
  readonly [fact: string]: string | number | bigint;
  /** The segment that was meant. */
  readonly segment: bigint;
  /** First block of what was read. */
  readonly block: bigint;
}

/**
 * What stands in a segment's extent is not that segment: the extent was given to something else since the manifest
 * was read, or the device lost or damaged it.
 *
 * Fetch the manifest again and forget everything collected so far. If the new manifest names the same segment and it
 * fails again, the volume is damaged.
 */
export class StaleSegmentError extends HoldfastError<"ERR_HOLDFAST_SEGMENT_STALE", StaleSegmentFacts> {
  constructor(message: string, facts: StaleSegmentFacts, options?: ErrorOptions) {
    super("ERR_HOLDFAST_SEGMENT_STALE", "retry", message, facts, options);
  }
}
