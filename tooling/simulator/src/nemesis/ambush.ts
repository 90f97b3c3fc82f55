/*
 * Faults that lie in wait for one write: see write-traps.ts.
 */
import type { Fault } from "../plan/draw-faults.ts";
import type { Host } from "../scenario/fleet.ts";
import { kindOf, WRITE_KINDS, type WriteKind } from "../scenario/write-kinds.ts";
import type { RandomStream } from "../world/random-stream.ts";
import type { PendingWrite, WriteFate } from "../world/write-traps.ts";
import type { Field } from "./field.ts";

/** A fault that waits for a write of some kind. */
export interface WaitingFault extends Fault {
  readonly kind: "crash-at-write" | "pause-at-write" | "power-loss-at-write";
}

/** A claim this late meets a term that somebody else has won meanwhile. */
const CLAIM_DELAY_MIN_MS = 500;
const CLAIM_DELAY_MAX_MS = 1500;

const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 1500;

/** Long enough that a paused server is replaced. */
const PAUSE_MIN_MS = 700;
const PAUSE_MAX_MS = 4000;

/** What a fault may wait for. A record is the most tender write of all, so it has three chances. */
const AWAITED_KINDS: readonly WriteKind[] = [...WRITE_KINDS, "record", "record"];

/** When a crash strikes, seen from the landing of the write. */
const CRASH_VARIANTS = ["before", "within", "within", "after"] as const;

/** A new server's first record has nothing to lose; faults strike later ones too. */
const SKIPPED_MAX = 8;

interface WantedWrite {
  readonly kind: WriteKind;
  /** How many such writes go by before the one. */
  readonly skippedCount: number;
}

const NEXT_CLAIM: WantedWrite = { kind: "splitter-x", skippedCount: 0 };

const UNHARMED: WriteFate = { type: "unharmed" };
const TORN: WriteFate = { type: "torn" };

/** Sets traps for writes. */
export class Ambush {
  readonly #field: Field;
  readonly #random: RandomStream;

  /** @param random - Chance of the fault that sets them. */
  constructor(field: Field, random: RandomStream) {
    this.#field = field;
    this.#random = random;
  }

  /** The next claim of a term lands when the term is somebody else's. */
  delayClaim(): void {
    const delayMs = this.#random.range(CLAIM_DELAY_MIN_MS, CLAIM_DELAY_MAX_MS);
    this.#wait("submitted", NEXT_CLAIM, () => ({ type: "late", delayMs }));
  }

  /** Whoever claims a term next, `server` excepted, dies with its claim on the disk and nothing announced. */
  killClaimant(server: Host): void {
    this.#wait("landing", NEXT_CLAIM, (host) => {
      if (host === server) return undefined;
      this.#soon(() => this.#kill(host, true));
      return UNHARMED;
    });
  }

  /** With its next journal write a member is cut off, and that write lands when `cutOff` says that all is over. */
  cutOffAtWrite(victim: Host, cutOff: () => number): void {
    this.#wait("submitted", { kind: "journal", skippedCount: 0 }, (host) =>
      host === victim ? { type: "late", delayMs: cutOff() } : undefined,
    );
  }

  /** Sets the trap of a fault; true if only an election makes the write it waits for. */
  lieInWait({ kind, choice, lastsMs }: WaitingFault): boolean {
    const awaited = AWAITED_KINDS[choice % AWAITED_KINDS.length] ?? "record";
    const isElection = awaited === "splitter-x" || awaited === "splitter-y";
    const wanted = { kind: awaited, skippedCount: isElection ? 0 : (choice >>> 16) % SKIPPED_MAX };
    const variant = CRASH_VARIANTS[(choice >>> 8) % CRASH_VARIANTS.length];
    const isSilent = (choice & 0x1000) !== 0;
    switch (kind) {
      case "crash-at-write":
        if (variant === "before") this.#wait("submitted", wanted, (host) => this.#killSoon(host, isSilent));
        else {
          this.#wait("landing", wanted, (host) => {
            this.#kill(host, isSilent);
            return variant === "within" ? TORN : UNHARMED;
          });
        }
        break;
      case "pause-at-write":
        this.#wait("submitted", wanted, (host) => this.#pause(host, lastsMs));
        break;
      case "power-loss-at-write":
        this.#wait("landing", wanted, () => {
          this.#field.losePower(lastsMs);
          return TORN;
        });
    }
    return isElection;
  }

  #wait(
    moment: "submitted" | "landing",
    { kind, skippedCount }: WantedWrite,
    spring: (host: Host, write: PendingWrite) => WriteFate | undefined,
  ): void {
    let toSkip = skippedCount;
    const { disk, fleet, world, counters } = this.#field;
    const deviceBytes = Number(disk.sizeBytes);
    disk.setTrap({
      moment,
      spring: (write) => {
        if (kindOf(write.bytes, write.offset, deviceBytes) !== kind) return undefined;
        toSkip -= 1;
        if (toSkip >= 0) return undefined;
        const host = fleet.everybody.find(({ process }) => process === write.process);
        const fate = host === undefined ? undefined : spring(host, write);
        if (fate === undefined) return undefined;
        world.note(write.process.name, `springs a trap with a ${kind} ${moment}, which is ${fate.type}`);
        counters.add(`trap ${kind} ${fate.type}`);
        return fate;
      },
    });
  }

  #killSoon(host: Host, isSilent: boolean): WriteFate {
    this.#soon(() => this.#kill(host, isSilent));
    return UNHARMED;
  }

  #kill(host: Host, isSilent: boolean): void {
    const restartMs = this.#random.range(RESTART_MIN_MS, RESTART_MAX_MS);
    this.#field.fleet.kill(host, { isSilent, restartMs });
  }

  /** Stops a process; its write lands meanwhile, and it learns of it first of all when it goes on. */
  #pause({ process }: Host, lastsMs: number): WriteFate {
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS + lastsMs);
    this.#soon(() => process?.pause());
    this.#field.later(pauseMs, () => process?.resume());
    return { type: "late", delayMs: pauseMs * this.#random.range(0.3, 0.95) };
  }

  /** After what the process does in this instant: it may be in the middle of it. */
  #soon(action: () => void): void {
    this.#field.world.after(0, action);
  }
}
