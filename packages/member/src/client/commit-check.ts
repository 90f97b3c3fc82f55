/*
 * The check behind every journal write (architecture 9): announce-then-read once more.
 *
 * A read that began when the write was done shows the term this member is counted in, no later one announced, and
 * no eviction of it. Then whoever comes later and reads the journal sees the write. Two things may stand in the way:
 *
 *   - A later term: the write waits until its server has counted this member in, and looks again.
 *   - A record that tells of evictions unknown here, or damage that may hide a newer one: the server is asked. Its word, given
 *     after a check that began when it was asked, is as good as the look: whoever evicts this member does so later.
 *
 * A device that shows less than it has shown before ends the membership: what was acknowledged is gone from it.
 */
import type { BrokenRules } from "@holdfast/environment";
import type { CommitRecord, TermStatus } from "@holdfast/quorum";
import { evictGenerationOf } from "../volume/volume-state.ts";
import { DeviceRolledBackError, type NewestSeen } from "./newest-seen.ts";
import type { ServerLink } from "./server-link.ts";

/** What the check looks at. */
export interface CommitCheckOptions {
  readonly link: Pick<ServerLink, "term" | "evictGeneration" | "failure" | "confirm" | "termAfter" | "fail">;
  /** What the device has shown before. */
  readonly newestSeen: NewestSeen;
  /** Reads the term's slots and newest record, now. */
  readonly readTermStatus: (term: bigint) => Promise<TermStatus>;
  readonly brokenRules: BrokenRules;
}

/**
 * Resolves when what this member wrote before the call is committed.
 *
 * @throws {@link EvictedError} when it never will be by this member's word; {@link DeviceRolledBackError}.
 */
export async function checkCommitted(options: CommitCheckOptions): Promise<void> {
  const { link } = options;
  for (;;) {
    if (link.failure !== undefined) throw link.failure;
    const { term } = link;
    const { isSuperseded, record, isDamaged } = await options.readTermStatus(term);
    if (link.failure !== undefined) throw link.failure;
    if (!isDamaged) takeSeen(options, term, record);
    if (isSuperseded && !options.brokenRules.has("superseded-term-waits")) {
      await link.termAfter(term);
      continue;
    }
    const generation = record === undefined || isDamaged ? undefined : evictGenerationOf(record.payload);
    return generation === link.evictGeneration ? undefined : await link.confirm();
  }
}

function takeSeen(
  { link, newestSeen }: CommitCheckOptions,
  term: bigint,
  record: CommitRecord | undefined,
): void {
  try {
    newestSeen.take(term, record);
  } catch (error) {
    if (error instanceof DeviceRolledBackError) link.fail(error);
    throw error;
  }
}
