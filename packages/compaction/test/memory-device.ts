import { BLOCK_BYTES, type BlockDevice, type WriteOptions } from "@holdfast/environment";

/** A large device in memory that keeps only what was written, notes what was asked of it and can be told to fail. */
export class MemoryDevice implements BlockDevice {
  readonly url = "memory:test";
  readonly sectorBytes: number = BLOCK_BYTES;
  readonly isLocal = true;
  readonly sizeBytes: bigint = 1n << 50n;
  /** Every write and flush, in order. */
  readonly journal: { readonly what: "write" | "durable" | "flush"; readonly lengthBytes: number }[] = [];
  readCount = 0;
  writeFailure: Error | undefined;
  readonly #blocks: Map<number, Uint8Array> = new Map();

  async read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    this.readCount += 1;
    const first = blockOf(offsetBytes, into.length);
    await Promise.resolve();
    for (let at = 0; at < into.length; at += BLOCK_BYTES)
      into.set(this.#blocks.get(first + at / BLOCK_BYTES) ?? EMPTY, at);
  }

  async write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void> {
    const first = blockOf(offsetBytes, bytes.length);
    this.journal.push({ what: options.isDurable ? "durable" : "write", lengthBytes: bytes.length });
    await Promise.resolve();
    if (this.writeFailure !== undefined) throw this.writeFailure;
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES)
      this.#blocks.set(first + at / BLOCK_BYTES, bytes.slice(at, at + BLOCK_BYTES));
  }

  async flush(): Promise<void> {
    this.journal.push({ what: "flush", lengthBytes: 0 });
    await Promise.resolve();
  }

  async close(): Promise<void> {}

  /** Puts other bytes in the place of a block. */
  overwrite(block: bigint): void {
    this.#blocks.set(Number(block), new Uint8Array(BLOCK_BYTES).fill(0xee));
  }
}

const EMPTY = new Uint8Array(BLOCK_BYTES);

function blockOf(offsetBytes: bigint, lengthBytes: number): number {
  const offset = Number(offsetBytes);
  if (offset % BLOCK_BYTES !== 0 || lengthBytes % BLOCK_BYTES !== 0)
    throw new RangeError(`${offsetBytes}+${lengthBytes} is not a run of blocks`);
  return offset / BLOCK_BYTES;
}
