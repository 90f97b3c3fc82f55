/*
 * What the frames of all greetings, of sessions and of streams, have in common: they are outside the sequence, and the last
 * field of a proven one is HMAC-SHA-256 with the volume's key over a salt (a label of the side, nonces) and the message before it.
 */
import type { Cryptography } from "@holdfast/environment";
import { encodeFrame } from "@holdfast/wire-format";

/** Bytes of a proof. */
export const PROOF_BYTES = 32;

/** What a message has in its proof's place before it is proven. */
export const NO_PROOF: Uint8Array = new Uint8Array(PROOF_BYTES);

/** A frame of a greeting. */
export function frameOutside(command: number, body: Uint8Array): Uint8Array {
  return encodeFrame({ seq: 0, recvSeq: 0, id: 0, command, error: 0, flags: 0 }, body);
}

/** Writes the proof of the message in `body` into its last field. */
export function prove(
  salt: readonly Uint8Array[],
  body: Uint8Array,
  key: Uint8Array,
  cryptography: Cryptography,
): void {
  body.set(proofOf(salt, body, key, cryptography), body.length - PROOF_BYTES);
}

/** Compares in a time that does not depend on where the proofs differ. */
export function isProven(
  salt: readonly Uint8Array[],
  body: Uint8Array,
  key: Uint8Array,
  cryptography: Cryptography,
): boolean {
  const wanted = proofOf(salt, body, key, cryptography);
  const given = body.subarray(body.length - PROOF_BYTES);
  let difference = wanted.length ^ given.length;
  wanted.forEach((byte, index) => {
    difference |= byte ^ (given[index] ?? 0);
  });
  return difference === 0;
}

function proofOf(
  salt: readonly Uint8Array[],
  body: Uint8Array,
  key: Uint8Array,
  cryptography: Cryptography,
): Uint8Array {
  const parts = [...salt, body.subarray(0, body.length - PROOF_BYTES)];
  const message = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    message.set(part, offset);
    offset += part.length;
  }
  return cryptography.hmacSha256(key, message);
}
