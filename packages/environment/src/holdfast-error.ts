/*
 * Errors that a correct program must expect.
 *
 * Each has a stable `code`, facts that a log can index, and a `category` that says what a caller may do: only
 * "retry" is ever retried by a library.
 */

/** Facts about one occurrence of an error, ready for a structured log. */
export type Facts = Readonly<Record<string, string | number | bigint | boolean>>;

/** What kind of trouble an error is. */
export type ErrorCategory = "corruption" | "io" | "protocol" | "conflict" | "usage" | "retry" | "fenced";

/**
 * An operating error: something a correct program must expect and handle.
 *
 * A broken invariant is not one of these; it throws {@link InvariantError} and ends the process.
 */
export abstract class HoldfastError<Code extends string = string, F extends Facts = Facts> extends Error {
  /** What went wrong, `ERR_HOLDFAST_…`. Stable across minor versions, unlike the message. */
  readonly code: Code;
  /** What a caller may do about it. */
  readonly category: ErrorCategory;
  /** Where and with what: block numbers, terms, members. */
  readonly facts: F;

  constructor(code: Code, category: ErrorCategory, message: string, facts: F, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.category = category;
    this.facts = facts;
  }
}

/** Codes of {@link DeviceError}. */
export type DeviceErrorCode =
  | "ERR_HOLDFAST_DEVICE_READ"
  | "ERR_HOLDFAST_DEVICE_WRITE"
  | "ERR_HOLDFAST_DEVICE_FLUSH"
  | "ERR_HOLDFAST_DEVICE_OPEN"
  | "ERR_HOLDFAST_DEVICE_RANGE"
  | "ERR_HOLDFAST_DEVICE_CLOSED";

/** A device that did not do what it was asked; names the device and the offset, keeps the cause. */
export class DeviceError extends HoldfastError<
  DeviceErrorCode,
  { readonly device: string; readonly offsetBytes: bigint; readonly lengthBytes: number }
> {
  constructor(
    code: DeviceErrorCode,
    message: string,
    facts: { readonly device: string; readonly offsetBytes: bigint; readonly lengthBytes: number },
    options?: ErrorOptions,
  ) {
    super(code, "io", message, facts, options);
  }
}

/** Codes of {@link TransportError}. */
export type TransportErrorCode =
  | "ERR_HOLDFAST_DIAL"
  | "ERR_HOLDFAST_LISTEN"
  | "ERR_HOLDFAST_ADDRESS_IN_USE"
  | "ERR_HOLDFAST_ADDRESS_INVALID"
  | "ERR_HOLDFAST_ADDRESS_INSECURE";

/** A connection or a listening address that could not be had. */
export class TransportError extends HoldfastError<TransportErrorCode, { readonly address: string }> {
  constructor(code: TransportErrorCode, message: string, address: string, options?: ErrorOptions) {
    super(code, code === "ERR_HOLDFAST_DIAL" ? "retry" : "usage", message, { address }, options);
  }
}

/** A wait that the caller cancelled through its `AbortSignal`. */
export class CancelledError extends HoldfastError<"ERR_HOLDFAST_CANCELLED", Record<string, never>> {
  constructor(what: string, options?: ErrorOptions) {
    super("ERR_HOLDFAST_CANCELLED", "usage", `${what} was cancelled`, {}, options);
  }
}
