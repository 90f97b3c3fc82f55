/*
 * Reading and writing as effects, and the one way slots are read.
 *
 * A block that another process writes just now may be read torn, so what cannot be read is read again a few times
 * before it counts as unreadable. Reading again is always safe: every rule asks for a read that began after some
 * moment, and a later one began after it too.
 */
import { invariant } from "@holdfast/environment";
import type { QuorumRegion } from "./region.ts";
import { readSlot, type SlotState } from "./slot.ts";

/** Consecutive blocks. */
export interface BlockRange {
  /** First block. */
  readonly address: bigint;
  /** How many. */
  readonly count: number;
}

/** Read these ranges, all at once, past every cache. */
export interface ReadBlocks {
  readonly type: "read-blocks";
  /** Returned with the answer. */
  readonly id: number;
  readonly ranges: readonly BlockRange[];
  /** 1, and higher when something could not be read; wait a moment before a higher one. */
  readonly attempt: number;
}

/** Write one block, durably, and answer only then. */
export interface WriteBlock {
  readonly type: "write-block";
  /** Returned with the answer. */
  readonly id: number;
  readonly address: bigint;
  readonly block: Uint8Array;
}

/** What the machines of this package ask of a device. */
export type IoEffect = ReadBlocks | WriteBlock;

/** The blocks of all ranges one after another; undefined where the device reported an error. */
export interface BlocksRead {
  readonly type: "blocks-read";
  readonly id: number;
  readonly blocks: readonly (Uint8Array | undefined)[];
}

/** What a device answers. */
export type IoEvent =
  | BlocksRead
  | { readonly type: "block-written"; readonly id: number }
  | { readonly type: "block-write-failed"; readonly id: number; readonly cause: unknown };

/** How often a block is read before it counts as unreadable. A torn read is over in the time of one write. */
export const READ_ATTEMPTS_MAX = 4;

/** Gives each effect of one machine its own id. */
export type NextId = () => number;

/** Ids from 1. */
export function countIds(): NextId {
  let last = 0;
  return () => {
    last += 1;
    return last;
  };
}

/** Reads some slots, again where need be, and keeps what each says. */
export class SlotReading {
  readonly #region: QuorumRegion;
  readonly #nextId: NextId;
  readonly #states: Map<bigint, SlotState> = new Map();
  readonly #withheld: Set<bigint> = new Set();
  #asked: ReadBlocks;

  constructor(region: QuorumRegion, nextId: NextId, ranges: readonly BlockRange[]) {
    this.#region = region;
    this.#nextId = nextId;
    this.#asked = { type: "read-blocks", id: nextId(), ranges, attempt: 1 };
  }

  /** The read that is wanted first. */
  get request(): ReadBlocks {
    return this.#asked;
  }

  /** True if the device gave out no block of these at last: it, or the way to it, is broken, not the slots. */
  isWithheld({ address, count }: BlockRange): boolean {
    for (let offset = 0; offset < count; offset += 1)
      if (!this.#withheld.has(address + BigInt(offset))) return false;
    return true;
  }

  /** Share of the blocks that say nothing, 0 … 1. */
  get unreadableShare(): number {
    let count = 0;
    for (const { state } of this.#states.values()) if (state === "unreadable") count += 1;
    return count / this.#states.size;
  }

  /** True if the device refused a block at last: whatever that one holds is not known. */
  get isPartial(): boolean {
    return this.#withheld.size > 0;
  }

  /** Takes an answer; returns the next read, or undefined when everything is known. */
  accept(event: BlocksRead): ReadBlocks | undefined {
    invariant(event.id === this.#asked.id, "the answer belongs to the read that was asked for");
    const damaged: BlockRange[] = [];
    let index = 0;
    for (const range of this.#asked.ranges) {
      for (let offset = 0; offset < range.count; offset += 1) {
        const address = range.address + BigInt(offset);
        const block = event.blocks[index];
        const state = readSlot(this.#region, address, block);
        this.#states.set(address, state);
        if (block === undefined) this.#withheld.add(address);
        else this.#withheld.delete(address);
        // A read that was misdirected shows the other copy: what stands in its own place may be sound.
        if (state.state === "unreadable" || state.state === "misplaced") damaged.push({ address, count: 1 });
        index += 1;
      }
    }
    invariant(index === event.blocks.length, "as many blocks are answered as were asked for");
    const attempt = this.#asked.attempt + 1;
    if (damaged.length === 0 || attempt > READ_ATTEMPTS_MAX) return undefined;
    this.#asked = { type: "read-blocks", id: this.#nextId(), ranges: damaged, attempt };
    return this.#asked;
  }

  /** What a block says; it was in one of the ranges. */
  at(address: bigint): SlotState {
    const state = this.#states.get(address);
    invariant(state !== undefined, `block ${address} was read`);
    return state;
  }
}
