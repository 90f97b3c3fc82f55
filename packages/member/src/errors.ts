import { HoldfastError } from "@holdfast/environment";

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
