import { type Frame, type FrameSpace, batchLength, decodeFrame, frameSpace } from "@holdfast/wire-format";
import { SessionError } from "./errors.ts";

/**
 * Gathers one frame of known length and command from a peer that has proved nothing yet.
 *
 * Its memory is the length of that frame: a stranger cannot make us keep more, whatever length it announces.
 */
export class FirstFrame {
  readonly #space: FrameSpace;
  readonly #command: number;
  #length = 0;

  constructor(frameBytes: number, command: number) {
    this.#space = frameSpace(new Uint8Array(frameBytes));
    this.#command = command;
  }

  /**
   * Takes the bytes it needs from the start of `chunk` and returns how many that were.
   *
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_GREETING` when this cannot become the frame we wait for.
   * @throws FrameError when the header is damaged.
   */
  take(chunk: Uint8Array): number {
    const { bytes } = this.#space;
    const taken = Math.min(chunk.length, bytes.length - this.#length);
    bytes.set(chunk.subarray(0, taken), this.#length);
    this.#length += taken;
    const announced = batchLength(this.#space, 0, this.#length);
    if (announced !== undefined && announced !== bytes.length)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_GREETING",
        `a frame of ${announced} bytes came where one of ${bytes.length} was due`,
        announced,
      );
    return taken;
  }

  /**
   * The frame, or undefined while bytes are missing.
   *
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_GREETING` when it is another frame than the one we wait for.
   * @throws FrameError when it is damaged.
   */
  frame(): Frame | undefined {
    const { bytes } = this.#space;
    if (this.#length < bytes.length) return undefined;
    const frame = decodeFrame(bytes);
    if (frame.command !== this.#command || frame.seq !== 0 || frame.flags !== 0)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_GREETING",
        `command 0x${frame.command.toString(16)} came where 0x${this.#command.toString(16)} was due`,
        frame.command,
      );
    return frame;
  }
}
