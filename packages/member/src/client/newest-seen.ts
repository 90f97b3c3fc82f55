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
   * Takes what the device shows of a term's commits now.
   *
   * @throws {@link DeviceRolledBackError} when it has shown more before.
   */
  take({ term, seq }: Pick<CommitRecord, "term" | "seq">): void {
    // With one half of copy 0 damaged, the newest that can be read may be one commit older than what was there before.
    if (term === this.#term && seq + 1n < this.#seq) throw new DeviceRolledBackError(term, this.#seq, seq);
    if (term < this.#term || (term === this.#term && seq <= this.#seq)) return;
    this.#term = term;
    this.#seq = seq;
  }
}
