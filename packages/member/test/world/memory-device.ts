/*
 * A device in memory whose writes a test can watch, count, refuse and lose.
 */
import { BLOCK_BYTES, type BlockDevice, DeviceError, type WriteOptions } from "@holdfast/environment";

/** One write, before it takes effect. */
export interface WriteRequest {
  /** First block. */
  readonly block: bigint;
  readonly bytes: Uint8Array;
  readonly isDurable: boolean;
}

/** Blocks in memory. Requests take effect in the order they are made. */
export class MemoryDevice implements BlockDevice {
  readonly url: string = "memory:test";
  readonly sectorBytes: number = BLOCK_BYTES;
  readonly isLocal: boolean = true;
  bytes: Uint8Array;
  writeCount = 0;
  /** Called before each write; what it throws fails the write, which then has no effect. "lose": it reports success. */
  onWrite: (write: WriteRequest) => "lose" | void = () => {};
  /** Called before each read of `count` blocks from `block` on; what it throws fails the read. May wait. */
  onRead: (block: bigint, count: number) => Promise<void> | void = () => {};

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }

  get sizeBytes(): bigint {
    return BigInt(this.bytes.length);
  }

  async read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    await Promise.resolve();
    try {
      await this.onRead(offsetBytes / BigInt(BLOCK_BYTES), into.length / BLOCK_BYTES);
    } catch (cause) {
      throw this.#error("ERR_HOLDFAST_DEVICE_READ", offsetBytes, into.length, cause);
    }
    into.set(this.bytes.subarray(Number(offsetBytes), Number(offsetBytes) + into.length));
  }

  async write(offsetBytes: bigint, bytes: Uint8Array, { isDurable }: WriteOptions): Promise<void> {
    await Promise.resolve();
    this.writeCount += 1;
    try {
      const fate = this.onWrite({ block: offsetBytes / BigInt(BLOCK_BYTES), bytes, isDurable });
      if (fate === "lose") return;
    } catch (cause) {
      throw this.#error("ERR_HOLDFAST_DEVICE_WRITE", offsetBytes, bytes.length, cause);
    }
    this.bytes.set(bytes, Number(offsetBytes));
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  /** The bytes of one block, to look at or to damage. */
  block(number: bigint): Uint8Array {
    const start = Number(number) * BLOCK_BYTES;
    return this.bytes.subarray(start, start + BLOCK_BYTES);
  }

  /** Flips bits in a block. */
  damage(number: bigint): void {
    const block = this.block(number);
    block[100] = (block[100] ?? 0) ^ 0xff;
  }

  #error(
    code: "ERR_HOLDFAST_DEVICE_READ" | "ERR_HOLDFAST_DEVICE_WRITE",
    offsetBytes: bigint,
    lengthBytes: number,
    cause: unknown,
  ): DeviceError {
    const facts = { device: this.url, offsetBytes, lengthBytes };
    return new DeviceError(code, "the device refused", facts, { cause });
  }
}
