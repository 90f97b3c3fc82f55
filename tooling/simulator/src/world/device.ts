/*
 * The shared disk as one process sees it: the BlockDevice port.
 */
import { deferred, DeviceError } from "@holdfast/environment";
import type { BlockDevice, WriteOptions } from "@holdfast/environment";
import type { SimulatedDisk } from "./disk.ts";
import { SECTOR_BYTES } from "./medium.ts";
import type { SimulatedProcess } from "./process.ts";

/** Half of the completions reach their process in the instant of the landing, the rest up to this much later. */
const COMPLETION_MAX_MS = 0.5;

/** One process's handle on a shared disk. */
export class SimulatedDevice implements BlockDevice {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number = SECTOR_BYTES;
  readonly isLocal: boolean = true;
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;
  #isClosed = false;

  /** Made by {@link SimulatedDisk.open}. */
  constructor(disk: SimulatedDisk, process: SimulatedProcess, url: string) {
    this.#disk = disk;
    this.#process = process;
    this.url = url;
    this.sizeBytes = disk.sizeBytes;
  }

  read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    const refusal = this.#refusal(offsetBytes, into.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    const done = deferred<void>();
    const offset = Number(offsetBytes);
    this.#disk.world.after(this.#disk.latencyMs(into.length, this.#process), () => {
      if (this.#process.isDead) return;
      const isFailing = this.#disk.chanceOfError("read", this.#process);
      if (!isFailing) this.#disk.read(offset, into);
      const at = { url: this.url, offset, lengthBytes: into.length };
      this.#complete(() => (isFailing ? done.reject(injectedError("READ", at)) : done.resolve()));
    });
    return done.promise;
  }

  write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void> {
    const refusal = this.#refusal(offsetBytes, bytes.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    const done = deferred<void>();
    const offset = Number(offsetBytes);
    if (this.#process.isDead) return done.promise;
    const isFailing = this.#disk.chanceOfError("write", this.#process);
    // A failed write may land all the same, whole, at any time: it stays submitted.
    this.#disk.submit({
      process: this.#process,
      offset,
      // A failed write lands after its caller took the buffer back, so it keeps a copy.
      bytes: isFailing ? bytes.slice() : bytes,
      isDurable: options.isDurable,
      landed: isFailing ? nothing : () => this.#complete(() => done.resolve()),
    });
    if (isFailing) {
      const at = { url: this.url, offset, lengthBytes: bytes.length };
      this.#disk.world.after(this.#disk.latencyMs(0, this.#process), () =>
        this.#complete(() => done.reject(injectedError("WRITE", at))),
      );
    }
    return done.promise;
  }

  flush(): Promise<void> {
    const refusal = this.#refusal(0n, 0);
    if (refusal !== undefined) return Promise.reject(refusal);
    const done = deferred<void>();
    const { medium, world } = this.#disk;
    const mark = medium.beginFlush();
    const isFailing = this.#disk.chanceOfError("flush", this.#process);
    world.after(this.#disk.latencyMs(0, this.#process), () => {
      if (!isFailing) medium.completeFlush(mark);
      const at = { url: this.url, offset: 0, lengthBytes: 0 };
      this.#complete(() => (isFailing ? done.reject(injectedError("FLUSH", at)) : done.resolve()));
    });
    return done.promise;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  #complete(action: () => void): void {
    const { random } = this.#process;
    if (random.chance(0.5)) {
      this.#process.deliver("completion", action);
      return;
    }
    this.#disk.world.schedule({
      timeMs: this.#disk.world.nowMs + random.range(0, COMPLETION_MAX_MS),
      tie: random.u32(),
      kind: "completion",
      process: this.#process,
      action,
    });
  }

  #refusal(offsetBytes: bigint, lengthBytes: number): DeviceError | undefined {
    const facts = { device: this.url, offsetBytes, lengthBytes };
    if (this.#isClosed) return new DeviceError("ERR_HOLDFAST_DEVICE_CLOSED", `${this.url} is closed`, facts);
    const isAligned = offsetBytes % BigInt(SECTOR_BYTES) === 0n && lengthBytes % SECTOR_BYTES === 0;
    if (offsetBytes < 0n || !isAligned || offsetBytes + BigInt(lengthBytes) > this.sizeBytes) {
      return new DeviceError(
        "ERR_HOLDFAST_DEVICE_RANGE",
        `${lengthBytes} bytes at ${offsetBytes} are outside ${this.url} or not whole sectors`,
        facts,
      );
    }
    return undefined;
  }
}

/** The error of a request that the world made fail. */
function injectedError(
  operation: "READ" | "WRITE" | "FLUSH",
  at: { readonly url: string; readonly offset: number; readonly lengthBytes: number },
): DeviceError {
  return new DeviceError(
    `ERR_HOLDFAST_DEVICE_${operation}`,
    `${operation.toLowerCase()} of ${at.lengthBytes} bytes at ${at.offset} of ${at.url} failed: injected I/O error`,
    { device: at.url, offsetBytes: BigInt(at.offset), lengthBytes: at.lengthBytes },
  );
}

function nothing(): void {}
