/*
 * How the two ends of a stream's connection prove that they know the key, before either takes anything else.
 *
 * The server's first word is the same challenge that sessions begin with: what the dialling side answers says which of the two
 * it wants. A proof covers a label of the side, the nonces and the message itself; the labels differ from those of sessions,
 * so that no proof can be played back elsewhere. A ticket's secret went through a session: only whom the server called can
 * come by it.
 */
import { type Cryptography, utf8 } from "@holdfast/environment";
import { LONE_FRAME_BYTES } from "@holdfast/wire-format";
import { COMMAND_STREAM_GREETING, COMMAND_STREAM_WELCOME, REFUSAL } from "../codes.ts";
import { NO_PROOF, frameOutside, isProven, prove } from "../greeting-frames.ts";
import { type Nonces, type SessionIdentity, decodeGreetingPart } from "../greeting.ts";
import { StreamGreeting, StreamWelcome } from "./stream-greeting-layouts.ts";

/** Version of the protocol of streams; both sides must have the same. */
export const STREAM_VERSION = 5;

/** Bytes of a whole greeting's frame. */
export const STREAM_GREETING_FRAME_BYTES: number = LONE_FRAME_BYTES + StreamGreeting.sizeBytes;
/** Bytes of a whole welcome's frame. */
export const STREAM_WELCOME_FRAME_BYTES: number = LONE_FRAME_BYTES + StreamWelcome.sizeBytes;

const CLIENT_LABEL = utf8.encode("holdfast stream client 1\n");
const SERVER_LABEL = utf8.encode("holdfast stream server 1\n");

/** What both ends must agree on. */
export interface StreamGreetingKey {
  readonly identity: SessionIdentity;
  readonly cryptography: Cryptography;
}

/** What the dialling side says of itself. */
export type StreamCaller = Pick<StreamGreeting, "rid" | "term" | "ticket" | "nonce">;

/** The greeting that answers a challenge, as a frame. `secret` is empty without a ticket. */
export function streamGreetingFrame(
  caller: StreamCaller,
  { identity, cryptography }: StreamGreetingKey,
  challengeNonce: Uint8Array,
  secret: Uint8Array,
): Uint8Array {
  const { fsid, formatHash, key } = identity;
  const body = StreamGreeting.encode({
    ...caller,
    version: STREAM_VERSION,
    fsid,
    formatHash,
    proof: NO_PROOF,
  });
  prove([CLIENT_LABEL, challengeNonce, secret], body, key, cryptography);
  return frameOutside(COMMAND_STREAM_GREETING, body);
}

/**
 * Why a greeting is refused, 0 if it is in order.
 *
 * @param body - The bytes of `greeting`.
 * @param secretOf - Secret of its ticket, undefined if this caller has none such.
 */
export function judgeStreamGreeting(
  greeting: StreamGreeting,
  body: Uint8Array,
  { identity, cryptography }: StreamGreetingKey,
  challengeNonce: Uint8Array,
  secretOf: (greeting: StreamGreeting) => Uint8Array | undefined,
): number {
  if (greeting.version !== STREAM_VERSION) return REFUSAL.WRONG_VERSION;
  if (greeting.fsid !== identity.fsid) return REFUSAL.WRONG_VOLUME;
  const secret = secretOf(greeting);
  const salt = [CLIENT_LABEL, challengeNonce, secret ?? NO_PROOF];
  if (!isProven(salt, body, identity.key, cryptography)) return REFUSAL.BAD_PROOF;
  if (secret === undefined) return REFUSAL.BAD_GREETING;
  if (greeting.formatHash !== identity.formatHash) return REFUSAL.WRONG_FORMAT;
  return greeting.rid === 0n ? REFUSAL.BAD_GREETING : 0;
}

/** The answer to a greeting, as a frame. */
export function streamWelcomeFrame(
  refusal: number,
  { identity, cryptography }: StreamGreetingKey,
  nonces: Nonces,
): Uint8Array {
  const body = StreamWelcome.encode({ refusal, proof: NO_PROOF });
  prove([SERVER_LABEL, nonces.client, nonces.server], body, identity.key, cryptography);
  return frameOutside(COMMAND_STREAM_WELCOME, body);
}

/**
 * The refusal in a welcome, 0 if accepted; BAD_PROOF if whoever made it does not know the key.
 *
 * @throws SessionError `ERR_HOLDFAST_SESSION_GREETING` when it is malformed.
 */
export function judgeStreamWelcome(
  body: Uint8Array,
  { identity, cryptography }: StreamGreetingKey,
  nonces: Nonces,
): number {
  const { refusal } = decodeGreetingPart(StreamWelcome, body);
  const salt = [SERVER_LABEL, nonces.client, nonces.server];
  return isProven(salt, body, identity.key, cryptography) ? refusal : REFUSAL.BAD_PROOF;
}
