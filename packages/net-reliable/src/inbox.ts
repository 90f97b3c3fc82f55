import type { Frame } from "@holdfast/wire-format";
import { WAITING_FRAME_BYTES } from "./limits.ts";

/**
 * Frames of the peer that were received and must wait their turn: copies, in their order.
 *
 * A peer that asks faster than it takes answers is held back here (see session.ts); the list is empty otherwise.
 */
export class Inbox {
  /** Those before `#next` were taken out, and are undefined. */
  #frames: (Frame | undefined)[] = [];
  #next = 0;
  #bytes = 0;

  /** True if nothing waits. */
  get isEmpty(): boolean {
    return this.#next === this.#frames.length;
  }

  /** What the frames that wait cost: their bodies, and {@link WAITING_FRAME_BYTES} each. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a copy of `frame`, whose body dies with the call that brought it. */
  add(frame: Frame): void {
    this.#frames.push({ ...frame, body: frame.body.slice() });
    this.#bytes += WAITING_FRAME_BYTES + frame.body.length;
  }

  /** Takes out the frame that waited longest. */
  take(): Frame | undefined {
    const frame = this.#frames[this.#next];
    if (frame === undefined) return undefined;
    this.#frames[this.#next] = undefined;
    this.#next += 1;
    this.#bytes -= WAITING_FRAME_BYTES + frame.body.length;
    // A peer that never lets the list run empty must not make it grow for ever.
    if (2 * this.#next >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#next);
      this.#next = 0;
    }
    return frame;
  }

  /** Drops everything. */
  clear(): void {
    this.#frames = [];
    this.#next = 0;
    this.#bytes = 0;
  }
}
