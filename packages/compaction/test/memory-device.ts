import type { BlockDevice, WriteOptions } from "@holdfast/environment";

/** A device in memory that notes what was asked of it and can be told to fail. */
export class MemoryDevice implements BlockDevice {
  readonly url = "memory:test";
  readonly sectorBytes = 4096;
  readonly isLocal = true;
  bytes: Uint8Array;
  /** Every write and flush, in order. */
  readonly journal: { readonly what: "write" | "durable" | "flush"; readonly lengthBytes: number }[] = [];
  readCount = 0;
  writeFailure: Error | undefined;

  constructor(blockCount: number) {
    this.bytes = new Uint8Array(blockCount * 4096);
  }

  get sizeBytes(): bigint {
    return BigInt(this.bytes.length);
  }

  async read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    this.readCount += 1;
    const start = this.#check(offsetBytes, into.length);
    await Promise.resolve();
    into.set(this.bytes.subarray(start, start + into.length));
  }

  async write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void> {
    const start = this.#check(offsetBytes, bytes.length);
    this.journal.push({ what: options.isDurable ? "durable" : "write", lengthBytes: bytes.length });
    await Promise.resolve();
    if (this.writeFailure !== undefined) throw this.writeFailure;
    this.bytes.set(bytes, start);
  }

  async flush(): Promise<void> {
    this.journal.push({ what: "flush", lengthBytes: 0 });
    await Promise.resolve();
  }

  /** Makes the device at least so long. */
  grow(blockCount: number): void {
    if (blockCount * 4096 <= this.bytes.length) return;
    const grown = new Uint8Array(blockCount * 4096 * 2);
    grown.set(this.bytes);
    this.bytes = grown;
  }

  async close(): Promise<void> {}

  #check(offsetBytes: bigint, lengthBytes: number): number {
    const start = Number(offsetBytes);
    if (start % 4096 !== 0 || lengthBytes % 4096 !== 0 || start + lengthBytes > this.bytes.length)
      throw new RangeError(`${offsetBytes}+${lengthBytes} is not a run of blocks of this device`);
    return start;
  }
}
