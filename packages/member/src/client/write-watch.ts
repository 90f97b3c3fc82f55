/*
 * Whether a write of this member may still land where it was granted blocks (reference: reliability F3).
 *
 * A write that failed, or timed out, may reach the device at any later time: its block must go to nobody else before this
 * process is confirmed dead. So a member that leaves says whether there was one, or one is under way.
 */
import type { BlockDevice } from "@holdfast/environment";

/** A run of bytes on the device. */
export interface WatchedBytes {
  readonly startBytes: bigint;
  readonly endBytes: bigint;
}

/** A device, and what became of the writes to it. */
export class WriteWatch {
  /** The device to write to. */
  readonly device: BlockDevice;
  #inFlightCount = 0;
  #hasFailed = false;

  /** @param watched - Where blocks are granted; what is written elsewhere has its place for ever. */
  constructor(device: BlockDevice, watched: WatchedBytes) {
    const { url, sizeBytes, sectorBytes, isLocal } = device;
    this.device = {
      url,
      sizeBytes,
      sectorBytes,
      isLocal,
      read: (offsetBytes, into) => device.read(offsetBytes, into),
      write: (offsetBytes, bytes, options) => {
        const write = device.write(offsetBytes, bytes, options);
        const isWatched = offsetBytes >= watched.startBytes && offsetBytes < watched.endBytes;
        return isWatched ? this.#follow(write) : write;
      },
      // It fails for writes that were thought to be done.
      flush: () => this.#follow(device.flush()),
      close: () => device.close(),
    };
  }

  /** True once a write failed, or a flush. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** True while a write is under way, or a flush. */
  get isWriting(): boolean {
    return this.#inFlightCount > 0;
  }

  async #follow(write: Promise<void>): Promise<void> {
    this.#inFlightCount += 1;
    try {
      await write;
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    } finally {
      this.#inFlightCount -= 1;
    }
  }
}
