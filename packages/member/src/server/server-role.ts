/*
 * One reign: from a won election to the end of the term.
 *
 * Order of a start: listen, so that whoever finds the address is answered; record the opening, which publishes
 * the address; rebuild the lock table from members that report what they hold; settle what former servers left.
 * Whatever arrives before that is kept and handled in its order. Members with a record that do not report in
 * time are evicted (architecture 7, in the form of its first issue: without leases and grace epochs).
 */
import {
  type BlockDevice,
  type BrokenRules,
  type Cancel,
  type Clock,
  type Cryptography,
  HoldfastError,
  type Logger,
  type Transport,
  type Random,
} from "@holdfast/environment";
import type { VolumeLayout } from "../volume/layout.ts";
import { createLockServer, type LockServerDriver } from "../locks/lock-server-driver.ts";
import { Command, EMPTY_BODY, Refusal, StatusReply } from "../protocol.ts";
import type { Leadership } from "@holdfast/quorum";
import { type ServerSessions, startServerSessions } from "../sessions/server-sessions.ts";
import type { MemberTiming } from "../timing.ts";
import { sizesFor } from "../volume/sizes.ts";
import type { SuperBlock } from "../volume/super-block.ts";
import { COMMAND_FAREWELL, REFUSAL, type Respond } from "@holdfast/net-reliable";
import { VolumeState } from "../volume/volume-state.ts";
import { Committer } from "./committer.ts";
import { Compactor, type CompactorLimits } from "./compactor.ts";
import { Deadlines } from "./deadlines.ts";
import { Evictions } from "./evictions.ts";
import { openingState } from "./opening.ts";
import { refusalFor, RefusedError, Requests } from "./requests.ts";
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
  /** Members that joined or reported to this server. */
  readonly #present: Set<bigint> = new Set();
  readonly #connected: Set<bigint> = new Set();
  readonly #evicted: Set<bigint> = new Set();
  readonly #deadlines: Deadlines;
  /** Calls that arrived before the opening was recorded. */
  #early: (() => void)[] | undefined = [];
  #ownMemberCame: () => void = () => {};
  readonly #ownMember: Promise<void>;
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
    const trees = new VolumeTrees(
      { device, fsid, rid, term, data, grantBlocks: sizes.grantBlocks, brokenRules },
      opening,
    );
    const onFatal = (error: unknown): void => this.#end(error);
    this.#committer = new Committer(
      { trees, leadership, address: sessions.address, brokenRules, log, onFatal },
      opening,
    );
    const workers = (): readonly bigint[] =>
      [...this.#present].filter((member) => this.#connected.has(member));
    const call: ServerSessions["call"] = (...args) => sessions.call(...args);
    this.#compactor = new Compactor({
      committer: this.#committer,
      call,
      workers,
      limits: compactorLimits,
      log,
    });
    this.#requests = new Requests({
      committer: this.#committer,
      leadership,
      compactor: this.#compactor,
      sizes,
      clock,
      log,
    });
    this.#evictions = new Evictions({ device, fsid, rid, term, clock, committer: this.#committer, log });
    this.#locks = createLockServer({
      term,
      commandInvalidate: Command.invalidate,
      call,
      gate: () => leadership.check(),
      manifestVersion: () => this.#committer.committed.manifestVersion,
      onBadPeer: (member, reason) => this.#expel(member, reason),
      log,
    });
    this.#deadlines = new Deadlines(clock, (member) => this.#inBackground(this.#evict(member)));
    this.#ownMember = new Promise((resolve) => {
      this.#ownMemberCame = resolve;
    });
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
        handle: (rid, command, body, respond) =>
          whenBuilt((built) => built.#receive(rid, command, body, respond)),
        onPeerUp: (rid) => whenBuilt((built) => built.#peerUp(rid)),
        onPeerDown: (rid) => whenBuilt((built) => built.#peerDown(rid)),
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
      await sessions.close();
      throw error;
    }
  }

  /** The term of this reign. */
  get term(): bigint {
    return this.#leadership.term;
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
    const living = [...members].filter(([, record]) => !record.isEvicted).map(([rid]) => rid);
    for (const [rid, record] of members) if (record.isEvicted) this.#evicted.add(rid);
    this.#locks.beginRecovery(living);
    const { rid: own, timing, log } = this.#options;
    for (const rid of living) if (rid !== own) this.#deadlines.arm(rid, timing.recoveryMs);
    log.info(
      { event: "server.opened", term: this.term, address: this.address, members: living.length },
      "this member serves",
    );
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const action of early) action();
    this.#keepWatch();
    this.#inBackground(this.#settle());
  }

  /** What may take long, and needs the server's own member to be there. */
  async #settle(): Promise<void> {
    await this.#committer.mutate((trees) => trees.settle());
    await this.#ownMember;
    for (const rid of this.#evicted) await this.#finishEviction(rid);
    this.#compactor.manifestChanged(this.#committer.committed);
  }

  /** A server that nobody talks to must notice its successor too. */
  #keepWatch(): void {
    const { clock, timing } = this.#options;
    this.#watch = clock.at(clock.now() + timing.watchMs, () => {
      if (this.#isEnded) return;
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
        return this.#answer(respond, this.#farewell(rid));
      case Command.status:
        return this.#answer(respond, this.#status());
      default:
        if (!this.#present.has(rid)) return respond(Refusal.evicted, EMPTY_BODY);
        return this.#dispatchMember(rid, command, body, respond);
    }
  }

  #dispatchMember(rid: bigint, command: number, body: Uint8Array, respond: Respond): void {
    const requests = this.#requests;
    switch (command) {
      case Command.lock:
        return this.#locks.handleRequest(rid, body, respond);
      case Command.takeExtent:
        return this.#answer(respond, requests.takeExtent(rid, body));
      case Command.giveExtents:
        return this.#answer(respond, requests.giveExtents(rid, body));
      case Command.recordSegments:
        return this.#answer(respond, requests.recordSegments(rid, body));
      case Command.manifest:
        return this.#answer(respond, requests.manifest());
      case Command.renew:
        return this.#answer(respond, this.#renew());
      case Command.confirm:
        return this.#answer(respond, requests.confirm(rid));
      case Command.compacted:
        return this.#answer(respond, requests.compacted(rid, body));
      default:
        return respond(Refusal.unknownCommand, EMPTY_BODY);
    }
  }

  #answer(respond: Respond, work: Promise<Uint8Array>): void {
    work.then(
      (body) => respond(0, body),
      (error: unknown) => {
        // An answer of a server that has ended would be a lie: the member asks the next one.
        if (this.#isEnded) return;
        const refusal = refusalFor(error);
        if (refusal === Refusal.internal) {
          this.#options.log.error({ event: "request.failed", err: error }, "a request failed");
        }
        respond(refusal, EMPTY_BODY);
      },
    );
  }

  async #join(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#requests.join(rid, body);
    this.#enter(rid);
    return reply;
  }

  async #reclaim(rid: bigint, body: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#requests.confirm(rid);
    if (this.#evicted.has(rid)) throw new RefusedError(Refusal.evicted, "the asker was evicted");
    const { error, isLast } = this.#locks.handleReclaim(rid, body);
    if (error !== 0) {
      this.#expel(rid, "its report of locks was refused");
      throw new RefusedError(Refusal.evicted, "the report of locks was refused");
    }
    if (isLast) {
      this.#locks.reclaimed(rid);
      this.#enter(rid);
    }
    return reply;
  }

  #enter(rid: bigint): void {
    this.#present.add(rid);
    if (this.#connected.has(rid)) this.#deadlines.disarm(rid);
    if (rid === this.#options.rid) this.#ownMemberCame();
    this.#compactor.manifestChanged(this.#committer.committed);
  }

  /** A lease is granted by a server that no other has followed when it was asked (E8). */
  async #renew(): Promise<Uint8Array> {
    await this.#leadership.check();
    return EMPTY_BODY;
  }

  async #farewell(rid: bigint): Promise<Uint8Array> {
    const reply = await this.#requests.farewell(rid);
    this.#leave(rid);
    return reply;
  }

  #leave(rid: bigint): void {
    this.#present.delete(rid);
    this.#deadlines.disarm(rid);
    this.#locks.remove(rid);
    this.#compactor.memberGone(rid);
  }

  #admit(rid: bigint): number {
    return this.#evicted.has(rid) ? REFUSAL.EVICTED : 0;
  }

  #peerUp(rid: bigint): void {
    this.#connected.add(rid);
    if (this.#present.has(rid)) this.#deadlines.disarm(rid);
  }

  #peerDown(rid: bigint): void {
    this.#connected.delete(rid);
    const { rid: own, timing } = this.#options;
    if (this.#present.has(rid) && rid !== own) this.#deadlines.arm(rid, timing.memberTimeoutMs);
  }

  async #evict(rid: bigint): Promise<void> {
    // From here on it is not let in: a reclaim that is on its way meets the mark or this set.
    this.#evicted.add(rid);
    this.#present.delete(rid);
    if (await this.#evictions.mark(rid)) this.#sessions.evict(rid);
    await this.#ownMember;
    await this.#finishEviction(rid);
  }

  async #finishEviction(rid: bigint): Promise<void> {
    await this.#evictions.reclaim(rid);
    this.#leave(rid);
  }

  #expel(rid: bigint, reason: string): void {
    const { log, timing } = this.#options;
    log.warn({ event: "member.expelled", rid, reason }, "a member broke the protocol");
    // Its lease is not renewed any more, and has to be over before others get its locks.
    this.#present.delete(rid);
    this.#deadlines.disarm(rid);
    this.#deadlines.arm(rid, timing.memberTimeoutMs);
  }

  /** Work that nobody waits for: its failure ends the reign, since the next server starts it again. */
  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#end(error));
  }

  async #status(): Promise<Uint8Array> {
    const { layout, rid: server } = this.#options;
    const members = await this.#committer.read((trees) => trees.members.list());
    await this.#leadership.check();
    const { free, quarantine, manifestVersion } = this.#committer.committed;
    return StatusReply.encode({
      term: this.term,
      server,
      termsMax: layout.termsMax,
      freeBlocks: BigInt(free.freeBlocks),
      quarantinedBlocks: BigInt(quarantine.blocks),
      totalBlocks: layout.dataCount,
      manifestVersion,
      levels: this.#compactor.levels,
      commits: this.#committer.commits,
      members: [...members].map(([rid, { number, isVoter, address, name }]) => ({
        rid,
        number,
        isVoter,
        isConnected: this.#connected.has(rid),
        address,
        name,
      })),
    });
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
    this.#deadlines.close();
    this.#committer.stop(error);
    this.#compactor.stop(error);
    this.#locks.stop();
    await this.#sessions.close();
  }
}
