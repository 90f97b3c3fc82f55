import { type ErrorCategory, HoldfastError } from "@holdfast/environment";

/** Codes of {@link StreamError}. */
export type StreamErrorCode =
  | "ERR_HOLDFAST_STREAM_CUT"
  | "ERR_HOLDFAST_STREAM_FAILED"
  | "ERR_HOLDFAST_STREAM_BROKEN"
  | "ERR_HOLDFAST_STREAM_LIMIT"
  | "ERR_HOLDFAST_STREAM_REFUSED";

const CATEGORIES: Readonly<Record<StreamErrorCode, ErrorCategory>> = {
  ERR_HOLDFAST_STREAM_CUT: "retry",
  ERR_HOLDFAST_STREAM_FAILED: "io",
  ERR_HOLDFAST_STREAM_BROKEN: "protocol",
  ERR_HOLDFAST_STREAM_LIMIT: "retry",
  ERR_HOLDFAST_STREAM_REFUSED: "protocol",
};

/** A byte stream that did not come whole. What was read of it before counts for nothing by itself. */
export class StreamError extends HoldfastError<StreamErrorCode, { readonly reason: string }> {
  /** @param reason - The other side's error code for `STREAM_FAILED`, else what happened. */
  constructor(code: StreamErrorCode, message: string, reason: string, options?: ErrorOptions) {
    super(code, CATEGORIES[code], message, { reason }, options);
  }
}

/** The connection ended, or never came to be, before the stream was whole. */
export function cut(reason: string, cause?: unknown): StreamError {
  const options = cause === undefined ? undefined : { cause };
  return new StreamError(
    "ERR_HOLDFAST_STREAM_CUT",
    `the stream was cut off: ${reason}; begin it again`,
    reason,
    options,
  );
}

/** No stream can begin now, here or at the other side. */
export function notNow(reason: string): StreamError {
  return new StreamError(
    "ERR_HOLDFAST_STREAM_LIMIT",
    `no stream can begin now: ${reason}; begin again later`,
    reason,
  );
}

/** The server takes no streams of this member. */
export function refused(refusal: string): StreamError {
  return new StreamError(
    "ERR_HOLDFAST_STREAM_REFUSED",
    `the server refuses streams of this member: ${refusal}`,
    refusal,
  );
}

/** The other side says that it failed. */
export function failed(code: string, cause?: unknown): StreamError {
  const options = cause === undefined ? undefined : { cause };
  return new StreamError(
    "ERR_HOLDFAST_STREAM_FAILED",
    `the other side of the stream failed with ${code}`,
    code,
    options,
  );
}

/** The other side broke the rules, or bytes changed on the way. */
export function broken(reason: string): StreamError {
  return new StreamError("ERR_HOLDFAST_STREAM_BROKEN", `the stream is damaged: ${reason}`, reason);
}

/** What a failure is called on the wire: a stable code and never a message, which may hold names and paths. */
export function failureCode(error: unknown): string {
  return error instanceof HoldfastError ? error.code : "ERR_HOLDFAST_STREAM_SOURCE";
}
