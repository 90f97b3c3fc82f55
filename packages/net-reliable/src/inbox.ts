import type { Frame } from "@holdfast/wire-format";
import { FRAME_HEADER_BYTES } from "@holdfast/wire-format";

/**
 * Frames of the peer that were received and must wait their turn: copies, in their order.
 *
 * A peer that asks faster than it takes answers is held back here (see session.ts); the list is empty otherwise.
 */
export class Inbox {
  #frames: Frame[] = [];
  #next = 0;
  #bytes = 0;

  /** True if nothing waits. */
  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** Bytes of the frames that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a copy of `frame`, whose body dies with the call that brought it. */
  add(frame: Frame): void {
    this.#frames.push({ ...frame, body: frame.body.slice() });
    this.#bytes += FRAME_HEADER_BYTES + frame.body.length;
  }

  /** Takes out the frame that waited longest. */
  take(): Frame | undefined {
    const frame = this.#frames[this.#next];
    if (frame === undefined) return undefined;
    this.#next += 1;
    this.#bytes -= FRAME_HEADER_BYTES + frame.body.length;
    if (this.#next === this.#frames.length) this.clear();
    return frame;
  }

  /** Drops everything. */
  clear(): void {
    this.#frames = [];
    this.#next = 0;
    this.#bytes = 0;
  }
}
