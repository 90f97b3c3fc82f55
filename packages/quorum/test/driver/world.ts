/*
 * A clock, a device and random numbers for several voters in one process: time moves only when the test says so.
 */
import {
  BLOCK_BYTES,
  type BlockDevice,
  type Clock,
  DeviceError,
  type Logger,
  type Random,
  blockOffset,
} from "@holdfast/environment";
import { formatQuorum, type Hint, type QuorumPorts, type QuorumRegion, readHint } from "../../src/index.ts";

export const REGION: QuorumRegion = {
  fsid: 0xfeedn,
  hintsBlock: 1n,
  hintsCount: 16,
  slotsBlock: 20n,
  termsMax: 64,
  termBase: 0n,
  generation: 0,
  recordsBlock: 200n,
  recordsCopyBlock: 400n,
};

/** What stands in each block of the hints. */
export function hintsOn({ bytes }: World): readonly (Hint | undefined)[] {
  const { hintsBlock, hintsCount } = REGION;
  return Array.from({ length: hintsCount }, (_, index) => {
    const block = hintsBlock + BigInt(index);
    const at = Number(block) * BLOCK_BYTES;
    return readHint(REGION, block, bytes.subarray(at, at + BLOCK_BYTES));
  });
}

const DEVICE_BLOCKS = 600;
const IO_MS = 1;

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export class World {
  readonly bytes: Uint8Array = new Uint8Array(DEVICE_BLOCKS * BLOCK_BYTES);
  readonly logged: object[] = [];
  /** Blocks that fail to be read or written. */
  readonly badReads: Set<bigint> = new Set();
  readonly badWrites: Set<bigint> = new Set();
  readsCount = 0;
  writesCount = 0;
  /** While true no read or write comes to its end; those of the time do when it is false again. */
  isStalled = false;
  #timers: Timer[] = [];
  #now = 0;
  #order = 0;
  #seed = 1;

  constructor() {
    for (const { address, block } of formatQuorum(REGION, new Uint8Array([1])))
      this.bytes.set(block, Number(address) * BLOCK_BYTES);
  }

  get now(): number {
    return this.#now;
  }

  ports(): QuorumPorts {
    return { device: this.#device(), clock: this.#clock(), random: this.#random(), log: this.#log() };
  }

  /** Runs everything that is due within `ms` milliseconds, in order. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      this.#timers.sort((a, b) => a.at - b.at || a.order - b.order);
      const [timer] = this.#timers;
      if (timer === undefined || timer.at > end) break;
      this.#timers.shift();
      this.#now = Math.max(this.#now, timer.at);
      timer.action();
    }
    this.#now = end;
  }

  /** The process stands still for so long: what fell due meanwhile comes all at once when time passes again. */
  pause(ms: number): void {
    this.#now += ms;
  }

  damage(block: bigint): void {
    const at = Number(block) * BLOCK_BYTES + 100;
    this.bytes[at] = (this.bytes[at] ?? 0) ^ 0xff;
  }

  #clock(): Clock {
    return {
      now: () => this.#now,
      wallMs: () => this.#now,
      at: (deadline, action) => {
        this.#order += 1;
        const timer = { at: deadline, order: this.#order, action };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
      yield: settle,
    };
  }

  #device(): BlockDevice {
    const clock = this.#clock();
    const later = (): Promise<void> =>
      new Promise((resolve) => {
        const tryAgain = (): void => {
          if (this.isStalled) clock.at(this.#now + IO_MS, tryAgain);
          else resolve();
        };
        clock.at(this.#now + IO_MS, tryAgain);
      });
    return {
      url: "memory:",
      sizeBytes: BigInt(this.bytes.length),
      sectorBytes: BLOCK_BYTES,
      isLocal: true,
      read: async (offset, into) => {
        this.readsCount += 1;
        await later();
        this.#refuse(this.badReads, { offset, lengthBytes: into.length, code: "ERR_HOLDFAST_DEVICE_READ" });
        into.set(this.bytes.subarray(Number(offset), Number(offset) + into.length));
      },
      write: async (offset, bytes) => {
        this.writesCount += 1;
        await later();
        this.#refuse(this.badWrites, {
          offset,
          lengthBytes: bytes.length,
          code: "ERR_HOLDFAST_DEVICE_WRITE",
        });
        this.bytes.set(bytes, Number(offset));
      },
      flush: later,
      close: later,
    };
  }

  #refuse(
    bad: ReadonlySet<bigint>,
    request: {
      readonly offset: bigint;
      readonly lengthBytes: number;
      readonly code: "ERR_HOLDFAST_DEVICE_READ" | "ERR_HOLDFAST_DEVICE_WRITE";
    },
  ): void {
    const { offset, lengthBytes, code } = request;
    for (const block of bad) {
      const at = blockOffset(block);
      if (at < offset || at >= offset + BigInt(lengthBytes)) continue;
      throw new DeviceError(code, `block ${block} is bad`, {
        device: "memory:",
        offsetBytes: at,
        lengthBytes,
      });
    }
  }

  /** A linear congruential generator (Numerical Recipes): any even spread will do here. */
  #random(): Random {
    const u32 = (): number => {
      this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
      return this.#seed;
    };
    return {
      u32,
      u64: () => (BigInt(u32()) << 32n) | BigInt(u32()),
      bytes: (count) => Uint8Array.from({ length: count }, () => u32() >>> 24),
    };
  }

  #log(): Logger {
    const keep = (facts: object): void => {
      this.logged.push(facts);
    };
    return { debug: keep, info: keep, warn: keep, error: keep };
  }
}

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}
