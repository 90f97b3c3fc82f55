import { FREE_WINDOWS_MAX } from "./stream-limits.ts";

/** Memory for what has arrived and was not read, shared by the streams of one side that have equal windows. */
export class Windows {
  /** Bytes of each. */
  readonly windowBytes: number;
  readonly #free: Uint8Array[] = [];

  constructor(windowBytes: number) {
    this.windowBytes = windowBytes;
  }

  /** A window, which holds anything. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.windowBytes);
  }

  /** Gives one back that nobody reads or writes any more. */
  give(window: Uint8Array): void {
    if (this.#free.length < FREE_WINDOWS_MAX) this.#free.push(window);
  }
}
