/*
 * Traps on a disk: the one write that somebody waits for, caught as it is submitted or as it lands.
 *
 * So a fault can strike at the one instant where a protocol is most tender, e.g. between the two copies of a record,
 * instead of at a random time that hits it once in a thousand runs.
 */
import type { SimulatedProcess } from "./process.ts";

/** One submitted write. For devices, the disk and traps. */
export interface PendingWrite {
  readonly process: SimulatedProcess;
  /** Where it begins, bytes. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly isDurable: boolean;
  /** Called when all of it landed. */
  readonly landed: () => void;
}

/** What becomes of the write that sprang a trap. */
export type WriteFate =
  /** It goes on. */
  | { readonly type: "unharmed" }
  /** Of a write that was submitted: it lands so many milliseconds later, whatever becomes of its process. */
  | { readonly type: "late"; readonly delayMs: number }
  /** Of a write that lands: some of its sectors do, and nobody is told. */
  | { readonly type: "torn" }
  /** Of a write that lands: it is acknowledged, and the device goes on showing what stood there. */
  | { readonly type: "lost" }
  /** As `lost`, and another place shows it instead. */
  | { readonly type: "misdirected"; readonly toBlock: number };

/** When a trap looks at writes. */
export type TrapMoment = "submitted" | "landing";

/** Waits for one write. */
export interface WriteTrap {
  readonly moment: TrapMoment;
  /** Does what the trap is for and says what becomes of the write; undefined: not this one, the trap stays. */
  readonly spring: (write: PendingWrite) => WriteFate | undefined;
}

/** The traps that are set. */
export class WriteTraps {
  readonly #traps: Set<WriteTrap> = new Set();

  /** Sets a trap for one write. */
  set(trap: WriteTrap): void {
    this.#traps.add(trap);
  }

  /** Shows a write to every trap of this moment; the first that springs decides. */
  meet(moment: TrapMoment, write: PendingWrite): WriteFate | undefined {
    for (const trap of this.#traps) {
      if (trap.moment !== moment) continue;
      const fate = trap.spring(write);
      if (fate === undefined) continue;
      this.#traps.delete(trap);
      return fate;
    }
    return undefined;
  }

  /** Takes all traps away. */
  clear(): void {
    this.#traps.clear();
  }
}
