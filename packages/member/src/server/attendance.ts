/*
 * Who comes and goes at one server: members that join, report their locks, say farewell, fall silent, or break the
 * protocol.
 *
 * A report of locks and a farewell of one member never overlap: what is reported while its member leaves would hold locks
 * that nobody gives back (reference: scoutfs F4). So a farewell waits for the reports that came before it, and there is
 * none behind it. A member that said farewell has drained: its locks go on at once, also while it is held.
 */
import type { BrokenRules, Clock, Deferred, Logger } from "@holdfast/environment";
import type { LockServerDriver } from "../locks/lock-server-driver.ts";
import { EMPTY_BODY, FarewellRequest, Refusal } from "../protocol.ts";
import type { MemberTiming } from "../timing.ts";
import type { Committer } from "./committer.ts";
import type { Compactor } from "./compactor.ts";
import type { Evictions } from "./evictions.ts";
import { Farewells } from "./farewells.ts";
import { FormerServer } from "./former-server.ts";
import type { Evidence } from "./fencing/owner-record.ts";
import type { MemberRecord } from "./member-records.ts";
import { RefusedError } from "./refusals.ts";
import type { Requests } from "./requests.ts";
import { Roster } from "./roster.ts";

/** What the attendance of a server stands on. */
export interface AttendanceOptions {
  /** The server's own member. */
  readonly own: bigint;
  /** The member that served last. */
  readonly former: bigint;
  readonly clock: Clock;
  readonly timing: Pick<MemberTiming, "recoveryMs" | "memberTimeoutMs" | "ownLeaseMs">;
  readonly committer: Committer;
  readonly requests: Requests;
  readonly locks: LockServerDriver;
  readonly brokenRules: BrokenRules;
  readonly evictions: Evictions;
  readonly compactor: Compactor;
  /** Resolves when nothing is being written any more of former reigns of the server's process. */
  readonly formerQuiet: () => Promise<void>;
  /** What confirms the end of a member that is to be evicted. */
  readonly evidenceOf: (rid: bigint) => Evidence;
  /** A member is waited for from now on. */
  readonly onAwaited: (rid: bigint) => void;
  /** Refuses a member's session from now on. */
  readonly bar: (rid: bigint) => void;
  /** Work that nobody waits for failed. */
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
}

/** The members of one server. */
export class Attendance {
  readonly roster: Roster;
  readonly #options: AttendanceOptions;
  readonly #farewells: Farewells;
  readonly #formerServer: FormerServer;
  /** Reports of locks that are under way, by member. */
  readonly #reports: Map<bigint, Promise<unknown>> = new Map();
  readonly #ownMember: Deferred<void>;

  /** @param ownMember - Resolved when the server's own member is counted in. */
  constructor(options: AttendanceOptions, ownMember: Deferred<void>) {
    const { own, former, clock, timing, committer, log } = options;
    this.#options = options;
    this.#ownMember = ownMember;
    this.roster = new Roster({
      clock,
      own,
      memberTimeoutMs: timing.memberTimeoutMs,
      onSilent: (rid) => {
        this.#evict(rid).catch(options.onFatal);
      },
      onAwaited: options.onAwaited,
    });
    this.#farewells = new Farewells({
      own,
      clock,
      committer,
      forget: (rid, request) => this.#forget(rid, request),
      log,
    });
    this.#formerServer = new FormerServer({
      clock,
      ownLeaseMs: timing.ownLeaseMs,
      isInTheWay: () => this.#isAloneInTheWay(former),
      onInTheWay: () => {
        log.info(
          { event: "server.not-waited-for", rid: former },
          "somebody waits for the former server's locks",
        );
        this.#evict(former).catch(options.onFatal);
      },
    });
  }

  /** Expects the recorded members and gives back those of them whose eviction is to be finished. */
  open(members: ReadonlyMap<bigint, MemberRecord>): readonly bigint[] {
    const { former, locks, timing, brokenRules } = this.#options;
    const evicted = [...members].filter(([, record]) => record.isEvicted).map(([rid]) => rid);
    for (const rid of evicted) this.roster.bar(rid);
    // Those who are being evicted have locks that go on when that is done, and not before.
    locks.beginRecovery(brokenRules.has("locks-wait-for-recovery") ? [] : [...members.keys()]);
    for (const [rid, { isEvicted }] of members) if (!isEvicted) this.roster.expect(rid, timing.recoveryMs);
    if (this.roster.isAwaited(former)) this.#formerServer.await();
    return evicted;
  }

  /** Somebody asked for a lock that nobody gets before all have reported. */
  lockIsAwaited(): void {
    this.#formerServer.lockIsAwaited();
  }

  /** A member's connection is gone. */
  disconnected(rid: bigint): void {
    this.roster.disconnected(rid);
    // A former server may have been about to report until now.
    this.#formerServer.look();
  }

  /** Makes a member of who asks. */
  async join(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    this.#assertWelcome(rid);
    const reply = await this.#options.requests.join(rid, body);
    this.#assertWelcome(rid);
    // Who asks to join holds nothing, whatever a former server recorded of it: there is no report to wait for.
    this.#options.locks.reclaimed(rid);
    this.#enter(rid);
    // A new voter may let another one go.
    this.#farewells.review();
    return reply;
  }

  /** Takes a part of a member's report of locks. */
  reclaim(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const copy = body.slice();
    const before = this.#reports.get(rid) ?? Promise.resolve();
    const report = before.then(() => this.#reclaim(rid, copy));
    const ended = report.then(
      () => {},
      () => {},
    );
    this.#reports.set(rid, ended);
    void ended.then(() => {
      if (this.#reports.get(rid) === ended) this.#reports.delete(rid);
    });
    return report;
  }

  /** Lets a member go, when it may. */
  async farewell(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const request = FarewellRequest.decode(body);
    await this.#reports.get(rid);
    // The locks of one who is being evicted go on behind the replay of its journal, and not before.
    this.#assertWelcome(rid);
    const gone = this.#farewells.farewell(rid, request);
    this.#leave(rid);
    await gone;
    return EMPTY_BODY;
  }

  /** Changes how the volume is run. */
  async tune(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#options.requests.tune(rid, body, async (trees) => {
      const members = [...(await trees.members.list())];
      return members.filter(([other, { isVoter }]) => isVoter && this.roster.isConnected(other)).length;
    });
    this.#farewells.review();
    return reply;
  }

  /** Nothing of a member that was evicted is left. */
  evicted(rid: bigint): void {
    this.#leave(rid);
    this.#farewells.review();
  }

  /** A member that is waited for is gone for certain: it reads nothing any more, so its lease need not end first. */
  gone(rid: bigint): void {
    if (this.roster.isAwaited(rid)) this.#evict(rid).catch(this.#options.onFatal);
  }

  /** A member broke the protocol. */
  expel(rid: bigint, reason: string): void {
    if (!this.roster.condemn(rid)) return;
    this.#options.log.warn({ event: "member.expelled", rid, reason }, "a member broke the protocol");
  }

  /** Nobody comes or goes any more. */
  close(error: unknown): void {
    this.roster.close();
    this.#formerServer.close();
    this.#farewells.close(error);
  }

  async #reclaim(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const { requests, locks } = this.#options;
    if (this.#farewells.isLeaving(rid)) throw new RefusedError(Refusal.evicted, "the asker said farewell");
    const reply = await requests.confirm(rid);
    this.#assertWelcome(rid);
    // It was counted in, and only the answer was lost.
    if (this.roster.isPresent(rid)) return reply;
    const { error, isLast } = locks.handleReclaim(rid, body);
    if (error !== 0) {
      this.expel(rid, "its report of locks was refused");
      throw new RefusedError(Refusal.evicted, "the report of locks was refused");
    }
    this.#assertWelcome(rid);
    if (isLast) {
      locks.reclaimed(rid);
      this.#enter(rid);
    }
    return reply;
  }

  #assertWelcome(rid: bigint): void {
    if (this.roster.isBarred(rid)) throw new RefusedError(Refusal.evicted, "the asker was evicted");
  }

  #enter(rid: bigint): void {
    this.roster.enter(rid);
    if (rid === this.#options.own) this.#ownMember.resolve();
    this.#formerServer.look();
    this.#options.compactor.lookForWork();
  }

  async #forget(rid: bigint, request: FarewellRequest): Promise<void> {
    const { own, evictions, formerQuiet, requests } = this.#options;
    // Replays write to blocks of the server's own member: it does not leave in the middle of one.
    if (rid === own) await Promise.all([evictions.close(), formerQuiet()]);
    // One that served when it said so has been succeeded since: nobody waited for the replays of its reign.
    const mayBeWritten = request.mayBeWritten || (request.isServing && rid !== own);
    // Whoever said so before it was elected serves now.
    const isServing = request.isServing || rid === own;
    await requests.farewell(rid, { ...request, mayBeWritten, isServing });
  }

  #leave(rid: bigint): void {
    this.roster.leave(rid);
    this.#options.locks.remove(rid);
    this.#formerServer.look();
    this.#options.compactor.memberGone(rid);
  }

  /** Whoever is connected is about to report; who is barred is being evicted. */
  #isAloneInTheWay(rid: bigint): boolean {
    const { roster } = this;
    if (!roster.isAwaited(rid) || roster.isConnected(rid) || roster.isBarred(rid)) return false;
    const awaited = this.#options.locks.pendingRecovery();
    return awaited.includes(rid) && awaited.every((other) => other === rid || roster.isBarred(other));
  }

  async #evict(rid: bigint): Promise<void> {
    const { evictions, bar, evidenceOf, compactor } = this.#options;
    // From here on it is not let in: a reclaim that is on its way meets the mark or this.
    this.roster.bar(rid);
    await evictions.mark(rid, evidenceOf(rid));
    bar(rid);
    // No result of it is taken any more; its replay may have to wait for the space that others' compactions make.
    compactor.memberGone(rid);
    await evictions.finish(rid);
  }
}
