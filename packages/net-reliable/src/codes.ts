/*
 * Numbers that this layer owns: its commands, the errors it puts in a call's place, and why it refuses a greeting.
 *
 * Everything from 0xff00 up is reserved for it; commands and errors below belong to the protocol above.
 */

/** Commands and errors from here to 0xffff belong to the session layer. */
export const RESERVED_MIN = 0xff00;

/** First frame of a connection, server → client: protocol version and the server's nonce. */
export const COMMAND_CHALLENGE = 0xff01;
/** Second frame, client → server: who it is, what it has received, and its proof. */
export const COMMAND_GREETING = 0xff02;
/** Third frame, server → client: accepted or refused, and the server's proof. */
export const COMMAND_WELCOME = 0xff03;
/** Frame outside the sequence that carries an acknowledgement and shows that the sender is alive. */
export const COMMAND_HEARTBEAT = 0xff04;
/** Second frame of a byte stream's connection, client → server: whose it is, what for, and its proof. */
export const COMMAND_STREAM_GREETING = 0xff05;
/** Third frame of a byte stream's connection, server → client: accepted or refused, and the server's proof. */
export const COMMAND_STREAM_WELCOME = 0xff06;
/** The one reserved command that reaches the request handler: the member leaves. */
export const COMMAND_FAREWELL = 0xff10;
/** A request of the server, that the member should dial to be asked with a stream; its body is a `StreamTicket`. */
export const COMMAND_COME = 0xff11;

/** A call's error: the session was closed, or its server is gone and the call was bound to that server. */
export const CALL_ABORTED = 0xff01;
/** A call's error: too many calls or bytes are unanswered; nothing was sent. */
export const CALL_OVERLOADED = 0xff02;
/** A call's error: this server has no session with that member; nothing was sent. */
export const CALL_NO_SESSION = 0xff03;
/** A call's error: the peer could not decode the request. */
export const CALL_MALFORMED = 0xff04;
/** A call's error: the peer did it, but its answer did not fit beside others that we have not acknowledged. */
export const CALL_ANSWER_DROPPED = 0xff05;
/** A call's error: the peer takes no such request. */
export const CALL_UNKNOWN = 0xff06;

/** Why a server refuses a greeting. Codes 0xff20 … 0xff2f mean "look again", all others are final. */
export interface Refusals {
  /** The member was evicted; it may come back only as a new one. */
  readonly EVICTED: 0xff11;
  /** The server serves another volume. */
  readonly WRONG_VOLUME: 0xff12;
  /** The server's formats differ from ours. */
  readonly WRONG_FORMAT: 0xff13;
  /** The proof does not match the volume key. */
  readonly BAD_PROOF: 0xff14;
  /** The server speaks another version of this protocol. */
  readonly WRONG_VERSION: 0xff15;
  /** The server knew this member and has dropped its session. */
  readonly FORGOTTEN: 0xff16;
  /** The greeting contradicts itself or what the server knows. */
  readonly BAD_GREETING: 0xff17;
  /** The member knows a later term than the server's: it looks for the newer server. */
  readonly STALE_TERM: 0xff21;
  /** A newer connection of the same member is already here. */
  readonly OLD_ATTEMPT: 0xff22;
  /** The server has as many sessions as it may have. */
  readonly SERVER_FULL: 0xff23;
  /** The server cannot take anyone in right now. */
  readonly SERVER_BUSY: 0xff24;
}

/** Why a server refuses a greeting. */
export const REFUSAL: Refusals = {
  EVICTED: 0xff11,
  WRONG_VOLUME: 0xff12,
  WRONG_FORMAT: 0xff13,
  BAD_PROOF: 0xff14,
  WRONG_VERSION: 0xff15,
  FORGOTTEN: 0xff16,
  BAD_GREETING: 0xff17,
  STALE_TERM: 0xff21,
  OLD_ATTEMPT: 0xff22,
  SERVER_FULL: 0xff23,
  SERVER_BUSY: 0xff24,
};

/** True if a member refused with `code` must not come again; false if it should look for a server again. */
export function isFinalRefusal(code: number): boolean {
  return (code & 0xfff0) !== 0xff20;
}

/** Name of a code of this layer, for logs; the number in hexadecimal for anybody else's. */
export function refusalName(code: number): string {
  const found = Object.entries(REFUSAL).find(([, value]) => value === code);
  return found === undefined ? `0x${code.toString(16)}` : found[0];
}

const CALL_ERRORS: ReadonlyMap<number, string> = new Map([
  [CALL_ABORTED, "CALL_ABORTED"],
  [CALL_OVERLOADED, "CALL_OVERLOADED"],
  [CALL_NO_SESSION, "CALL_NO_SESSION"],
  [CALL_MALFORMED, "CALL_MALFORMED"],
  [CALL_ANSWER_DROPPED, "CALL_ANSWER_DROPPED"],
  [CALL_UNKNOWN, "CALL_UNKNOWN"],
]);

/** Name of a call's error, for messages; the number in hexadecimal for errors of the protocol above. */
export function callErrorName(error: number): string {
  return CALL_ERRORS.get(error) ?? `0x${error.toString(16)}`;
}
