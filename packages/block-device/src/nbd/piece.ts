import type { DeviceError } from "@holdfast/environment";
import { COMMAND } from "./protocol.ts";

/** What is asked of a server, in the words of error messages. */
export type Verb = "read" | "write" | "flush" | "trim" | "zeroing";

const COMMANDS: Readonly<Record<Verb, number>> = {
  read: COMMAND.read,
  write: COMMAND.write,
  flush: COMMAND.flush,
  trim: COMMAND.trim,
  zeroing: COMMAND.writeZeroes,
};

const NO_BYTES = new Uint8Array(0);

/** What a piece is made of. */
export interface PieceFacts {
  readonly verb: Verb;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Bytes to write, or to read into; none for the others. */
  readonly memory?: Uint8Array;
  /** True: its effect must be on stable storage before it is answered. */
  readonly isDurable: boolean;
  /** When to give up, in milliseconds of `performance.now()`. */
  readonly deadlineMs: number;
  /** Called once, after which the memory is the caller's again. */
  readonly settle: (error: DeviceError | undefined) => void;
}

/** One request to a server: a caller's request, or a part of one that is longer than a server takes. */
export class Piece {
  readonly verb: Verb;
  readonly command: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly memory: Uint8Array;
  readonly isDurable: boolean;
  /** When to give up; told anew when it is sent for the first time, so that standing in line does not count. */
  deadlineMs: number;
  isSent = false;
  readonly settle: (error: DeviceError | undefined) => void;

  constructor(facts: PieceFacts) {
    this.verb = facts.verb;
    this.command = COMMANDS[facts.verb];
    this.offsetBytes = facts.offsetBytes;
    this.lengthBytes = facts.lengthBytes;
    this.memory = facts.memory ?? NO_BYTES;
    this.isDurable = facts.isDurable;
    this.deadlineMs = facts.deadlineMs;
    this.settle = facts.settle;
  }

  /** True if it changes the device: then it may be repeated only once its first try is known to be over. */
  get isChange(): boolean {
    return this.verb !== "read" && this.verb !== "flush";
  }
}
