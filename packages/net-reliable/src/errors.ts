import { HoldfastError } from "@holdfast/environment";
import { CALL_OVERLOADED, callErrorName } from "./codes.ts";

/** Codes of {@link SessionError}. */
export type SessionErrorCode =
  | "ERR_HOLDFAST_SESSION_GREETING"
  | "ERR_HOLDFAST_SESSION_SEQUENCE"
  | "ERR_HOLDFAST_SESSION_COMMAND"
  | "ERR_HOLDFAST_SESSION_LIMIT";

/** A peer that broke the rules of a session; its connection is cut, nothing else changes. */
export class SessionError extends HoldfastError<SessionErrorCode, { readonly detail: number }> {
  constructor(code: SessionErrorCode, message: string, detail: number) {
    super(code, "protocol", message, { detail });
  }
}

/** A request that was answered with an error, or could not be answered. */
export class RequestError extends HoldfastError<
  "ERR_HOLDFAST_REQUEST",
  { readonly command: number; readonly error: number }
> {
  /** What came with the error. */
  readonly body: Uint8Array;

  constructor(command: number, error: number, body: Uint8Array) {
    super(
      "ERR_HOLDFAST_REQUEST",
      error === CALL_OVERLOADED ? "retry" : "protocol",
      `request 0x${command.toString(16)} failed with error ${callErrorName(error)}`,
      { command, error },
    );
    this.body = body;
  }
}

/** A command that no open session carries. */
export function unexpectedCommand(command: number): SessionError {
  return new SessionError(
    "ERR_HOLDFAST_SESSION_COMMAND",
    `command 0x${command.toString(16)} has no place in an open session`,
    command,
  );
}

/** A frame's number that cannot follow the ones before. */
export function outOfRange(what: string, number: number, limit: number): SessionError {
  return new SessionError(
    "ERR_HOLDFAST_SESSION_SEQUENCE",
    `the peer ${what} ${number}, ours is ${limit}`,
    number,
  );
}

/** More from a peer than it may send. */
export function overLimit(what: string, limit: number): SessionError {
  return new SessionError("ERR_HOLDFAST_SESSION_LIMIT", `the peer has more than ${limit} ${what}`, limit);
}

/** True for errors that say something about the peer's bytes, not about this program. */
export function isPeersFault(error: unknown): boolean {
  return error instanceof RangeError || (error instanceof HoldfastError && error.category === "protocol");
}

/** Why a connection was cut because of what the peer sent. */
export type CutReason = "garbage" | "oversize" | "greeting" | "sequence" | "command" | "limit" | "content";

/** Connections cut, by reason. */
export type CutCounts = Record<CutReason, number>;

/** Nothing was cut yet. */
export function cutCounts(): CutCounts {
  return { garbage: 0, oversize: 0, greeting: 0, sequence: 0, command: 0, limit: 0, content: 0 };
}

const CUT_REASONS: ReadonlyMap<string, CutReason> = new Map([
  ["ERR_HOLDFAST_FRAME_TOO_LONG", "oversize"],
  ["ERR_HOLDFAST_FRAME_CHECKSUM", "garbage"],
  ["ERR_HOLDFAST_FRAME_HEADER", "garbage"],
  ["ERR_HOLDFAST_FRAME_TRUNCATED", "garbage"],
  ["ERR_HOLDFAST_SESSION_GREETING", "greeting"],
  ["ERR_HOLDFAST_SESSION_SEQUENCE", "sequence"],
  ["ERR_HOLDFAST_SESSION_COMMAND", "command"],
  ["ERR_HOLDFAST_SESSION_LIMIT", "limit"],
]);

/** Sorts an error of {@link isPeersFault}; what the layer above found fault with is `content`. */
export function cutReason(error: unknown): CutReason {
  const code = error instanceof HoldfastError ? error.code : "";
  return CUT_REASONS.get(code) ?? "content";
}
