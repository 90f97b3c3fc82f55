/*
 * Renewal: the term slots start afresh as their next generation, when every other process that ever claimed a term is
 * confirmed dead.
 *
 * The order makes it safe to crash at any write. The volume's super block says first, durably, that the slots go over
 * to the next generation; from then on the volume opens for a renewal only, which runs again from the start. Then:
 *
 *   1. hints and splitters become those of the next generation: to whoever still serves, a later term is announced;
 *   2. the newest record is read, of the next generation if an interrupted renewal has come so far, else of this one;
 *   3. both copies of it become the first record of the next generation, in a half that no first record of this one has;
 *   4. every other record's block becomes pristine.
 *
 * Until step 3 is durable no record of the old generation is touched; afterwards the new one stands. Terms of two
 * generations are never equal, so what is left of the old one can be taken for nothing. A record behind the first of the
 * next generation says that all was done before: running again would bring an older state back, so nothing is written.
 */
import { invariant } from "@holdfast/environment";
import { firstRecords, formatHintsAndSlots, formatRecordsBehind, type FormattedBlock } from "./format.ts";
import { lastTerm, type QuorumRegion } from "./region.ts";

/** The region of the next generation: the same blocks, terms from where those of this one end. */
export function nextGeneration(region: QuorumRegion): QuorumRegion {
  return { ...region, termBase: lastTerm(region), generation: region.generation + 1 };
}

/** What a renewal writes, step by step; each step is durable before the next begins. */
export type RenewalStep = "announce" | "record" | "record-copy" | "rest";

/**
 * The blocks of one step, to be written in any order.
 *
 * @param region - The generation that begins.
 * @param payload - What the newest record holds; the step `announce` does not need it.
 */
export function* renewalBlocks(
  region: QuorumRegion,
  step: RenewalStep,
  payload: Uint8Array,
): Generator<FormattedBlock> {
  invariant(region.generation > 0, "a renewal makes a generation after the first");
  switch (step) {
    case "announce":
      yield* formatHintsAndSlots(region);
      return;
    case "record":
      yield firstRecords(region, payload)[0];
      return;
    case "record-copy":
      yield firstRecords(region, payload)[1];
      return;
    case "rest":
      yield* formatRecordsBehind(region, 0);
      yield* formatRecordsBehind(region, 1);
      return;
  }
}
