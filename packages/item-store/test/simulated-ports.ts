/*
 * The device, the time and the chance of the world in world.ts.
 */
import {
  BLOCK_BYTES,
  type BlockDevice,
  type Clock,
  DeviceError,
  type Random,
  type WriteOptions,
} from "@holdfast/environment";

/** Blocks in memory; writes can be watched and made to fail. */
export class MemoryDevice implements BlockDevice {
  readonly url = "memory:test";
  readonly sectorBytes = BLOCK_BYTES;
  readonly isLocal = true;
  readonly bytes: Uint8Array;
  /** Called before each write takes effect; what it throws fails the write, which then has no effect. */
  onWrite: (block: bigint, bytes: Uint8Array, options: WriteOptions) => void = () => {};
  /** Called before each read; may wait. */
  onRead: (block: bigint) => Promise<void> | void = () => {};

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }

  get sizeBytes(): bigint {
    return BigInt(this.bytes.length);
  }

  async read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    await this.onRead(offsetBytes / BigInt(BLOCK_BYTES));
    await Promise.resolve();
    into.set(this.bytes.subarray(Number(offsetBytes), Number(offsetBytes) + into.length));
  }

  async write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void> {
    await Promise.resolve();
    try {
      this.onWrite(offsetBytes / BigInt(BLOCK_BYTES), bytes, options);
    } catch (cause) {
      const facts = { device: this.url, offsetBytes, lengthBytes: bytes.length };
      throw new DeviceError("ERR_HOLDFAST_DEVICE_WRITE", "the write failed", facts, { cause });
    }
    this.bytes.set(bytes, Number(offsetBytes));
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

/** Time that passes only when somebody waits for it. */
export class WaitingClock implements Clock {
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  at(deadlineMs: number, action: () => void): () => void {
    const handle = setImmediate(() => {
      this.#nowMs = Math.max(this.#nowMs, deadlineMs);
      action();
    });
    return () => clearImmediate(handle);
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** xorshift32, from a seed. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.u32() & 0xff);
  }
}
