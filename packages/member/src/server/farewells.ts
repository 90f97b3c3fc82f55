/*
 * The unmount barrier: in which order members leave (architecture 7; reference: scoutfs 3.6, F4–F12).
 *
 * Who does not vote may go at once. A voter may go while enough voters remain to elect a server without it, or when all
 * that remain are leaving; the server's own member goes last of those. A voter that has to wait is held, at most as long as
 * it said it would wait, so that no leaving hangs for ever. Its record is removed by the commit that the answer stands
 * behind: who gets no answer finds the record gone.
 */
import { type Clock, type Deferred, deferred, type Logger } from "@holdfast/environment";
import type { FarewellRequest } from "../protocol.ts";
import type { Committer } from "./committer.ts";
import { Deadlines } from "./deadlines.ts";
import type { MemberRecord } from "./member-records.ts";

/** Who leaves, and among whom. */
export interface Leaving {
  /** Members that said farewell; true: it has waited long enough. */
  readonly leavers: ReadonlyMap<bigint, { readonly isForced: boolean }>;
  /** All recorded members. */
  readonly members: ReadonlyMap<bigint, Pick<MemberRecord, "isVoter" | "isEvicted">>;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
  /** The server's own member. */
  readonly own: bigint;
}

/** The leavers that may go now, the server's own member last. */
export function whoMayGo({ leavers, members, votes, own }: Leaving): readonly bigint[] {
  const isVoter = (rid: bigint): boolean => {
    const record = members.get(rid);
    return record !== undefined && record.isVoter && !record.isEvicted;
  };
  const voters = [...members.keys()].filter(isVoter);
  const held = [...leavers.keys()].filter(isVoter);
  const going = [...leavers.keys()].filter((rid) => !isVoter(rid));
  const areAllLeaving = held.length === voters.length;
  let remaining = voters.length;
  for (const rid of held.toSorted((a, b) => Number(a === own) - Number(b === own))) {
    if (!areAllLeaving && remaining - 1 < votes && leavers.get(rid)?.isForced !== true) continue;
    going.push(rid);
    remaining -= 1;
  }
  return going;
}

/** What farewells need. */
export interface FarewellsOptions {
  readonly own: bigint;
  readonly clock: Clock;
  readonly committer: Pick<Committer, "read" | "committed">;
  /** Commits that a member is none any more. */
  readonly forget: (rid: bigint, request: FarewellRequest) => Promise<void>;
  readonly log: Logger;
}

interface Held {
  readonly request: FarewellRequest;
  readonly done: Deferred<void>;
  isForced: boolean;
  isReported: boolean;
}

/** The members that are leaving one server. */
export class Farewells {
  readonly #options: FarewellsOptions;
  readonly #held: Map<bigint, Held> = new Map();
  readonly #deadlines: Deadlines;
  #reviewing: Promise<void> | undefined;
  #isDue = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FarewellsOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(options.clock, (rid) => this.#force(rid));
  }

  /** True from a member's farewell until its record is gone. */
  isLeaving(rid: bigint): boolean {
    return this.#held.has(rid);
  }

  /**
   * Resolves when the member's record is gone.
   *
   * @throws what its removal failed with, or what {@link close} was given.
   */
  farewell(rid: bigint, request: FarewellRequest): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    const known = this.#held.get(rid);
    if (known !== undefined) return known.done.promise;
    const { patienceMs } = request;
    const held = { request, done: deferred<void>(), isForced: patienceMs === 0, isReported: false };
    this.#held.set(rid, held);
    if (patienceMs > 0) this.#deadlines.arm(rid, patienceMs);
    this.review();
    return held.done.promise;
  }

  /** Voters came or went, or others are needed: who was held may go now. */
  review(): void {
    this.#isDue = true;
    if (this.#reviewing !== undefined || this.#failure !== undefined || this.#held.size === 0) return;
    this.#reviewing = this.#reviewAll().then(
      () => {
        this.#reviewing = undefined;
        if (this.#isDue) this.review();
      },
      (error: unknown) => this.close(error),
    );
  }

  /** Nobody is answered any more: everyone says farewell to the next server (F7). */
  close(error: unknown): void {
    this.#failure ??= { error };
    this.#deadlines.close();
    for (const { done } of this.#held.values()) done.reject(error);
    this.#held.clear();
  }

  #force(rid: bigint): void {
    const held = this.#held.get(rid);
    if (held === undefined) return;
    held.isForced = true;
    const { log, committer } = this.#options;
    log.warn(
      { event: "farewell.forced", rid, votes: committer.committed.votes },
      "a voter leaves although too few remain to elect a server",
    );
    this.review();
  }

  async #reviewAll(): Promise<void> {
    const { own, committer } = this.#options;
    while (this.#isDue && this.#failure === undefined && this.#held.size > 0) {
      this.#isDue = false;
      const members = await committer.read((trees) => trees.members.list());
      const going = whoMayGo({
        leavers: this.#held,
        members,
        votes: committer.committed.votes,
        own,
      });
      // One record takes all of them; the server's own member ends the server.
      await Promise.all(going.filter((rid) => rid !== own).map((rid) => this.#release(rid)));
      if (going.includes(own)) await this.#release(own);
      if (going.length > 0) this.#isDue = true;
      else this.#report(members);
    }
  }

  async #release(rid: bigint): Promise<void> {
    const held = this.#held.get(rid);
    if (held === undefined) return;
    try {
      await this.#options.forget(rid, held.request);
      held.done.resolve();
    } catch (error) {
      held.done.reject(error);
    }
    this.#deadlines.disarm(rid);
    this.#held.delete(rid);
  }

  #report(members: Leaving["members"]): void {
    const { log, committer } = this.#options;
    for (const [rid, held] of this.#held) {
      if (held.isReported) continue;
      held.isReported = true;
      const voters = [...members.values()].filter(({ isVoter, isEvicted }) => isVoter && !isEvicted).length;
      log.info(
        { event: "farewell.held", rid, voters, votes: committer.committed.votes },
        "a voter waits to leave: without it too few remain to elect a server",
      );
    }
  }
}
