import { HeaderWriter, STREAM_FRAME } from "../../src/streams/stream-frames.ts";

/** The header of a data frame; its payload is sent behind it as it stands. */
export function dataHeader(payloadBytes: number, position: number): Uint8Array {
  return new HeaderWriter().write({ type: STREAM_FRAME.DATA, payloadBytes, position, payloadChecksum: 0 });
}
