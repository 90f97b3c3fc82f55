import {
  BATCH_HEADER_BYTES,
  type Frame,
  type FrameSpace,
  batchLength,
  decodeFrame,
  frameSpace,
} from "@holdfast/wire-format";
import { SessionError } from "./errors.ts";

/** A frame that may come, by which it is known. */
export interface DueFrame {
  readonly command: number;
  /** Of the whole frame; no two that may come have the same length. */
  readonly frameBytes: number;
}

/**
 * Gathers one of few frames of known length and command from a peer that has proved nothing yet.
 *
 * Its memory is the length of the longest: a stranger cannot make us keep more, whatever length it announces.
 */
export class FirstFrame {
  readonly #space: FrameSpace;
  readonly #due: readonly DueFrame[];
  /** The one that comes, known by its header. */
  #coming: DueFrame | undefined;
  #length = 0;

  constructor(...due: readonly DueFrame[]) {
    this.#due = due;
    this.#space = frameSpace(new Uint8Array(Math.max(...due.map(({ frameBytes }) => frameBytes))));
  }

  /**
   * Takes the bytes it needs from the start of `chunk` and returns how many that were.
   *
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_GREETING` when this cannot become a frame we wait for.
   * @throws FrameError when the header is damaged.
   */
  take(chunk: Uint8Array): number {
    const headerBytes = this.#gather(chunk, BATCH_HEADER_BYTES);
    const announced = batchLength(this.#space, 0, this.#length);
    if (announced === undefined) return headerBytes;
    this.#coming = this.#due.find(({ frameBytes }) => frameBytes === announced);
    if (this.#coming === undefined)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_GREETING",
        `a frame of ${announced} bytes came where one of ${this.#due.map(({ frameBytes }) => frameBytes).join(" or ")} was due`,
        announced,
      );
    return headerBytes + this.#gather(chunk.subarray(headerBytes), announced);
  }

  /**
   * The frame, or undefined while bytes are missing.
   *
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_GREETING` when it is another frame than the one we wait for.
   * @throws FrameError when it is damaged.
   */
  frame(): Frame | undefined {
    const coming = this.#coming;
    if (coming === undefined || this.#length < coming.frameBytes) return undefined;
    const frame = decodeFrame(this.#space.bytes.subarray(0, coming.frameBytes));
    if (frame.command !== coming.command || frame.seq !== 0 || frame.flags !== 0)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_GREETING",
        `command 0x${frame.command.toString(16)} came where 0x${coming.command.toString(16)} was due`,
        frame.command,
      );
    return frame;
  }

  /** Takes bytes until there are `wantedBytes`. */
  #gather(chunk: Uint8Array, wantedBytes: number): number {
    const taken = Math.min(chunk.length, Math.max(0, wantedBytes - this.#length));
    this.#space.bytes.set(chunk.subarray(0, taken), this.#length);
    this.#length += taken;
    return taken;
  }
}
