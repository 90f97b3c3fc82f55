/*
 * The first record of a term: the adopted state, with the grants of the former server set aside and one spare
 * extent taken for the new one. No tree is touched, since nothing may be written before this record is committed.
 */
import { HoldfastError } from "@holdfast/environment";
import type { CommitRecord } from "@holdfast/quorum";
import type { ProcessRecord } from "../volume/process-record.ts";
import { ORPHANS_MAX, type VolumeState } from "../volume/volume-state.ts";

/** No extent is set aside for another server. */
export class NoSpareError extends HoldfastError<"ERR_HOLDFAST_NO_SPARE", { readonly term: bigint }> {
  constructor(term: bigint) {
    super(
      "ERR_HOLDFAST_NO_SPARE",
      "fenced",
      `no extent is set aside for the server of term ${term}: too many servers died before their second commit; the volume needs "holdfast renew"`,
      { term },
    );
  }
}

/** Who opens. */
export interface OpeningServer {
  readonly term: bigint;
  readonly process: ProcessRecord;
}

/**
 * The state that the opening commit of a term records.
 *
 * @throws {@link NoSpareError} `ERR_HOLDFAST_NO_SPARE` when no spare extent is left.
 */
export function openingState(
  adopted: VolumeState,
  former: Pick<CommitRecord, "writer" | "term">,
  { term, process }: OpeningServer,
): VolumeState {
  const [taken, ...spares] = adopted.spares;
  const orphans = [
    ...adopted.orphans,
    ...adopted.metadataGrants.map(({ start, lengthBlocks }) => ({
      start,
      lengthBlocks,
      owner: former.writer,
      term: former.term,
      isDrained: adopted.isResigned,
    })),
  ];
  if (taken === undefined || orphans.length > ORPHANS_MAX) throw new NoSpareError(term);
  return { ...adopted, server: process, isResigned: false, metadataGrants: [taken], spares, orphans };
}
