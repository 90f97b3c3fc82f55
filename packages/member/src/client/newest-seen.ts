import { HoldfastError } from "@holdfast/environment";
import type { CommitRecord } from "@holdfast/quorum";

/** The device shows what it held before: somebody restored a copy under a running member. */
export class DeviceRolledBackError extends HoldfastError<
  "ERR_HOLDFAST_DEVICE_ROLLED_BACK",
  { readonly term: bigint; readonly seen: bigint; readonly found: bigint }
> {
  constructor(term: bigint, seen: bigint, found: bigint) {
    super(
      "ERR_HOLDFAST_DEVICE_ROLLED_BACK",
      "corruption",
      `the device shows commit ${found} of term ${term} where commit ${seen} was seen before: it went back to an earlier state; stop every process on it and find out who restored it`,
      { term, seen, found },
    );
  }
}

/**
 * The newest commit that this member has read of its servers. A process that starts afresh cannot know that a whole
 * device went back to an earlier state; one that runs can, and must not go on (reliability 2.5 I7, scenario 23).
 */
export class NewestSeen {
  #term = 0n;
  #seq = 0n;

  /**
   * Takes what the device shows now of the commits of a term whose server has counted this member in, undefined if that is none.
   *
   * @throws {@link DeviceRolledBackError} when it must have held more before.
   */
  take(term: bigint, record: Pick<CommitRecord, "seq"> | undefined): void {
    const seq = record?.seq ?? 0n;
    const seen = term === this.#term ? this.#seq : 0n;
    // A record proves the one before it, and to be counted in the first one. Itself it may not be there the next time: one in
    // flight may be on one side of a mirror only, and of one whose first copy was damaged since the other may not be written.
    const proven = seen > 1n ? seen - 1n : 1n;
    if (seq < proven) throw new DeviceRolledBackError(term, proven, seq);
    if (term < this.#term || seq <= seen) return;
    this.#term = term;
    this.#seq = seq;
  }
}
