import { crc32 } from "node:zlib";

/** CRC-32 as zlib has it, in native code: 0 … 2^32−1; `previous` continues an earlier checksum. */
export function nodeCrc32(bytes: Uint8Array, previous: number): number {
  return crc32(bytes, previous);
}
