import { HoldfastError } from "@holdfast/environment";
import { CALL_OVERLOADED } from "./codes.ts";

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
      `request 0x${command.toString(16)} failed with error 0x${error.toString(16)}`,
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
