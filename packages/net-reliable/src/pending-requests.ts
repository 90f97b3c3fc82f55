/*
 * The unanswered requests of one side, by id, in order of id.
 *
 * Ids rise by one, so most requests live in a ring, at id modulo its size: no hashing. A place keeps its record when
 * its request is answered, and the next request there fills it anew: nothing is allocated per request, and a long-lived
 * ring holds no young objects, which would cost more than the record. So a record is a request's only while it is
 * held: whoever calls back in between must come again by id.
 *
 * A request that stays unanswered until its place is needed again moves aside into a map. It moves exactly when the
 * id comes that is greater by the ring's size; so the map is in order of id too, and all its ids are below those of
 * the ring.
 */
import type { KeptBody } from "./outbox.ts";

/** Takes the answer to a call; `body` is valid only during the call. */
export type Done = (error: number, body: Uint8Array) => void;

/** A request without an answer. */
export interface PendingRequest extends KeptBody {
  /** {@link NO_ID} while the record belongs to no request. */
  id: number;
  command: number;
  /** Undefined once cancelled. */
  done: Done | undefined;
  /** It concerns this very server: aborted, not sent again, when another one comes. */
  isBound: boolean;
  isSent: boolean;
}

/** Id of a record that belongs to no request. Not 0, which a peer may say: no frame carries this one. */
const NO_ID = -1;

/** Places of an idle session; always a power of two. */
const RING_PLACES_MIN = 8;

/** The requests of one side. */
export class PendingRequests {
  #ring: PendingRequest[] = newRing(RING_PLACES_MIN);
  readonly #aside: Map<number, PendingRequest> = new Map();
  #nextId = 1;
  /** No request below this id is held; catches up when asked. */
  #oldestId = 1;
  #size = 0;

  /** Requests held. */
  get size(): number {
    return this.#size;
  }

  /** Id that the next request gets; ids start at 1. */
  get nextId(): number {
    return this.#nextId;
  }

  /** The greatest id up to which no request is held. Each id is passed once. */
  get settledId(): number {
    while (this.#oldestId < this.#nextId && this.get(this.#oldestId) === undefined) this.#oldestId += 1;
    return this.#oldestId - 1;
  }

  /** Adds a request, whose body is nowhere yet. */
  add(command: number, done: Done, isBound: boolean): PendingRequest {
    const id = this.#nextId;
    const request = this.#vacate(id);
    request.id = id;
    request.command = command;
    request.done = done;
    request.isBound = isBound;
    request.isSent = false;
    this.#nextId = id + 1;
    this.#size += 1;
    return request;
  }

  /** The request of that id, if it is held. */
  get(id: number): PendingRequest | undefined {
    const record = this.#placeOf(id);
    return record.id === id ? record : this.#aside.get(id);
  }

  /** Removes a request that is held; its body must have been dropped. */
  remove(request: PendingRequest): void {
    if (this.#placeOf(request.id) !== request) this.#aside.delete(request.id);
    request.id = NO_ID;
    request.done = undefined;
    this.#size -= 1;
  }

  /** All requests in order of id, for as long as nothing is removed and added. */
  list(): PendingRequest[] {
    const all = [...this.#aside.values()];
    for (let id = Math.max(1, this.#nextId - this.#ring.length); id < this.#nextId; id += 1) {
      const record = this.#placeOf(id);
      if (record.id === id) all.push(record);
    }
    return all;
  }

  /** Gives back memory that only a busy session needs. */
  trim(): void {
    if (this.#size === 0 && this.#ring.length > RING_PLACES_MIN) this.#ring = newRing(RING_PLACES_MIN);
  }

  #placeOf(id: number): PendingRequest {
    // The compiler cannot see that the place is inside the ring, whose length is a power of two.
    return this.#ring[id & (this.#ring.length - 1)] as PendingRequest;
  }

  /** A free record at the place of `id`. */
  #vacate(id: number): PendingRequest {
    const record = this.#placeOf(id);
    if (record.id === NO_ID) return record;
    // A half-full ring grows; in a sparse one this is a straggler, which no size would get rid of.
    if (2 * this.#size >= this.#ring.length) {
      this.#grow();
      return this.#vacate(id);
    }
    this.#aside.set(record.id, record);
    const fresh = newRecord();
    this.#ring[id & (this.#ring.length - 1)] = fresh;
    return fresh;
  }

  #grow(): void {
    const old = this.#ring;
    const ring = newRing(2 * old.length);
    for (const record of old) if (record.id !== NO_ID) ring[record.id & (ring.length - 1)] = record;
    this.#ring = ring;
  }
}

function newRing(places: number): PendingRequest[] {
  return Array.from({ length: places }, newRecord);
}

function newRecord(): PendingRequest {
  return {
    chunk: undefined,
    bodyOffset: 0,
    bodyBytes: 0,
    ownBody: undefined,
    id: NO_ID,
    command: 0,
    done: undefined,
    isBound: false,
    isSent: false,
  };
}
