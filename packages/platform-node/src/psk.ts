/*
 * TLS with a key that both sides have beforehand, and nothing else: no certificate, no name, no wall clock.
 *
 * TLS 1.3 only, with suites whose hash is SHA-256, which is what a key without a hash of its own stands for (RFC 8446,
 * 4.2.11). Each handshake mixes in a fresh exchange, so that a key that leaks later opens no recorded connection.
 */
import { createHmac } from "node:crypto";
import type { ConnectionOptions, TlsOptions } from "node:tls";

/** What the key is called on the wire; there is one per listener. */
const PSK_IDENTITY = "holdfast-1";

/** Keys the derivation, so that the bytes of the key itself serve nothing but derivations. */
const PSK_LABEL = "holdfast tls psk 1\n";

/** AES first: processors have instructions for it. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/** The key of TLS connections, 32 bytes: HMAC-SHA-256 of a label with the key that both sides know. */
export function derivePsk(key: Uint8Array): Buffer {
  return createHmac("sha256", key).update(PSK_LABEL).digest();
}

/** Options of the side that listens: whoever names another key, or does not know ours, fails its handshake. */
export function listenWithPsk(psk: Buffer, handshakeTimeoutMs: number): TlsOptions {
  return {
    ...onlyPsk,
    handshakeTimeout: handshakeTimeoutMs,
    // The name is no secret, so that comparing it may take different times.
    pskCallback: (_, identity) => (identity === PSK_IDENTITY ? psk : null),
  };
}

/** Options of the side that dials. */
export function dialWithPsk(psk: Buffer): ConnectionOptions {
  return {
    ...onlyPsk,
    pskCallback: () => ({ psk, identity: PSK_IDENTITY }),
    // Asked only when the handshake went without our key, by a certificate that somebody trusted signed.
    checkServerIdentity: () => new Error("the server shows a certificate and does not know the key"),
  };
}

const onlyPsk = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: CIPHERS } as const;
