/*
 * A member's tie to whoever serves: joins once, reports its locks to each new server before anything else, numbers
 * its operations, and knows in which term, and up to which eviction, it is a member.
 */
import {
  type BrokenRules,
  type Cancel,
  type Clock,
  type Deferred,
  DeviceError,
  deferred,
} from "@holdfast/environment";
import { RECLAIM_LOCKS_MAX, ReclaimRequest } from "@holdfast/lock-protocol";
import {
  CALL_ABORTED,
  CALL_OVERLOADED,
  COMMAND_FAREWELL,
  type ClientSession,
  REFUSAL,
  RequestError,
  type RequestHandler,
  type ServerContact,
  type SessionPorts,
  startClientSession,
} from "@holdfast/net-reliable";
import { ClosedError, EvictedError, OperationRefusedError, SessionRefusedError } from "../errors.ts";
import type { LockClientDriver } from "../locks/locking.ts";
import {
  Command,
  EMPTY_BODY,
  FarewellRequest,
  JoinReply,
  JoinRequest,
  Membership,
  type Operation,
  Refusal,
} from "../protocol.ts";
import { NoSpaceError } from "../server/volume-trees.ts";
import type { MemberTiming } from "../timing.ts";
import type { SuperBlock } from "../volume/super-block.ts";
import { Lease } from "./lease.ts";

/** What a link needs. */
export interface ServerLinkOptions {
  readonly superBlock: SuperBlock;
  readonly rid: bigint;
  readonly join: JoinRequest;
  readonly timing: MemberTiming;
  /** None by default. */
  readonly brokenRules?: BrokenRules;
  /** Where the newest record says the server is; `term` is the newest this member was counted in. */
  readonly findServer: (term: bigint) => Promise<string | undefined>;
  /** True if the volume says that this member is none any more; `term` as above. May throw {@link DeviceError}. */
  readonly isForgotten: (term: bigint) => Promise<boolean>;
  /** A server has said how many votes a campaign needs. */
  readonly onVotes: (votes: number) => void;
  /** Requests of the server. */
  readonly handle: RequestHandler;
  /** A frame came from the server of this term. */
  readonly onHeard: (term: bigint) => void;
  /** The end: evicted, or refused. Called at most once. */
  readonly onLost: (error: Error) => void;
}

/** A member that has said farewell, and has no server, looks so often at the volume. */
const SIGN_MS = 500;

/** The tie between a member and its servers. */
export class ServerLink {
  /** How long cached locks may be trusted. */
  readonly lease: Lease;
  readonly #options: ServerLinkOptions;
  readonly #clock: Clock;
  readonly #locks: () => LockClientDriver;
  readonly #session: ClientSession;
  readonly #joined: Deferred<JoinReply> = deferred();
  #hasJoined = false;
  #isLeaving = false;
  #term = 0n;
  #evictGeneration = 0n;
  #failure: Error | undefined;
  #waiters: { readonly after: bigint; readonly done: Deferred<void> }[] = [];
  #lastOperation = 0n;
  readonly #unseen: Set<bigint> = new Set();

  constructor(options: ServerLinkOptions, locks: () => LockClientDriver, ports: Required<SessionPorts>) {
    this.#options = options;
    this.#locks = locks;
    this.#joined.promise.catch(() => {});
    this.#clock = ports.clock;
    this.lease = new Lease({
      clock: ports.clock,
      leaseMs: options.timing.leaseMs,
      ownLeaseMs:
        options.brokenRules?.has("own-lease-is-short") === true
          ? options.timing.leaseMs
          : options.timing.ownLeaseMs,
      isEndless: options.brokenRules?.has("lease-ends") === true,
      ask: (answered) => this.#renew(answered),
    });
    const { fsid, formatHash, key } = options.superBlock;
    this.#session = startClientSession(
      {
        identity: { fsid, formatHash, key },
        rid: options.rid,
        isVoter: options.join.isVoter,
        timing: options.timing.session,
        findServer: () => options.findServer(this.#term),
        handle: options.handle,
        onServer: (contact) => this.#meet(contact),
        onHeard: options.onHeard,
        onRefused: (code) => this.#refused(code),
        onDisconnected: () => {},
      },
      ports,
    );
  }

  /** Resolves once this process is a member. */
  get joined(): Promise<JoinReply> {
    return this.#joined.promise;
  }

  /** True once this process has been a member. */
  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  /** The newest term in which a server counted this member in; 0 before the first. */
  get term(): bigint {
    return this.#term;
  }

  /** True while a server is connected. */
  get isConnected(): boolean {
    return this.#session.isConnected;
  }

  /** Evictions that this member knows not to be its own. */
  get evictGeneration(): bigint {
    return this.#evictGeneration;
  }

  /** Why this member is none any more. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Calls the server; see the session. */
  readonly call: ClientSession["call"] = (command, body, done) => this.#session.call(command, body, done);

  /**
   * Asks the server something that changes nothing.
   *
   * @throws {@link OperationRefusedError}, or what ended the membership.
   */
  async request(command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return await this.#session.request(command, body, signal);
    } catch (error) {
      throw this.#translate(command, error);
    }
  }

  /** Has the server do something exactly once, across any number of servers. */
  async operation(
    command: number,
    encode: (operation: Operation) => Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    this.#lastOperation += 1n;
    const operation = this.#lastOperation;
    this.#unseen.add(operation);
    try {
      return await this.request(command, encode({ operation, seen: this.#seen(operation) }), signal);
    } finally {
      this.#unseen.delete(operation);
    }
  }

  /** Resolves when a server of a later term than `term` counted this member in. */
  termAfter(term: bigint): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#term > term) return Promise.resolve();
    const done = deferred<void>();
    this.#waiters.push({ after: term, done });
    return done.promise;
  }

  /** Asks whether this member is one still, and learns the present generation. */
  async confirm(): Promise<void> {
    const { evictGeneration } = Membership.decode(await this.request(Command.confirm, EMPTY_BODY));
    this.#evictGeneration = evictGeneration;
  }

  /**
   * Leaves in order; resolves when a server has forgotten this member, or the volume says that one has. It reports to no new
   * server any more: one that knows it still forgets it, whatever it held.
   *
   * @throws what ended the membership before.
   */
  async farewell(word: Pick<FarewellRequest, "mayBeWritten" | "isServing">): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#isLeaving = true;
    this.lease.end(new ClosedError());
    const body = FarewellRequest.encode({
      ...word,
      saidTerm: this.#term,
      patienceMs: this.#options.timing.farewellMs,
    });
    const answered = this.#asked(COMMAND_FAREWELL, this.#session.farewell(body));
    const isGone = deferred<void>();
    const cancel = this.#lookForSign(isGone);
    try {
      await Promise.race([answered, isGone.promise]);
    } finally {
      cancel();
      // Where the sign came first, the answer does not come any more.
      answered.catch(() => {});
    }
  }

  /** Hangs up. Everything that waits fails with `error`. */
  close(error: Error): void {
    this.fail(error);
  }

  /** Looks for the sign now and then, until what is returned is called. */
  #lookForSign(isGone: Deferred<void>): Cancel {
    let isOver = false;
    let cancelTimer: Cancel | undefined;
    const lookLater = (): void => {
      cancelTimer = this.#clock.at(this.#clock.now() + SIGN_MS, () => {
        look().catch((error: unknown) => isGone.reject(error));
      });
    };
    const look = async (): Promise<void> => {
      const isSeen = !this.#session.isConnected && (await this.#isForgotten());
      if (isOver) return;
      if (isSeen) isGone.resolve();
      else lookLater();
    };
    lookLater();
    return () => {
      isOver = true;
      cancelTimer?.();
    };
  }

  async #isForgotten(): Promise<boolean> {
    try {
      return await this.#options.isForgotten(this.#term);
    } catch (error) {
      // A device that cannot be read says nothing; how long to wait is for who closes to say.
      if (error instanceof DeviceError) return false;
      throw error;
    }
  }

  async #meet({ term, call }: ServerContact): Promise<void> {
    if (this.#isLeaving) return;
    const ask = (command: number, body: Uint8Array): Promise<Uint8Array> =>
      this.#asked(command, promised(call, command, body));
    this.#locks().onNewServer(term);
    const askedMs = this.#hasJoined ? await this.#report(ask) : await this.#join(ask);
    this.#term = term;
    this.lease.countedIn(term, askedMs);
    const woken = this.#waiters.filter(({ after }) => after < term);
    this.#waiters = this.#waiters.filter(({ after }) => after >= term);
    for (const { done } of woken) done.resolve();
  }

  /** Becomes a member. Resolves with the time at which this server was asked. */
  async #join(ask: (command: number, body: Uint8Array) => Promise<Uint8Array>): Promise<number> {
    const askedMs = this.#clock.now();
    try {
      const reply = JoinReply.decode(await ask(Command.join, JoinRequest.encode(this.#options.join)));
      this.#evictGeneration = reply.evictGeneration;
      this.#options.onVotes(reply.votes);
      this.#hasJoined = true;
      this.#joined.resolve(reply);
    } catch (error) {
      // What a server says to one who is no member yet is final; only a broken connection is not its word.
      if (error instanceof Error && !isUnanswered(error)) this.fail(error);
      throw error;
    }
    return askedMs;
  }

  /** Reports the locks held here. Resolves with the time at which this server was asked for the last time. */
  async #report(ask: (command: number, body: Uint8Array) => Promise<Uint8Array>): Promise<number> {
    const reports = this.#locks().report();
    for (let from = 0; ; from += RECLAIM_LOCKS_MAX) {
      const locks = reports.slice(from, from + RECLAIM_LOCKS_MAX);
      const isLast = from + RECLAIM_LOCKS_MAX >= reports.length;
      const askedMs = this.#clock.now();
      const reply = await ask(Command.reclaim, ReclaimRequest.encode({ locks, isLast }));
      const { evictGeneration, votes } = Membership.decode(reply);
      this.#evictGeneration = evictGeneration;
      this.#options.onVotes(votes);
      if (isLast) return askedMs;
    }
  }

  /** An unanswered renewal is asked again at the next server, and still counts from when it was first asked. */
  #renew(answered: (isGranted: boolean) => void): void {
    this.#session.call(Command.renew, EMPTY_BODY, (error) => {
      answered(error === 0);
      // A new server that was told nothing of a leaving member does not know it.
      if (error === Refusal.evicted && !this.#isLeaving) this.fail(new EvictedError(this.#options.rid));
    });
  }

  async #asked<T>(command: number, reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.#translate(command, error);
    }
  }

  #translate(command: number, error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure;
    if (!(error instanceof RequestError)) return error;
    const refusal = error.facts.error;
    if (refusal === Refusal.noSpace) return new NoSpaceError(0, "this operation");
    if (refusal === Refusal.quarantined)
      return new NoSpaceError(0, "this operation", "ERR_HOLDFAST_SPACE_QUARANTINED");
    // Who has said farewell is none any more in everybody's eyes: only the answer to that says how it ended.
    const isOver = refusal === Refusal.evicted || refusal === CALL_ABORTED;
    if (isOver && this.#isLeaving && command !== COMMAND_FAREWELL) return new ClosedError();
    if (refusal !== Refusal.evicted) return new OperationRefusedError(command, refusal, { cause: error });
    this.fail(new EvictedError(this.#options.rid, { cause: error }));
    return this.#failure;
  }

  #refused(code: number): void {
    const isGone = code === Refusal.evicted || code === REFUSAL.EVICTED || code === REFUSAL.FORGOTTEN;
    this.fail(isGone ? new EvictedError(this.#options.rid) : new SessionRefusedError(code));
  }

  /** Ends the membership: nothing is acknowledged, and no cached lock used, from now on. Idempotent. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.lease.end(error);
    this.#joined.reject(error);
    for (const { done } of this.#waiters.splice(0)) done.reject(error);
    // Who waits for a lock is told why before the session, which knows only that it is closed, ends those requests.
    try {
      this.#options.onLost(error);
    } finally {
      this.#session.close();
    }
  }

  /** Every operation up to the one this gives has its result here. */
  #seen(before: bigint): bigint {
    let oldest = before;
    for (const operation of this.#unseen) if (operation < oldest) oldest = operation;
    return oldest - 1n;
  }
}

/** True if no server answered: the connection broke, or too much waits here. */
function isUnanswered(error: Error): boolean {
  if (!(error instanceof OperationRefusedError)) return false;
  return error.facts.refusal === CALL_ABORTED || error.facts.refusal === CALL_OVERLOADED;
}

function promised(call: ClientSession["call"], command: number, body: Uint8Array): Promise<Uint8Array> {
  const done = deferred<Uint8Array>();
  call(command, body, (error, reply) => {
    if (error === 0) done.resolve(reply.slice());
    else done.reject(new RequestError(command, error, reply.slice()));
  });
  return done.promise;
}
