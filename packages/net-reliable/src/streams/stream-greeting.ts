/*
 * How the two ends of a stream's connection prove that they know the key, before either takes anything else.
 *
 * A proof covers a label of the side, the nonces and the frame itself; the labels differ from those of sessions, so that
 * no proof can be played back elsewhere. A ticket's secret went through a session: only whom the server called can come by it.
 */
import { type Cryptography, utf8 } from "@holdfast/environment";
import { REFUSAL } from "../codes.ts";
import { PROOF_BYTES, type SessionIdentity } from "../greeting.ts";
import { STREAM_FRAME, decodePart, streamFrame } from "./stream-frames.ts";
import { StreamChallenge, StreamGreeting, StreamWelcome } from "./stream-greeting-layouts.ts";

/** Version of the protocol of streams; both sides must have the same. */
export const STREAM_VERSION = 2;

const CLIENT_LABEL = utf8.encode("holdfast stream client 1\n");
const SERVER_LABEL = utf8.encode("holdfast stream server 1\n");
const NO_PROOF = new Uint8Array(PROOF_BYTES);

/** What both ends must agree on. */
export interface StreamGreetingKey {
  readonly identity: SessionIdentity;
  readonly cryptography: Cryptography;
}

/** What the dialling side says of itself. */
export type StreamCaller = Pick<StreamGreeting, "rid" | "term" | "ticket" | "nonce">;

/** A challenge as a frame. */
export function streamChallenge(nonce: Uint8Array): Uint8Array {
  return streamFrame(STREAM_FRAME.CHALLENGE, 0, StreamChallenge.encode({ version: STREAM_VERSION, nonce }));
}

/** The greeting that answers a challenge, as a frame. `secret` is empty without a ticket. */
export function streamGreeting(
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
  seal(body, cryptography, key, [CLIENT_LABEL, challengeNonce, secret]);
  return streamFrame(STREAM_FRAME.GREETING, 0, body);
}

/**
 * Why a greeting is refused, 0 if it is in order.
 *
 * @param secretOf - Secret of a ticket, undefined if this caller has none such.
 */
export function judgeStreamGreeting(
  body: Uint8Array,
  { identity, cryptography }: StreamGreetingKey,
  challengeNonce: Uint8Array,
  secretOf: (greeting: StreamGreeting) => Uint8Array | undefined,
): number {
  const greeting = decodePart(StreamGreeting, body);
  if (greeting.version !== STREAM_VERSION) return REFUSAL.WRONG_VERSION;
  if (greeting.fsid !== identity.fsid) return REFUSAL.WRONG_VOLUME;
  const secret = secretOf(greeting);
  const salt = [CLIENT_LABEL, challengeNonce, secret ?? NO_PROOF];
  if (!isSealed(body, cryptography, identity.key, salt)) return REFUSAL.BAD_PROOF;
  if (secret === undefined) return REFUSAL.BAD_GREETING;
  if (greeting.formatHash !== identity.formatHash) return REFUSAL.WRONG_FORMAT;
  return greeting.rid === 0n ? REFUSAL.BAD_GREETING : 0;
}

/** The answer to a greeting, as a frame. */
export function streamWelcome(
  refusal: number,
  { identity, cryptography }: StreamGreetingKey,
  nonces: readonly [client: Uint8Array, server: Uint8Array],
): Uint8Array {
  const body = StreamWelcome.encode({ refusal, proof: NO_PROOF });
  seal(body, cryptography, identity.key, [SERVER_LABEL, ...nonces]);
  return streamFrame(STREAM_FRAME.WELCOME, 0, body);
}

/** The refusal in a welcome, 0 if accepted; BAD_PROOF if whoever made it does not know the key. */
export function judgeStreamWelcome(
  body: Uint8Array,
  { identity, cryptography }: StreamGreetingKey,
  nonces: readonly [client: Uint8Array, server: Uint8Array],
): number {
  const { refusal } = decodePart(StreamWelcome, body);
  return isSealed(body, cryptography, identity.key, [SERVER_LABEL, ...nonces]) ? refusal : REFUSAL.BAD_PROOF;
}

function seal(body: Uint8Array, by: Cryptography, key: Uint8Array, salt: readonly Uint8Array[]): void {
  body.set(proofOf(body, by, key, salt), body.length - PROOF_BYTES);
}

/** Compares in a time that does not depend on where the proofs differ. */
function isSealed(body: Uint8Array, by: Cryptography, key: Uint8Array, salt: readonly Uint8Array[]): boolean {
  const wanted = proofOf(body, by, key, salt);
  const given = body.subarray(body.length - PROOF_BYTES);
  let difference = 0;
  wanted.forEach((byte, index) => {
    difference |= byte ^ (given[index] ?? 0);
  });
  return difference === 0;
}

function proofOf(
  body: Uint8Array,
  by: Cryptography,
  key: Uint8Array,
  salt: readonly Uint8Array[],
): Uint8Array {
  const parts = [...salt, body.subarray(0, body.length - PROOF_BYTES)];
  const message = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    message.set(part, offset);
    offset += part.length;
  }
  return by.hmacSha256(key, message);
}
