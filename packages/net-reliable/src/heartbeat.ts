import { encodeFrame } from "@holdfast/wire-format";
import { COMMAND_HEARTBEAT } from "./codes.ts";

const EMPTY = new Uint8Array(0);

/** A frame outside the sequence that says: I live, and have received everything up to `recvSeq`. */
export function heartbeatFrame(recvSeq: number): Uint8Array {
  return encodeFrame({ seq: 0, recvSeq, id: 0, command: COMMAND_HEARTBEAT, error: 0, flags: 0 }, EMPTY);
}
