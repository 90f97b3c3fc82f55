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
} as const;

/** A mistake in how the command was called. */
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

/** Nobody served within the time that was given. */
export class UnavailableError extends HoldfastError<"ERR_HOLDFAST_UNAVAILABLE", Record<string, never>> {
  constructor(waitedMs: number) {
    super(
      "ERR_HOLDFAST_UNAVAILABLE",
      "retry",
      `no server answered within ${waitedMs / 1000} s: start one with "holdfast run", or wait longer with --wait`,
      {},
    );
  }
}

/** The exit code for an error. */
export function exitCodeFor(error: unknown): number {
  if (!(error instanceof HoldfastError)) {
    return error instanceof RangeError || error instanceof TypeError ? ExitCode.usage : ExitCode.failure;
  }
  if (error.code === "ERR_HOLDFAST_NOT_FOUND" || error.code === "ERR_HOLDFAST_DATASET_UNKNOWN")
    return ExitCode.notFound;
  switch (error.category) {
    case "usage":
      return error.code.startsWith("ERR_HOLDFAST_DEVICE") ? ExitCode.failure : ExitCode.usage;
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
