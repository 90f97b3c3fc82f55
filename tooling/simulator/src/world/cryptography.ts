import { createHmac } from "node:crypto";
import type { Cryptography } from "@holdfast/environment";

/** Real keyed hashing: it is synchronous and repeatable as it is. */
export const SIMULATED_CRYPTOGRAPHY: Cryptography = {
  hmacSha256: (key, message) => new Uint8Array(createHmac("sha256", key).update(message).digest()),
};
