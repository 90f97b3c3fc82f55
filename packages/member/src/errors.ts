import { HoldfastError } from "@holdfast/environment";
import { Refusal } from "./protocol.ts";

/** This member was evicted while it was silent: its locks and blocks belong to others now. */
export class EvictedError extends HoldfastError<"ERR_HOLDFAST_EVICTED", { readonly rid: bigint }> {
  constructor(rid: bigint, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_EVICTED",
      "fenced",
      `member ${rid.toString(16)} was evicted: calls that had not returned have an unknown outcome; open the volume again`,
      { rid },
      options,
    );
  }
}

/** The volume was closed by this program. */
export class ClosedError extends HoldfastError<"ERR_HOLDFAST_CLOSED", Record<string, never>> {
  constructor() {
    super("ERR_HOLDFAST_CLOSED", "usage", "the volume is closed", {});
  }
}

/** The server refused for good to have this member. */
export class SessionRefusedError extends HoldfastError<
  "ERR_HOLDFAST_SESSION_REFUSED",
  { readonly refusal: number }
> {
  constructor(refusal: number) {
    super(
      "ERR_HOLDFAST_SESSION_REFUSED",
      "usage",
      `the server refused this member with code ${refusal}: it serves another volume or another format`,
      { refusal },
    );
  }
}

/** The server turned an operation down. */
export class OperationRefusedError extends HoldfastError<
  "ERR_HOLDFAST_OPERATION_REFUSED",
  { readonly command: number; readonly refusal: number }
> {
  constructor(command: number, refusal: number, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_OPERATION_REFUSED",
      "protocol",
      `the server refused command ${command} with code ${refusal}`,
      { command, refusal },
      options,
    );
  }
}

/** A server's own member did not reach it: what waits for that member would wait without end. */
export class OwnAddressError extends HoldfastError<
  "ERR_HOLDFAST_OWN_ADDRESS",
  { readonly term: bigint; readonly address: string }
> {
  /** @param waitedMs - How long the member had no connection, in milliseconds. */
  constructor(term: bigint, address: string, waitedMs: number) {
    super(
      "ERR_HOLDFAST_OWN_ADDRESS",
      "io",
      `the server of term ${term} makes room for another one: for ${waitedMs} ms its own process did not reach it at ${address}; see that this host can dial that address, it serves again then; or open the volume again and listen at another one`,
      { term, address },
    );
  }
}

/** Fewer voters are members than were to agree before one campaigns. */
export class TooFewVotersError extends HoldfastError<
  "ERR_HOLDFAST_TOO_FEW_VOTERS",
  { readonly votes: number }
> {
  constructor(votes: number, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_TOO_FEW_VOTERS",
      "conflict",
      `fewer than ${votes} voters are members now, and with ${votes} votes they could not replace their server: start more of them first, or use --force`,
      { votes },
      options,
    );
  }
}

/** What was written under a lock could not be written back when the lock was called in. */
export class FlushFailedError extends HoldfastError<"ERR_HOLDFAST_FLUSH_FAILED", { readonly rid: bigint }> {
  constructor(rid: bigint, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_FLUSH_FAILED",
      "io",
      `member ${rid.toString(16)} could not write back and left the volume: what was acknowledged stands in its journal and others replay it; see the cause`,
      { rid },
      options,
    );
  }
}

/** Codes of {@link FenceRefusedError}. */
export type FenceRefusedCode =
  | "ERR_HOLDFAST_FENCE_LIVING"
  | "ERR_HOLDFAST_FENCE_SERVES"
  | "ERR_HOLDFAST_FENCE_UNKNOWN";

/** A member that is not fenced on an operator's word. */
export class FenceRefusedError extends HoldfastError<FenceRefusedCode, { readonly rid: bigint }> {
  constructor(code: FenceRefusedCode, rid: bigint, why: string, options?: ErrorOptions) {
    super(code, "usage", `member ${rid.toString(16).padStart(16, "0")} ${why}`, { rid }, options);
  }
}

/** What a refusal of the server to fence a member means; undefined when it is about something else. */
export function fenceRefused(rid: bigint, cause: OperationRefusedError): FenceRefusedError | undefined {
  switch (cause.facts.refusal) {
    case Refusal.living:
      return new FenceRefusedError(
        "ERR_HOLDFAST_FENCE_LIVING",
        rid,
        "is connected: stop its process, or evict it by force when it is cut off from the volume",
        { cause },
      );
    case Refusal.serves:
      return new FenceRefusedError(
        "ERR_HOLDFAST_FENCE_SERVES",
        rid,
        "serves the volume now: stop its process, and fence it at its successor",
        { cause },
      );
    case Refusal.unknownMember:
      return new FenceRefusedError(
        "ERR_HOLDFAST_FENCE_UNKNOWN",
        rid,
        "is no member, and nothing of it is in quarantine: it was released already, or never was",
        { cause },
      );
    default:
      return undefined;
  }
}
