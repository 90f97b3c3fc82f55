/*
 * One reign: from a won election to the end of the term.
 *
 * Order of a start: listen, so that whoever finds the address is answered; record the opening, which publishes
 * the address; rebuild the lock table from members that report what they hold; settle what former servers left.
 * Whatever arrives before that is kept and handled in its order. Members with a record that do not report in
 * time are evicted (docs/decisions/0007).
 *
 * What goes wrong with one request is told to who asked. A device that fails, and work that nobody waits for, end the
 * reign: requests that were not answered go to the next server, whose path to the device may be sound.
 */
import {
  type BlockDevice,
  type BrokenRules,
  type Cancel,
  type Clock,
  type Cryptography,
  type Deferred,
  DeviceError,
  HoldfastError,
  type Logger,
  type Random,
  type Transport,
  deferred,
} from "@holdfast/environment";
import {
  COMMAND_FAREWELL,
  REFUSAL,
  type Respond,
  type ServerSessions,
  startServerSessions,
} from "@holdfast/net-reliable";
import type { Leadership } from "@holdfast/quorum";
import { type LockServerDriver, createLockServer } from "../locks/lock-server-driver.ts";
import { Command, EMPTY_BODY, Refusal, StatusReply } from "../protocol.ts";
import type { MemberTiming } from "../timing.ts";
import type { VolumeLayout } from "../volume/layout.ts";
import { sizesFor } from "../volume/sizes.ts";
import type { SuperBlock } from "../volume/super-block.ts";
import { VolumeState } from "../volume/volume-state.ts";
import { Committer } from "./committer.ts";
import { Compactor, type CompactorLimits } from "./compactor.ts";
import { Evictions } from "./evictions.ts";
import { openingState } from "./opening.ts";
import { RefusedError, refusalFor } from "./refusals.ts";
import { Requests } from "./requests.ts";
import { Roster } from "./roster.ts";
import { statusOf } from "./status.ts";
import { VolumeTrees } from "./volume-trees.ts";

/** What a reign needs. */
export interface ServerRoleOptions {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly cryptography: Cryptography;
  readonly log: Logger;
  readonly superBlock: SuperBlock;
  readonly layout: VolumeLayout;
  /** The member that serves. */
  readonly rid: bigint;
  /** Where to listen; port 0 picks one. */
  readonly listenAddress: string;
  readonly timing: MemberTiming;
  readonly compactorLimits: CompactorLimits;
  readonly brokenRules: BrokenRules;
  /** Called once, when the reign ended by itself: deposed, or a commit failed. */
  readonly onEnded: (error: unknown) => void;
}

/** The server left; who waits for it will find the next one. */
export class ServerStoppedError extends HoldfastError<
  "ERR_HOLDFAST_SERVER_STOPPED",
  { readonly term: bigint }
> {
  constructor(term: bigint) {
    super("ERR_HOLDFAST_SERVER_STOPPED", "retry", `the server of term ${term} stopped`, { term });
  }
}

/** A running server. */
export class ServerRole {
  readonly #options: ServerRoleOptions;
  readonly #leadership: Leadership;
  readonly #sessions: ServerSessions;
  readonly #committer: Committer;
  readonly #locks: LockServerDriver;
  readonly #requests: Requests;
  readonly #compactor: Compactor;
  readonly #evictions: Evictions;
  readonly #roster: Roster;
  /** Calls that arrived before the opening was recorded. */
  #early: (() => void)[] | undefined = [];
  /** Resolves when this server's own member is counted in. */
  readonly #ownMember: Deferred<void> = deferred();
  #watch: Cancel = () => {};
  #isEnded = false;

  private constructor(options: ServerRoleOptions, leadership: Leadership, sessions: ServerSessions) {
    this.#options = options;
    this.#leadership = leadership;
    this.#sessions = sessions;
    const { device, superBlock, layout, rid, brokenRules, clock, log, compactorLimits } = options;
    const { term, adopted } = leadership;
    const sizes = sizesFor(layout.dataCount);
    const opening = openingState(VolumeState.decode(adopted.payload), adopted, term);
    const fsid = superBlock.fsid;
    const data = { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) };
    const trees = new VolumeTrees({ device, fsid, rid, term, data, sizes, brokenRules }, opening);
    const onFatal = (error: unknown): void => this.#end(error);
    this.#committer = new Committer(
      { trees, leadership, address: sessions.address, brokenRules, log, onFatal },
      opening,
    );
    const call: ServerSessions["call"] = (...args) => sessions.call(...args);
    this.#compactor = new Compactor({
      committer: this.#committer,
      clock,
      call,
      workers: () => this.#roster.workers(),
      limits: compactorLimits,
      onFatal,
      log,
    });
    this.#requests = new Requests({
      committer: this.#committer,
      leadership,
      compactor: this.#compactor,
      sizes,
      log,
    });
    this.#evictions = new Evictions({
      device,
      fsid,
      rid,
      term,
      clock,
      committer: this.#committer,
      ownMember: this.#ownMember.promise,
      onDone: (member) => this.#leave(member),
      onFatal,
      log,
    });
    this.#locks = createLockServer({
      term,
      commandInvalidate: Command.invalidate,
      call,
      gate: () => leadership.check(),
      manifestVersion: () => this.#committer.committed.manifestVersion,
      onBadPeer: (member, reason) => this.#expel(member, reason),
      log,
    });
    this.#roster = new Roster({
      clock,
      own: rid,
      memberTimeoutMs: options.timing.memberTimeoutMs,
      onSilent: (member) => this.#inBackground(this.#evict(member)),
    });
    // Nobody may be waiting for it when the reign ends.
    this.#ownMember.promise.catch(() => {});
  }

  /**
   * Starts to serve a won term.
   *
   * @throws when listening or the opening commit fails; the term is lost then.
   */
  static async start(options: ServerRoleOptions, leadership: Leadership): Promise<ServerRole> {
    const { superBlock, listenAddress, timing, clock, random, transport, cryptography, log } = options;
    let role: ServerRole | undefined;
    const waiting: (() => void)[] = [];
    const whenBuilt = (action: (built: ServerRole) => void): void => {
      if (role !== undefined) action(role);
      else waiting.push(() => role !== undefined && action(role));
    };
    const sessions = await startServerSessions(
      {
        identity: { fsid: superBlock.fsid, formatHash: superBlock.formatHash, key: superBlock.key },
        listenAddress,
        term: leadership.term,
        timing: timing.session,
        admit: ({ rid }) => (role === undefined ? 0 : role.#admit(rid)),
        handle: (rid, command, body, respond) => {
          const kept = role === undefined ? body.slice() : body;
          whenBuilt((built) => built.#receive(rid, command, kept, respond));
        },
        onPeerUp: (rid) => whenBuilt((built) => built.#roster.connected(rid)),
        onPeerDown: (rid) => whenBuilt((built) => built.#roster.disconnected(rid)),
        onPeerExpired: (rid) => whenBuilt((built) => built.#forgetStranger(rid)),
      },
      { transport, clock, random, cryptography, log },
    );
    try {
      const built = new ServerRole(options, leadership, sessions);
      role = built;
      for (const action of waiting.splice(0)) action();
      await built.#open();
      return built;
    } catch (error) {
      await (role === undefined ? sessions.close() : role.#halt(error));
      throw error;
    }
  }

  /** The term of this reign. */
  get term(): bigint {
    return this.#leadership.term;
  }

  /** True once the reign is over. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Where this server is dialled. */
  get address(): string {
    return this.#sessions.address;
  }

  /** Ends the reign in order: records that this server has drained and left, then hangs up. */
  async resign(): Promise<void> {
    if (this.#isEnded) return;
    const stopped = new ServerStoppedError(this.term);
    try {
      await this.#committer.resign(stopped);
    } finally {
      await this.#halt(stopped);
    }
  }

  /** Ends the reign at once. */
  stop(): Promise<void> {
    return this.#halt(new ServerStoppedError(this.term));
  }

  async #open(): Promise<void> {
    // Not through the committer: this record grants the first blocks, so no tree may be written for it.
    await this.#leadership.commit(VolumeState.encode(this.#committer.committed), this.address);
    const members = await this.#committer.read((trees) => trees.members.list());
    const evicted = [...members].filter(([, record]) => record.isEvicted).map(([rid]) => rid);
    const living = [...members.keys()].filter((rid) => !evicted.includes(rid));
    for (const rid of evicted) this.#roster.bar(rid);
    // Those who are being evicted have locks that go on when that is done, and not before.
    this.#locks.beginRecovery([...members.keys()]);
    const { timing, log } = this.#options;
    for (const rid of living) this.#roster.expect(rid, timing.recoveryMs);
    log.info(
      { event: "server.opened", term: this.term, address: this.address, members: living.length },
      "this member serves",
    );
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const action of early) action();
    this.#keepWatch();
    this.#inBackground(this.#settle(evicted));
  }

  /** What may take long, and needs the server's own member to be there. */
  async #settle(evicted: readonly bigint[]): Promise<void> {
    await this.#committer.mutate((trees) => trees.settle());
    await this.#ownMember.promise;
    for (const rid of evicted) await this.#evictions.finish(rid);
    this.#compactor.lookForWork();
  }

  /** A server that nobody talks to must notice its successor too. */
  #keepWatch(): void {
    if (this.#isEnded) return;
    const { clock, timing } = this.#options;
    this.#watch = clock.at(clock.now() + timing.watchMs, () => {
      this.#leadership.check().then(
        () => this.#keepWatch(),
        (error: unknown) => this.#end(error),
      );
    });
  }

  #receive(rid: bigint, command: number, body: Uint8Array, respond: Respond): void {
    if (this.#early === undefined) return this.#dispatch(rid, command, body, respond);
    const copy = body.slice();
    this.#early.push(() => this.#dispatch(rid, command, copy, respond));
  }

  #dispatch(rid: bigint, command: number, body: Uint8Array, respond: Respond): void {
    switch (command) {
      case Command.join:
        return this.#answer(respond, this.#join(rid, body));
      case Command.reclaim:
        return this.#answer(respond, this.#reclaim(rid, body));
      case COMMAND_FAREWELL:
        return this.#answer((error, reply) => {
          respond(error, reply);
          if (error === 0) this.#sessions.forget(rid);
        }, this.#farewell(rid));
      case Command.status:
        return this.#answer(respond, this.#status());
      default:
        if (!this.#roster.isPresent(rid)) return respond(Refusal.evicted, EMPTY_BODY);
        if (command === Command.lock) return this.#locks.handleRequest(rid, body, respond);
        return this.#answer(respond, this.#requests.handle(rid, command, body));
    }
  }

  #answer(respond: Respond, work: Promise<Uint8Array>): void {
    work.then(
      (body) => respond(0, body),
      (error: unknown) => {
        // An answer of a server that has ended would be a lie: the member asks the next one.
        if (this.#isEnded) return;
        if (error instanceof DeviceError) return this.#end(error);
        const refusal = refusalFor(error);
        if (refusal === Refusal.internal) {
          this.#options.log.error({ event: "request.failed", err: error }, "a request failed");
        }
        respond(refusal, EMPTY_BODY);
      },
    );
  }

  async #join(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    this.#assertWelcome(rid);
    const reply = await this.#requests.join(rid, body);
    this.#assertWelcome(rid);
    // Who asks to join holds nothing, whatever a former server recorded of it: there is no report to wait for.
    this.#locks.reclaimed(rid);
    this.#enter(rid);
    return reply;
  }

  async #reclaim(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#requests.confirm(rid);
    this.#assertWelcome(rid);
    // It was counted in, and only the answer was lost.
    if (this.#roster.isPresent(rid)) return reply;
    const { error, isLast } = this.#locks.handleReclaim(rid, body);
    if (error !== 0) {
      this.#expel(rid, "its report of locks was refused");
      throw new RefusedError(Refusal.evicted, "the report of locks was refused");
    }
    this.#assertWelcome(rid);
    if (isLast) {
      this.#locks.reclaimed(rid);
      this.#enter(rid);
    }
    return reply;
  }

  #assertWelcome(rid: bigint): void {
    if (this.#roster.isBarred(rid)) throw new RefusedError(Refusal.evicted, "the asker was evicted");
  }

  #enter(rid: bigint): void {
    this.#roster.enter(rid);
    if (rid === this.#options.rid) this.#ownMember.resolve();
    this.#compactor.lookForWork();
  }

  async #farewell(rid: bigint): Promise<Uint8Array> {
    // Replays write to blocks of the server's own member: it does not leave in the middle of one.
    if (rid === this.#options.rid) await this.#evictions.close();
    const reply = await this.#requests.farewell(rid);
    this.#leave(rid);
    return reply;
  }

  #leave(rid: bigint): void {
    this.#roster.leave(rid);
    this.#locks.remove(rid);
    this.#compactor.memberGone(rid);
  }

  #admit(rid: bigint): number {
    return this.#roster.isBarred(rid) ? REFUSAL.EVICTED : 0;
  }

  /** The session of somebody who is no member, and has been away for long, is of no use. */
  #forgetStranger(rid: bigint): void {
    if (!this.#roster.isPresent(rid)) this.#sessions.forget(rid);
  }

  async #evict(rid: bigint): Promise<void> {
    // From here on it is not let in: a reclaim that is on its way meets the mark or this.
    this.#roster.bar(rid);
    await this.#evictions.mark(rid);
    this.#sessions.evict(rid);
    await this.#evictions.finish(rid);
  }

  #expel(rid: bigint, reason: string): void {
    if (!this.#roster.condemn(rid)) return;
    this.#options.log.warn({ event: "member.expelled", rid, reason }, "a member broke the protocol");
  }

  /** Work that nobody waits for: its failure ends the reign, since the next server starts it again. */
  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#end(error));
  }

  async #status(): Promise<Uint8Array> {
    const { layout, rid: server } = this.#options;
    const status = await statusOf({
      term: this.term,
      server,
      layout,
      committer: this.#committer,
      compactor: this.#compactor,
      roster: this.#roster,
    });
    await this.#leadership.check();
    return StatusReply.encode(status);
  }

  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#halt(error).then(
      () => this.#options.onEnded(error),
      () => this.#options.onEnded(error),
    );
  }

  async #halt(error: unknown): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#watch();
    this.#roster.close();
    this.#inBackground(this.#evictions.close());
    this.#ownMember.reject(error);
    this.#committer.stop(error);
    this.#compactor.stop(error);
    this.#locks.stop();
    await this.#sessions.close();
  }
}
