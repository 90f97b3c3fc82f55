/*
 * Whether a term is over, and what its server said last: what a member reads behind each of its journal writes.
 */
import { NO_BROKEN_RULES } from "@holdfast/environment";
import { countIds } from "../block-reading.ts";
import { Check } from "../check.ts";
import type { CommitRecord } from "../record.ts";
import type { QuorumRegion } from "../region.ts";
import { TermRecordReading } from "../term-record.ts";
import { type IoPorts, runCheck, runReading } from "./block-io.ts";

/** What is known of a term. */
export interface TermStatus {
  /** True: a later term is announced, or cannot be ruled out. */
  readonly isSuperseded: boolean;
  /** The newest readable record of the term, of either copy; undefined: none yet. */
  readonly record: CommitRecord | undefined;
  /** True if a newer record may have stood where neither copy can be read. */
  readonly isDamaged: boolean;
}

/** Reads a term's status, all of it after the call: three reads at once when nothing is damaged. */
export async function readTermStatus(
  region: QuorumRegion,
  ports: IoPorts,
  term: bigint,
): Promise<TermStatus> {
  const check = new Check({ region, term, brokenRules: NO_BROKEN_RULES }, countIds());
  const reading = new TermRecordReading(region, countIds(), term);
  const [outcome] = await Promise.all([runCheck(check, ports), runReading(reading, ports)]);
  return { isSuperseded: outcome.type === "deposed", record: reading.record, isDamaged: reading.isDamaged };
}
