import { createHmac } from "node:crypto";
import type { Cryptography } from "@holdfast/environment";

/** OpenSSL, as Node.js brings it. */
export const nodeCryptography: Cryptography = {
  hmacSha256: (key, message) => new Uint8Array(createHmac("sha256", key).update(message).digest()),
};
