import { utf8 } from "@holdfast/environment";
import { hash128 } from "./hash128.ts";

/** Anything whose layout takes part in the format hash. */
export interface Format {
  readonly signature: string;
}

/**
 * 64-bit identity of a set of formats: equal exactly when every declared layout is equal. The order does not matter.
 *
 * Members and volumes compare it before they exchange anything else.
 */
export function formatHash(formats: readonly Format[]): bigint {
  const lines = formats.map(({ signature }) => signature).sort();
  const digest = hash128(utf8.encode(lines.join("\n")));
  return new DataView(digest.buffer).getBigUint64(0, true);
}
