import { invariant } from "@holdfast/environment";
import { FRAME_BODY_BYTES_MAX } from "@holdfast/wire-format";
import { COMMAND_COME, COMMAND_FAREWELL, RESERVED_MIN } from "./codes.ts";
import { unexpectedCommand } from "./errors.ts";

/**
 * Checks what a caller wants to send.
 *
 * @throws RangeError when the command is reserved or no 16-bit number, or the body longer than a frame allows.
 */
export function checkRequest(command: number, body: Uint8Array): void {
  if (!isU16(command) || isReserved(command))
    throw new RangeError(`command 0x${command.toString(16)} is reserved or no 16-bit number`);
  if (body.length > FRAME_BODY_BYTES_MAX)
    throw new RangeError(`a request has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${body.length}`);
}

/**
 * Checks what a peer asks in an open session.
 *
 * @throws SessionError `ERR_HOLDFAST_SESSION_COMMAND` when the command is reserved.
 */
export function checkAsked(command: number): void {
  if (isReserved(command)) throw unexpectedCommand(command);
}

/** Checks what a handler answers. */
export function checkAnswer(error: number, body: Uint8Array): void {
  invariant(isU16(error), "an answer's error is a 16-bit number");
  invariant(body.length <= FRAME_BODY_BYTES_MAX, "an answer fits into a frame");
}

/** True for what fits the frame's fields of 16 bits. */
function isU16(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

/** True for what no request may say. */
function isReserved(command: number): boolean {
  return command >= RESERVED_MIN && command !== COMMAND_FAREWELL && command !== COMMAND_COME;
}
