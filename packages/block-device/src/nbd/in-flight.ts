/*
 * Requests that one connection has not answered yet, found by the low half of their cookie.
 *
 * A cookie is {sequence, slot}: the slot finds the request without a search, the sequence, new at each use of a slot,
 * tells an answer that comes twice or was never asked for.
 */
import { invariant } from "@holdfast/environment";

/** What an answer needs to know of its request. */
export interface ReplyTarget {
  readonly isRead: boolean;
  /** Where on the device it reads or writes: chunks say where they belong by such offsets. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Where a read goes; undefined once nobody wants it any more. */
  readonly memory: Uint8Array | undefined;
}

/** What is known of an answer that comes in chunks. */
export interface PartialReply {
  receivedBytes: number;
  /** The part of the request's memory that the last chunks filled, one behind the other. */
  runStart: number;
  runEnd: number;
  /** Parts that were filled before. */
  readonly runs: { readonly start: number; readonly end: number }[];
  /** 0, or the first error. */
  errno: number;
  /** The server's words on the error. */
  said: string;
}

/** A table with room for a fixed number of requests. */
export class InFlight<Target extends ReplyTarget> {
  readonly #targets: (Target | undefined)[];
  readonly #partials: PartialReply[];
  readonly #sequences: Uint32Array;
  readonly #free: number[];
  #bytes = 0;

  constructor(countMax: number) {
    const slots = Array.from({ length: countMax }, (_, slot) => slot);
    this.#targets = slots.map(() => undefined);
    this.#partials = slots.map(() => ({
      receivedBytes: 0,
      runStart: 0,
      runEnd: 0,
      runs: [],
      errno: 0,
      said: "",
    }));
    this.#sequences = new Uint32Array(countMax);
    this.#free = slots.reverse();
  }

  get count(): number {
    return this.#targets.length - this.#free.length;
  }

  /** Sum of the lengths of all requests. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#free.length === 0;
  }

  /** Takes a request in and gives its slot, the low half of its cookie. */
  add(target: Target): number {
    const slot = this.#free.pop();
    invariant(slot !== undefined, "whoever adds a request asked for room before");
    this.#targets[slot] = target;
    this.#bytes += target.lengthBytes;
    this.#sequences[slot] = (this.#sequences[slot] ?? 0) + 1;
    const partial = this.partial(slot);
    partial.receivedBytes = 0;
    partial.runStart = 0;
    partial.runEnd = 0;
    partial.runs.length = 0;
    partial.errno = 0;
    partial.said = "";
    return slot;
  }

  /** The high half of the cookie of the request that is, or was last, in a slot. */
  sequence(slot: number): number {
    return this.#sequences[slot] ?? 0;
  }

  /** The request with this cookie, if it is in flight. */
  find(sequence: number, slot: number): Target | undefined {
    return this.#sequences[slot] === sequence ? this.#targets[slot] : undefined;
  }

  /** The request in a slot. */
  at(slot: number): Target | undefined {
    return this.#targets[slot];
  }

  /** What has come of the answer to the request in a slot. */
  partial(slot: number): PartialReply {
    const partial = this.#partials[slot];
    invariant(partial !== undefined, "a slot is a slot of this table");
    return partial;
  }

  /** Frees a slot. */
  remove(slot: number): void {
    const target = this.#targets[slot];
    invariant(target !== undefined, "only requests in flight are removed");
    this.#targets[slot] = undefined;
    this.#bytes -= target.lengthBytes;
    this.#free.push(slot);
  }

  /** All requests in flight. */
  *targets(): Generator<Target, void, void> {
    for (const target of this.#targets) if (target !== undefined) yield target;
  }
}
