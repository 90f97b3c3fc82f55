/*
 * Who is a member in the eyes of one server: counted in, connected, waited for, or barred.
 *
 * A member is waited for while it has a record but is not connected, or has not reported; when its time is over it is
 * silent. Who broke the protocol is barred: it is not let in any more, and is silent when its time is over, since its
 * lease, which is not renewed any more, must be over before others get its locks.
 *
 * Who is barred is known for this reign only, which suffices: whom a record has evicted the next server bars again, or, when it
 * is done with, finds no record of, and refuses its report; one that asks to join again was never told that it had joined, so it
 * has written nowhere and holds nothing; and whoever was barred without a record has lost no lock and no block yet, and is a member there as before.
 */
import type { Clock } from "@holdfast/environment";
import { Deadlines } from "./deadlines.ts";

/** What a roster needs. */
export interface RosterOptions {
  readonly clock: Clock;
  /** The server's own member: nobody waits for it, since it ends with the server. */
  readonly own: bigint;
  /** How long a member whose connection broke is waited for. */
  readonly memberTimeoutMs: number;
  /** A member's time is over. */
  readonly onSilent: (rid: bigint) => void;
  /** A member is waited for from now on. */
  readonly onAwaited: (rid: bigint) => void;
}

/** The members of one server. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #present: Set<bigint> = new Set();
  readonly #connected: Set<bigint> = new Set();
  readonly #barred: Set<bigint> = new Set();
  readonly #deadlines: Deadlines;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(options.clock, options.onSilent);
  }

  /** True if the member joined or reported to this server. */
  isPresent(rid: bigint): boolean {
    return this.#present.has(rid);
  }

  /** True if the member has a connection. */
  isConnected(rid: bigint): boolean {
    return this.#connected.has(rid);
  }

  /** True if the member is not to be let in. */
  isBarred(rid: bigint): boolean {
    return this.#barred.has(rid);
  }

  /** Members that may be given work. */
  workers(): readonly bigint[] {
    return [...this.#present].filter((rid) => this.#connected.has(rid));
  }

  /** Whoever has a connection. */
  connectedMembers(): readonly bigint[] {
    return [...this.#connected];
  }

  /** A member has a record and is to report within `ms` milliseconds. */
  expect(rid: bigint, ms: number): void {
    if (rid === this.#options.own) return;
    this.#deadlines.arm(rid, ms);
    this.#options.onAwaited(rid);
  }

  /** True while a member is waited for. */
  isAwaited(rid: bigint): boolean {
    return this.#deadlines.isArmed(rid);
  }

  /** A member is counted in. One whose connection broke meanwhile is waited for. */
  enter(rid: bigint): void {
    this.#present.add(rid);
    if (this.#connected.has(rid)) this.#deadlines.disarm(rid);
    else this.expect(rid, this.#options.memberTimeoutMs);
  }

  /** A member is none any more. */
  leave(rid: bigint): void {
    this.#present.delete(rid);
    this.#deadlines.disarm(rid);
  }

  /** A member is not to be let in any more. */
  bar(rid: bigint): void {
    this.#barred.add(rid);
    this.leave(rid);
  }

  /** Bars a member that may hold locks: it is silent once its lease must be over. False if it was barred already. */
  condemn(rid: bigint): boolean {
    if (this.#barred.has(rid)) return false;
    this.bar(rid);
    this.#deadlines.arm(rid, this.#options.memberTimeoutMs);
    this.#options.onAwaited(rid);
    return true;
  }

  /** A member connected. */
  connected(rid: bigint): void {
    this.#connected.add(rid);
    if (this.#present.has(rid)) this.#deadlines.disarm(rid);
  }

  /** A member's connection is gone, or silent. */
  disconnected(rid: bigint): void {
    this.#connected.delete(rid);
    if (this.#present.has(rid)) this.expect(rid, this.#options.memberTimeoutMs);
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#deadlines.close();
  }
}
