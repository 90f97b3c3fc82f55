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
  type FenceAgent,
  HoldfastError,
  type Processes,
} from "@holdfast/environment";
import { REFUSAL, type ServerSessions, type SessionPorts, startServerSessions } from "@holdfast/net-reliable";
import { DeposedError, type Leadership } from "@holdfast/quorum";
import { Command, ServerLeaves, StatusReply } from "../protocol.ts";
import type { MemberTiming } from "../timing.ts";
import type { VolumeLayout } from "../volume/layout.ts";
import type { ProcessRecord } from "../volume/process-record.ts";
import { quorumRegionOf } from "../volume/quorum-region.ts";
import type { SuperBlock } from "../volume/super-block.ts";
import { VolumeState } from "../volume/volume-state.ts";
import type { CompactorLimits } from "./compactor.ts";
import { ServerParts } from "./server-parts.ts";
import { statusOf } from "./status.ts";

/** What a reign needs. */
export interface ServerRoleOptions extends Required<SessionPorts> {
  readonly device: BlockDevice;
  readonly superBlock: SuperBlock;
  readonly layout: VolumeLayout;
  /** The member that serves. */
  readonly rid: bigint;
  /** Where to listen; port 0 picks one. */
  readonly listenAddress: string;
  readonly timing: MemberTiming;
  readonly compactorLimits: CompactorLimits;
  readonly brokenRules: BrokenRules;
  /** The server's own member, for people. */
  readonly name: string;
  readonly process: ProcessRecord;
  readonly processes: Processes | undefined;
  readonly fenceAgent: FenceAgent | undefined;
  /** Resolves when nothing is being written any more of reigns of this process that are over. */
  readonly formerQuiet: () => Promise<void>;
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
  readonly #parts: ServerParts;
  #isEnded = false;

  private constructor(options: ServerRoleOptions, leadership: Leadership, sessions: ServerSessions) {
    this.#options = options;
    this.#leadership = leadership;
    this.#sessions = sessions;
    this.#parts = new ServerParts({
      ...options,
      leadership,
      sessions,
      status: () => this.#status(),
      onFatal: (error) => this.#end(error),
    });
  }

  /**
   * Starts to serve a won term.
   *
   * @throws when listening or the opening commit fails; the term is lost then.
   */
  static async start(options: ServerRoleOptions, leadership: Leadership): Promise<ServerRole> {
    const { superBlock, listenAddress, timing, brokenRules } = options;
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
        brokenRules,
        admit: ({ rid }) => (role === undefined ? 0 : role.#admit(rid)),
        handle: (rid, command, body, respond) => {
          const kept = role === undefined ? body.slice() : body;
          whenBuilt((built) => built.#parts.reception.receive(rid, command, kept, respond));
        },
        onPeerUp: (rid) => whenBuilt((built) => built.#parts.attendance.roster.connected(rid)),
        onPeerDown: (rid) => whenBuilt((built) => built.#parts.attendance.disconnected(rid)),
        onPeerExpired: (rid) => whenBuilt((built) => built.#forgetStranger(rid)),
      },
      options,
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
    // A release that is under way is the next server's to finish.
    this.#parts.departures.stop();
    try {
      await this.#parts.committer.resign(stopped);
    } finally {
      await this.#halt(stopped);
    }
  }

  /** Resolves when nothing is being written any more of a reign that is over: replays, and the nodes of a last commit. */
  async quiet(): Promise<void> {
    const { evictions, committer } = this.#parts;
    await evictions.close();
    await committer.read(() => Promise.resolve());
  }

  /** Ends the reign at once. */
  stop(): Promise<void> {
    return this.#halt(new ServerStoppedError(this.term));
  }

  async #open(): Promise<void> {
    this.#parts.watchdog.start();
    // Not through the committer: this record grants the first blocks, so no tree may be written for it.
    await this.#leadership.commit(VolumeState.encode(this.#parts.committer.committed), this.address);
    const members = await this.#parts.committer.read((trees) => trees.members.list());
    if (this.#isEnded) return;
    const evicted = this.#parts.attendance.open(members);
    this.#options.log.info(
      {
        event: "server.opened",
        term: this.term,
        address: this.address,
        members: members.size - evicted.length,
      },
      "this member serves",
    );
    this.#parts.reception.open();
    this.#inBackground(this.#settle(evicted));
  }

  /** What may take long, and needs the server's own member to be there. */
  async #settle(evicted: readonly bigint[]): Promise<void> {
    await this.#parts.committer.mutate((trees) => trees.settle());
    await this.#parts.ownMember.promise;
    for (const rid of evicted) await this.#parts.evictions.finish(rid);
    this.#parts.compactor.lookForWork();
    await this.#parts.departures.open();
  }

  #admit(rid: bigint): number {
    return this.#parts.attendance.roster.isBarred(rid) ? REFUSAL.EVICTED : 0;
  }

  /** The session of somebody who is no member, and has been away for long, is of no use. */
  #forgetStranger(rid: bigint): void {
    if (!this.#parts.attendance.roster.isPresent(rid)) this.#sessions.forget(rid);
  }

  /** Work that nobody waits for: its failure ends the reign, since the next server starts it again. */
  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#end(error));
  }

  async #status(): Promise<Uint8Array> {
    const { layout, rid: server, superBlock } = this.#options;
    const status = await statusOf({
      term: this.term,
      server,
      layout,
      region: quorumRegionOf(superBlock, layout),
      committer: this.#parts.committer,
      compactor: this.#parts.compactor,
      roster: this.#parts.attendance.roster,
      problemOf: (member) => this.#parts.departures.problemOf(member),
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
    this.#parts.watchdog.stop();
    this.#parts.reception.close();
    this.#parts.attendance.close(error);
    this.#parts.departures.close(error);
    this.#inBackground(this.#parts.evictions.close());
    this.#parts.ownMember.reject(error);
    this.#parts.committer.stop(error);
    this.#parts.compactor.stop(error);
    this.#parts.locks.stop();
    this.#sayGoodbye(!(error instanceof DeposedError));
    await this.#sessions.close();
  }

  /** Who is connected looks for the next server at once; the others find out by silence. */
  #sayGoodbye(isVacant: boolean): void {
    const body = ServerLeaves.encode({ term: this.term, isVacant });
    for (const rid of this.#parts.attendance.roster.connectedMembers())
      this.#sessions.call(rid, Command.serverLeaves, body, () => {});
  }
}
