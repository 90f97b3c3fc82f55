import { HoldfastError } from "@holdfast/environment";

/** What the command's exit says; documented in docs/operations/command-line.md. */
export const ExitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  fenced: 5,
  interrupted: 130,
  terminated: 143,
} as const;

/** A mistake in how the command was called, or in what it was given. */
export class UsageError extends HoldfastError<"ERR_HOLDFAST_USAGE", Record<string, never>> {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_HOLDFAST_USAGE", "usage", message, {}, options);
  }
}

/** Something that was asked for and is not there. */
export class NotFoundError extends HoldfastError<"ERR_HOLDFAST_NOT_FOUND", Record<string, never>> {
  constructor(message: string) {
    super("ERR_HOLDFAST_NOT_FOUND", "usage", message, {});
  }
}

/** A file that is to be read or written, and cannot be. */
export class FileError extends HoldfastError<"ERR_HOLDFAST_FILE", { readonly path: string }> {
  constructor(verb: "read" | "write", path: string, cause: unknown) {
    const text = cause instanceof Error ? cause.message : String(cause);
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    const reason = isThere ? "it is there already: give the name of a new file" : text;
    super("ERR_HOLDFAST_FILE", "io", `cannot ${verb} ${path}: ${reason}`, { path }, { cause });
  }
}

/** Nobody served within the time that was given. */
export class UnavailableError extends HoldfastError<"ERR_HOLDFAST_UNAVAILABLE", Record<string, never>> {
  /** @param reason - What is known of it. */
  constructor(waitedMs: number, reason: string = 'see the log of the members ("holdfast run")') {
    super(
      "ERR_HOLDFAST_UNAVAILABLE",
      "retry",
      `no server answered within ${waitedMs / 1000} s: ${reason}; or wait longer with --wait`,
      {},
    );
  }
}

/** A signal asked the command to end. */
export class InterruptedError extends HoldfastError<
  "ERR_HOLDFAST_INTERRUPTED",
  { readonly signal: NodeJS.Signals }
> {
  constructor(signal: NodeJS.Signals) {
    super("ERR_HOLDFAST_INTERRUPTED", "usage", `ended by ${signal}`, { signal });
  }
}

/** Errors of category "usage" that are mistakes in the call; the others tell about the volume or the host. */
const MISTAKES: ReadonlySet<string> = new Set([
  "ERR_HOLDFAST_FENCE_AGENT",
  "ERR_HOLDFAST_USAGE",
  "ERR_HOLDFAST_ADDRESS_INVALID",
  "ERR_HOLDFAST_ADDRESS_INSECURE",
  "ERR_HOLDFAST_KEY_TOO_LONG",
  "ERR_HOLDFAST_VALUE_TOO_LONG",
  "ERR_HOLDFAST_TRANSACTION_TOO_LARGE",
  "ERR_HOLDFAST_VOLUME_TOO_SMALL",
]);

const MISSING: ReadonlySet<string> = new Set([
  "ERR_HOLDFAST_NOT_FOUND",
  "ERR_HOLDFAST_DATASET_UNKNOWN",
  "ERR_HOLDFAST_FENCE_UNKNOWN",
]);

/** The exit code for an error. */
export function exitCodeFor(error: unknown): number {
  // Misuse of the library throws these: the command handed on what its user gave it.
  if (error instanceof RangeError) return ExitCode.usage;
  if (!(error instanceof HoldfastError)) return ExitCode.failure;
  if (MISSING.has(error.code)) return ExitCode.notFound;
  if (error.code === "ERR_HOLDFAST_INTERRUPTED")
    return error.facts["signal"] === "SIGTERM" ? ExitCode.terminated : ExitCode.interrupted;
  switch (error.category) {
    case "usage":
      return MISTAKES.has(error.code) ? ExitCode.usage : ExitCode.failure;
    case "retry":
      return ExitCode.unavailable;
    case "fenced":
      return ExitCode.fenced;
    case "corruption":
    case "io":
    case "protocol":
    case "conflict":
      return ExitCode.failure;
  }
}
