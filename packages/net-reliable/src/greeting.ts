/*
 * The greeting: three frames outside the sequence that open a connection.
 *
 *   server → client  CHALLENGE  version, server's nonce
 *   client → server  GREETING   who, what it knows, its nonce, proof over the server's nonce
 *   server → client  WELCOME    accepted or refused, term, proof over both nonces
 *
 * A proof is HMAC-SHA-256 with the volume's key over a label of the side, the nonces and the message itself without
 * its last field; the labels differ, so no side's proof can be played back as the other's. Whoever can read the volume
 * knows the key. A refusal is proven too: an unproven one may come from a stranger at a reused address.
 */
import { type Cryptography, utf8 } from "@holdfast/environment";
import {
  LONE_FRAME_BYTES,
  type StructCodec,
  bytes,
  flag,
  struct,
  u16,
  u53,
  u64,
} from "@holdfast/wire-format";
import { COMMAND_CHALLENGE, COMMAND_GREETING, COMMAND_WELCOME } from "./codes.ts";
import { SessionError } from "./errors.ts";
import { NO_PROOF, PROOF_BYTES, frameOutside, isProven, prove } from "./greeting-frames.ts";

/** Version of the session protocol; both sides must have the same. */
export const PROTOCOL_VERSION = 3;

/** Bytes of a nonce. */
export const NONCE_BYTES = 32;

/** What both sides of a session must agree on. */
export interface SessionIdentity {
  /** The volume. */
  readonly fsid: bigint;
  /** Hash of all formats the two may exchange. */
  readonly formatHash: bigint;
  /** The volume's key. */
  readonly key: Uint8Array;
}

/** An identity of which only the key must be given: two programs that share nothing else. */
export type IdentityOptions = Pick<SessionIdentity, "key"> & Partial<SessionIdentity>;

/** Shortest key that is taken, in bytes: shorter ones can be guessed. */
export const KEY_BYTES_MIN = 16;

/**
 * Fills in what is not given: volume 0, format hash 0.
 *
 * @throws RangeError when the key is shorter than {@link KEY_BYTES_MIN}.
 */
export function completeIdentity({ key, fsid = 0n, formatHash = 0n }: IdentityOptions): SessionIdentity {
  if (key.length < KEY_BYTES_MIN)
    throw new RangeError(`a session's key has at least ${KEY_BYTES_MIN} bytes, not ${key.length}`);
  return { key, fsid, formatHash };
}

/** First frame: the server's nonce. */
export interface Challenge {
  /** {@link PROTOCOL_VERSION} of the server. */
  readonly version: number;
  /** Random, new for each connection. */
  readonly nonce: Uint8Array;
}

/** Layout of a challenge. */
export const Challenge: StructCodec<Challenge> = struct("Challenge", {
  version: u16,
  nonce: bytes(NONCE_BYTES),
});

/** Second frame: who greets and what it knows. */
export interface Greeting {
  /** {@link PROTOCOL_VERSION} of the client. */
  readonly version: number;
  /** The volume it wants. */
  readonly fsid: bigint;
  /** Hash of its formats. */
  readonly formatHash: bigint;
  /** The member, not 0. */
  readonly rid: bigint;
  /** Term of the server it knew last, 0 if it never met one. */
  readonly term: bigint;
  /** Rises with each connection of this member: the newest wins. */
  readonly attempt: number;
  /** Greatest seq it received from the server of `term`. */
  readonly recvSeq: number;
  /** It takes part in elections. */
  readonly isVoter: boolean;
  /** It has sent its farewell, or is about to. */
  readonly isLeaving: boolean;
  /** Random, new for each connection. */
  readonly nonce: Uint8Array;
  /** HMAC-SHA-256 over the server's nonce and all of the above. */
  readonly proof: Uint8Array;
}

/** Layout of a greeting; the proof stays last. */
export const Greeting: StructCodec<Greeting> = struct("Greeting", {
  version: u16,
  fsid: u64,
  formatHash: u64,
  rid: u64,
  term: u64,
  attempt: u53,
  recvSeq: u53,
  isVoter: flag,
  isLeaving: flag,
  nonce: bytes(NONCE_BYTES),
  proof: bytes(PROOF_BYTES),
});

/** Third frame: the server's answer. */
export interface Welcome {
  /** 0 = accepted, else a refusal code. */
  readonly refusal: number;
  /** Term of the server. */
  readonly term: bigint;
  /** Greatest seq it received from this member; 0 in a fresh session. */
  readonly recvSeq: number;
  /** The server has no earlier state of this member: numbers start again at 1. */
  readonly isFresh: boolean;
  /** HMAC-SHA-256 over both nonces and all of the above. */
  readonly proof: Uint8Array;
}

/** Layout of a welcome; the proof stays last. */
export const Welcome: StructCodec<Welcome> = struct("Welcome", {
  refusal: u16,
  term: u64,
  recvSeq: u53,
  isFresh: flag,
  proof: bytes(PROOF_BYTES),
});

/** Bytes of a whole challenge frame. */
export const CHALLENGE_FRAME_BYTES: number = LONE_FRAME_BYTES + Challenge.sizeBytes;
/** Bytes of a whole greeting frame. */
export const GREETING_FRAME_BYTES: number = LONE_FRAME_BYTES + Greeting.sizeBytes;
/** Bytes of a whole welcome frame. */
export const WELCOME_FRAME_BYTES: number = LONE_FRAME_BYTES + Welcome.sizeBytes;

const CLIENT_LABEL = utf8.encode("holdfast session client 1\n");
const SERVER_LABEL = utf8.encode("holdfast session server 1\n");

/** The two nonces of one connection. */
export interface Nonces {
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/** A challenge as a frame. */
export function challengeFrame(nonce: Uint8Array): Uint8Array {
  return frameOutside(COMMAND_CHALLENGE, Challenge.encode({ version: PROTOCOL_VERSION, nonce }));
}

/** A greeting with its proof, as a frame. */
export function greetingFrame(
  greeting: Omit<Greeting, "proof">,
  serverNonce: Uint8Array,
  key: Uint8Array,
  cryptography: Cryptography,
): Uint8Array {
  const body = Greeting.encode({ ...greeting, proof: NO_PROOF });
  prove([CLIENT_LABEL, serverNonce], body, key, cryptography);
  return frameOutside(COMMAND_GREETING, body);
}

/** True if the greeting in `body` was made for this connection by somebody who knows the key. */
export function isGreetingProven(
  body: Uint8Array,
  serverNonce: Uint8Array,
  key: Uint8Array,
  cryptography: Cryptography,
): boolean {
  return isProven([CLIENT_LABEL, serverNonce], body, key, cryptography);
}

/** A welcome with its proof, as a frame. */
export function welcomeFrame(
  welcome: Omit<Welcome, "proof">,
  nonces: Nonces,
  key: Uint8Array,
  cryptography: Cryptography,
): Uint8Array {
  const body = Welcome.encode({ ...welcome, proof: NO_PROOF });
  prove([SERVER_LABEL, nonces.client, nonces.server], body, key, cryptography);
  return frameOutside(COMMAND_WELCOME, body);
}

/** True if the welcome in `body` was made for this connection by somebody who knows the key. */
export function isWelcomeProven(
  body: Uint8Array,
  nonces: Nonces,
  key: Uint8Array,
  cryptography: Cryptography,
): boolean {
  return isProven([SERVER_LABEL, nonces.client, nonces.server], body, key, cryptography);
}

/**
 * Decodes a message of the greeting that a stranger may have made.
 *
 * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_GREETING` when it is malformed.
 */
export function decodeGreetingPart<V>(codec: StructCodec<V>, body: Uint8Array): V {
  try {
    return codec.decode(body);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SessionError("ERR_HOLDFAST_SESSION_GREETING", cause.message, body.length);
  }
}
