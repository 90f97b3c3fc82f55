/*
 * What anybody may read to find the server (rule E9): the newest record, a hint. It does not prove itself committed; the
 * server's greeting confirms the address, and its answers the rest.
 */
import { type NextId, countIds } from "../block-reading.ts";
import { RecordSearch } from "../record-search.ts";
import type { CommitRecord } from "../record.ts";
import { type QuorumRegion, firstTerm, lastTerm } from "../region.ts";
import { TermSearch } from "../term-search.ts";
import { type IoPorts, runReading } from "./block-io.ts";

/**
 * The newest record that can be read; undefined: none can.
 *
 * @param fromTerm - A term known to have been used; the search begins there, and takes two rounds of reads when it is near.
 */
export async function readNewestRecord(
  region: QuorumRegion,
  ports: IoPorts,
  fromTerm: bigint = firstTerm(region),
): Promise<CommitRecord | undefined> {
  const nextId = countIds();
  const from = fromTerm >= firstTerm(region) && fromTerm <= lastTerm(region) ? fromTerm : firstTerm(region);
  let top = (await surveyTerms({ region, nextId, from }, ports))?.top;
  while (top !== undefined && top >= firstTerm(region)) {
    const search = new RecordSearch({ region }, nextId, top);
    await runReading(search, ports);
    switch (search.finding.type) {
      case "found":
        return search.finding.record;
      case "none":
        return undefined;
      case "corrupt":
        // An election stops here. For a hint an older address does no harm.
        top = search.finding.term - 1n;
    }
  }
  return undefined;
}

/** How far the terms are used, at the time of the call or later. */
export interface TermSurvey {
  /** No term above this one has a record. */
  readonly top: bigint;
  /** The highest term that is touched for certain: what could not be read may be pristine, and be read again later. */
  readonly touched: bigint;
}

/** Looks how far the terms are used, from a term that is known to be touched; undefined: nothing can be read. */
export async function surveyTerms(
  start: { readonly region: QuorumRegion; readonly nextId: NextId; readonly from: bigint },
  ports: IoPorts,
): Promise<TermSurvey | undefined> {
  let { from } = start;
  let touched = firstTerm(start.region);
  for (;;) {
    const search = new TermSearch(start.region, start.nextId, from);
    await runReading(search, ports);
    const { free, last, isBlind, marked } = search.window;
    if (isBlind) return undefined;
    touched = marked ?? touched;
    if (free !== undefined) return { top: free - 1n, touched };
    if (last === lastTerm(start.region)) return { top: last, touched };
    from = last;
  }
}
