/*
 * A device in memory whose power fails at one write: the write is lost, lands, or lands in part; what was not flushed before it
 * may be gone too.
 */
import { BLOCK_BYTES, type BlockDevice, type Clock, DeviceError, invariant } from "@holdfast/environment";

const SECTOR_BYTES = 512;

/** When the power fails, and what it leaves. */
export interface Crash {
  /** The write at which it fails, from 0. */
  readonly atWrite: number;
  /** Sectors of that write that land, 0 … 8, from its start or from its end. */
  readonly sectors: number;
  readonly fromEnd: boolean;
  /** True: writes that were neither durable nor flushed are gone. */
  readonly losesUnflushed: boolean;
}

/** The power has failed: thrown by the device from then on. */
export class PowerFailure extends DeviceError {
  constructor() {
    super("ERR_HOLDFAST_DEVICE_WRITE", "the power has failed", {
      device: "memory:",
      offsetBytes: 0n,
      lengthBytes: 0,
    });
  }
}

const SECTORS = BLOCK_BYTES / SECTOR_BYTES;

/** Every way a power failure can leave the write at which it happens: in part up to each sector, or from each on. */
export function crashesAt(atWrite: number): readonly Crash[] {
  const crashes: Crash[] = [];
  for (const losesUnflushed of [false, true]) {
    for (let sectors = 0; sectors <= SECTORS; sectors += 1) {
      crashes.push({ atWrite, sectors, fromEnd: false, losesUnflushed });
      if (sectors > 0 && sectors < SECTORS) crashes.push({ atWrite, sectors, fromEnd: true, losesUnflushed });
    }
  }
  return crashes;
}

/** The same for one of many writes of a kind: lost, half, whole. */
export function fewCrashesAt(atWrite: number): readonly Crash[] {
  return [0, SECTORS / 2, SECTORS].map((sectors) => {
    return { atWrite, sectors, fromEnd: sectors === 4, losesUnflushed: (atWrite + sectors / 4) % 2 === 0 };
  });
}

/** What stays when the power fails. */
export class CrashDevice {
  readonly bytes: Uint8Array;
  /** Blocks written since it was opened, in order. */
  written: bigint[] = [];
  #crash: Crash | undefined;
  #unflushed: { readonly offset: number; readonly before: Uint8Array }[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The device after the power came back, or as it is: `crash` is counted from now. */
  open(crash?: Crash): BlockDevice {
    this.#crash = crash;
    this.#unflushed = [];
    this.written = [];
    let hasFailed = false;
    const live = (): void => {
      if (hasFailed) throw new PowerFailure();
    };
    return {
      url: "memory:",
      sizeBytes: BigInt(this.bytes.length),
      sectorBytes: SECTOR_BYTES,
      isLocal: true,
      read: async (offset, into) => {
        live();
        into.set(this.bytes.subarray(Number(offset), Number(offset) + into.length));
      },
      write: async (offset, bytes, { isDurable }) => {
        live();
        hasFailed = this.#write(Number(offset), bytes, isDurable);
        live();
      },
      flush: async () => {
        live();
        this.#unflushed = [];
      },
      close: async () => live(),
    };
  }

  /** Returns true when the power has failed. */
  #write(offset: number, bytes: Uint8Array, isDurable: boolean): boolean {
    const crash = this.#crash;
    const isLast = crash?.atWrite === this.written.length;
    this.written.push(BigInt(offset / BLOCK_BYTES));
    if (crash === undefined || !isLast) {
      if (!isDurable)
        this.#unflushed.push({ offset, before: this.bytes.slice(offset, offset + bytes.length) });
      this.bytes.set(bytes, offset);
      return false;
    }
    invariant(bytes.length === BLOCK_BYTES, "one block is written at a time");
    if (crash.losesUnflushed)
      for (const { offset: at, before } of this.#unflushed.reverse()) this.bytes.set(before, at);
    const landing = crash.sectors * SECTOR_BYTES;
    const start = crash.fromEnd ? bytes.length - landing : 0;
    this.bytes.set(bytes.subarray(start, start + landing), offset + start);
    return true;
  }
}

/** A clock that stands still and lets nobody wait. */
export const IMPATIENT_CLOCK: Clock = {
  now: () => 0,
  wallMs: () => 0,
  at: (_deadline, action) => {
    queueMicrotask(action);
    return () => {};
  },
  yield: () => Promise.resolve(),
};
