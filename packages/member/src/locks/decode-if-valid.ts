import { MessageError } from "@holdfast/wire-format";

/** The value in `bytes`, or undefined when they are no such message; what that means is the caller's to decide. */
export function decodeIfValid<V>(codec: { decode(bytes: Uint8Array): V }, bytes: Uint8Array): V | undefined {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (error instanceof RangeError || error instanceof MessageError) return undefined;
    throw error;
  }
}
