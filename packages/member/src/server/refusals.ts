/*
 * What travels in place of an answer when a request of a member cannot be done.
 */
import { CompactionRefusedError } from "@holdfast/compaction";
import { HoldfastError } from "@holdfast/environment";
import { MessageError } from "@holdfast/wire-format";
import { Refusal } from "../protocol.ts";
import { NotGrantedError } from "./member-records.ts";
import { NoSpaceError } from "./volume-trees.ts";

/** A request that the server turns down, with the code that travels. */
export class RefusedError extends HoldfastError<"ERR_HOLDFAST_REFUSED", { readonly refusal: number }> {
  constructor(refusal: number, why: string) {
    super("ERR_HOLDFAST_REFUSED", "protocol", why, { refusal });
  }
}

/** The code that travels for an error. */
export function refusalFor(error: unknown): number {
  if (error instanceof RefusedError) return error.facts.refusal;
  if (error instanceof NoSpaceError)
    return error.code === "ERR_HOLDFAST_NO_SPACE" ? Refusal.noSpace : Refusal.quarantined;
  if (error instanceof NotGrantedError) return Refusal.notYours;
  if (error instanceof CompactionRefusedError) return Refusal.resultRefused;
  return error instanceof MessageError || error instanceof RangeError ? Refusal.malformed : Refusal.internal;
}
