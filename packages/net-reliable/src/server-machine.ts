/*
 * The server's side: a session per member, over at most one connection each.
 *
 * Who is let in, by the term the member greets with (ours is T):
 *
 *   0 or below T   fresh session; if one is there already, its welcome was lost before the member could use it
 *   T              its session goes on; without one the member was forgotten: refused, unless it is leaving
 *   above T        refused: this server is superseded
 *
 * The session moves from an older connection to a newer one in one step (N2, N6), with everything owed, because
 * answers are given to the session and not to a connection (N1).
 */
import { type BrokenRules, type Cancel, type Cryptography, invariant } from "@holdfast/environment";
import type { Frame } from "@holdfast/wire-format";
import { COMMAND_COME, REFUSAL } from "./codes.ts";
import { unexpectedCommand } from "./errors.ts";
import {
  Greeting,
  decodeGreetingPart,
  PROTOCOL_VERSION,
  type SessionIdentity,
  isGreetingProven,
  welcomeFrame,
} from "./greeting.ts";
import {
  EVICTED_MAX,
  GREETING_CONNECTIONS_MAX,
  GREETING_PER_ADDRESS_MAX,
  SESSIONS_MAX,
  type SessionLimits,
} from "./limits.ts";
import { Liveness } from "./liveness.ts";
import { type Reception, ServerConnection, type StreamVisit } from "./server-connection.ts";
import type { Done } from "./pending-requests.ts";
import type { Respond } from "./session-events.ts";
import { Session } from "./session.ts";
import { StreamGreeting } from "./streams/stream-greeting-layouts.ts";
import { judgeStreamGreeting, streamWelcomeFrame } from "./streams/stream-greeting.ts";
import type { SessionTiming } from "./timing.ts";

/** What a server is. */
export interface ServerMachineConfig {
  readonly identity: SessionIdentity;
  /** Term of this server, at least 1. */
  readonly term: bigint;
  readonly timing: SessionTiming;
  readonly cryptography: Cryptography;
  readonly sessionsMax?: number;
  readonly greetingConnectionsMax?: number;
  readonly greetingPerAddressMax?: number;
  readonly limits?: Partial<SessionLimits>;
  /** Rules to break in a test run: "session-dedupe". */
  readonly brokenRules?: BrokenRules;
}

/** A proven greeting, as far as it concerns the layer above. */
export interface PeerGreeting {
  readonly rid: bigint;
  readonly term: bigint;
  readonly isVoter: boolean;
  readonly isLeaving: boolean;
}

/** Why a connection ends by our doing. */
export type EndReason = "replaced" | "forgotten" | "evicted" | "silent" | "slow-greeter" | "crowded";

/** What a server tells its owner. */
export interface ServerMachineEvents {
  /** Last word about a greeting that is otherwise in order: 0 or a refusal code. */
  admit(greeting: PeerGreeting): number;
  /** A member asks; see `SessionEvents.request`. */
  request(rid: bigint, command: number, body: Uint8Array, respond: Respond, id: number): void;
  /** The member is connected and was not before. */
  up(rid: bigint): void;
  /** The member is not connected any more; its session is kept unless it was forgotten or evicted. */
  down(rid: bigint): void;
  /** The member has been away for `forgetMs`; its session is still kept. Told once per absence. */
  expired(rid: bigint): void;
  /** A greeting was refused. */
  refused(rid: bigint, code: number): void;
  /** The connection has something to {@link ServerConnection.drain}. */
  output(connection: ServerConnection): void;
  /** Half of what a read brings about waits: {@link ServerConnection.drain} it, and flush. */
  outputEarly(connection: ServerConnection): void;
  /** Close the connection: `forgotten` after what is unsent, all others at once. */
  end(connection: ServerConnection, reason: EndReason): void;
  /** Byte streams of members that have a session; without it they are refused. */
  readonly streams?: StreamReception;
}

/** Who takes byte streams. */
export interface StreamReception {
  /** The secret of a member's ticket; undefined if it has none such. */
  secretOf(visit: StreamVisit): Uint8Array | undefined;
  /** Last word about a greeting that is otherwise in order: 0 or a refusal code. */
  admit(rid: bigint): number;
  /** The connection is a stream's: {@link ServerConnection.drain} it, then it is of no concern to sessions any more. */
  handedOver(connection: ServerConnection, visit: StreamVisit): void;
}

const NO_SECRET = new Uint8Array(0);

/** What all sessions of a server count together, those that are gone included. */
export interface ServerMachineCounts {
  /** Bytes of members' frames that wait now. */
  readonly waitingBytes: number;
  /** Answers replaced by `CALL_ANSWER_DROPPED`. */
  readonly droppedAnswersCount: number;
  /** Requests that their handler could not decode. */
  readonly malformedRequestsCount: number;
}

interface Peer {
  readonly rid: bigint;
  readonly session: Session;
  attempt: number;
  connection: ServerConnection | undefined;
  awaySince: number;
  isExpired: boolean;
}

/** All sessions of one server. */
export class ServerMachine {
  readonly #config: ServerMachineConfig;
  readonly #events: ServerMachineEvents;
  readonly #peers: Map<bigint, Peer> = new Map();
  readonly #greeting: Set<ServerConnection> = new Set();
  readonly #evicted: Set<bigint> = new Set();
  /** Of sessions that are gone. */
  #droppedAnswersCount = 0;
  #malformedRequestsCount = 0;

  constructor(config: ServerMachineConfig, events: ServerMachineEvents) {
    if (config.term < 1n) throw new RangeError(`a server's term is at least 1, not ${config.term}`);
    this.#config = config;
    this.#events = events;
  }

  /** Sessions held, connected or not. */
  get sessionsCount(): number {
    return this.#peers.size;
  }

  /** Connections without an accepted greeting. */
  get greetingCount(): number {
    return this.#greeting.size;
  }

  /** Counters for tests and metrics. */
  counts(): ServerMachineCounts {
    let waitingBytes = 0;
    let droppedAnswersCount = this.#droppedAnswersCount;
    let malformedRequestsCount = this.#malformedRequestsCount;
    for (const { session } of this.#peers.values()) {
      waitingBytes += session.waitingBytes;
      droppedAnswersCount += session.droppedAnswersCount;
      malformedRequestsCount += session.malformedCount;
    }
    return { waitingBytes, droppedAnswersCount, malformedRequestsCount };
  }

  /**
   * A connection came in; `nonce` is random and used once.
   *
   * @param address - The host that dialled, if the transport tells; one host cannot take the places of all.
   */
  accept(nonce: Uint8Array, now: number, address?: string): ServerConnection {
    this.#makeRoom(address);
    const connection = new ServerConnection(
      {
        receive: (from, frame) => this.#receive(from, frame),
        receiveStream: (from, frame) => this.#receiveStream(from, frame),
        opened: (from, rid) => this.#opened(from, rid),
        handedOver: (from, visit) => this.#events.streams?.handedOver(from, visit),
        outputEarly: (from) => this.#events.outputEarly(from),
      },
      { nonce, address, acceptedAt: now },
      new Liveness(this.#config.timing, now),
    );
    this.#greeting.add(connection);
    return connection;
  }

  /** The connection is gone. */
  ended(connection: ServerConnection, now: number): void {
    this.#greeting.delete(connection);
    connection.end();
    const peer = this.#peers.get(connection.rid);
    if (peer === undefined || peer.connection !== connection) return;
    peer.connection = undefined;
    peer.awaySince = now;
    peer.isExpired = false;
    this.#events.down(peer.rid);
  }

  /** To be called every `heartbeatMs`: ends what is dead, slow or overflowed, and returns who needs a heartbeat. */
  tick(now: number): readonly ServerConnection[] {
    const { greetingTimeoutMs, forgetMs } = this.#config.timing;
    for (const connection of this.#greeting) {
      // One that was refused has its answer under way, and closes then.
      if (!connection.isRefused && now - connection.acceptedAt >= greetingTimeoutMs)
        this.#end(connection, "slow-greeter");
    }
    const beating: ServerConnection[] = [];
    for (const peer of this.#peers.values()) {
      const { connection } = peer;
      if (connection === undefined) {
        if (peer.isExpired || now - peer.awaySince < forgetMs) continue;
        peer.isExpired = true;
        this.#events.expired(peer.rid);
      } else {
        const verdict = connection.liveness.tick(now);
        if (verdict === "beat") beating.push(connection);
        if (verdict !== "dead") continue;
        this.#events.end(connection, "silent");
        this.ended(connection, now);
      }
    }
    return beating;
  }

  /** Sends a request to a member, connected or not; undefined when it has no session or a limit forbids it. */
  call(rid: bigint, command: number, body: Uint8Array, done: Done): Cancel | undefined {
    return this.#peers.get(rid)?.session.call(command, body, done);
  }

  /** True if the member has a session. */
  has(rid: bigint): boolean {
    return this.#peers.has(rid);
  }

  /** True if the member has a connection. */
  isConnected(rid: bigint): boolean {
    return this.#peers.get(rid)?.connection !== undefined;
  }

  /** Drops the member's session after a farewell; answers already given still go out. Calls to it are aborted. */
  forget(rid: bigint): void {
    this.#drop(rid, "forgotten");
  }

  /** Drops the member's session and refuses it from now on. */
  evict(rid: bigint): void {
    this.#evicted.add(rid);
    if (this.#evicted.size > EVICTED_MAX) {
      const [oldest] = this.#evicted;
      if (oldest !== undefined) this.#evicted.delete(oldest);
    }
    this.#drop(rid, "evicted");
  }

  /** Ends all sessions: calls to members are aborted. */
  close(): void {
    for (const rid of this.#peers.keys()) this.#drop(rid, "forgotten");
    for (const connection of this.#greeting) this.#end(connection, "forgotten");
  }

  #drop(rid: bigint, reason: EndReason): void {
    const peer = this.#peers.get(rid);
    if (peer === undefined) return;
    this.#peers.delete(rid);
    this.#droppedAnswersCount += peer.session.droppedAnswersCount;
    this.#malformedRequestsCount += peer.session.malformedCount;
    if (peer.connection !== undefined) this.#end(peer.connection, reason);
    peer.session.close();
    if (peer.connection !== undefined) this.#events.down(rid);
  }

  /** Cuts off the connection that has been greeting longest, of those that crowd out the newest one. */
  #makeRoom(address: string | undefined): void {
    const { greetingConnectionsMax, greetingPerAddressMax } = this.#config;
    const sameHost: ServerConnection[] = [];
    if (address !== undefined)
      for (const connection of this.#greeting) if (connection.address === address) sameHost.push(connection);
    const isHostCrowded = sameHost.length >= (greetingPerAddressMax ?? GREETING_PER_ADDRESS_MAX);
    const isCrowded = this.#greeting.size >= (greetingConnectionsMax ?? GREETING_CONNECTIONS_MAX);
    if (!isHostCrowded && !isCrowded) return;
    const [oldest] = isHostCrowded ? sameHost : this.#greeting;
    if (oldest !== undefined) this.#end(oldest, "crowded");
  }

  #end(connection: ServerConnection, reason: EndReason): void {
    this.#greeting.delete(connection);
    connection.end();
    this.#events.end(connection, reason);
  }

  #receiveStream(connection: ServerConnection, frame: Frame): Reception<StreamVisit> {
    const greeting = decodeGreetingPart(StreamGreeting, frame.body);
    const { rid, ticket, nonce } = greeting;
    const refusal = this.#judgeStream(connection, greeting, frame.body);
    if (refusal === 0) this.#greeting.delete(connection);
    else this.#events.refused(rid, refusal);
    const welcome = streamWelcomeFrame(refusal, this.#config, { client: nonce, server: connection.nonce });
    return { welcome, accepted: refusal === 0 ? { rid, ticket } : undefined };
  }

  #judgeStream(connection: ServerConnection, greeting: StreamGreeting, body: Uint8Array): number {
    const { streams } = this.#events;
    const { rid, term, ticket } = greeting;
    const refusal = judgeStreamGreeting(greeting, body, this.#config, connection.nonce, () =>
      ticket === 0 ? NO_SECRET : streams?.secretOf({ rid, ticket }),
    );
    if (refusal !== 0) return refusal;
    if (this.#evicted.has(rid)) return REFUSAL.EVICTED;
    if (term !== this.#config.term) return REFUSAL.STALE_TERM;
    if (!this.#peers.has(rid)) return REFUSAL.FORGOTTEN;
    return streams?.admit(rid) ?? REFUSAL.BAD_GREETING;
  }

  #receive(
    connection: ServerConnection,
    frame: Frame,
  ): Reception<{ readonly rid: bigint; readonly session: Session }> {
    const greeting = decodeGreetingPart(Greeting, frame.body);
    const refusal = this.#judge(connection, greeting, frame.body);
    const known = this.#peers.get(greeting.rid);
    const { identity, term, cryptography, brokenRules } = this.#config;
    const nonces = { client: greeting.nonce, server: connection.nonce };
    if (refusal !== 0) {
      this.#events.refused(greeting.rid, refusal);
      const welcome = { refusal, term, recvSeq: 0, isFresh: false };
      return { welcome: welcomeFrame(welcome, nonces, identity.key, cryptography), accepted: undefined };
    }
    this.#greeting.delete(connection);
    const peer = known ?? this.#newPeer(greeting.rid);
    const isResumed = known !== undefined && greeting.term === term;
    if (isResumed && brokenRules?.has("session-dedupe") === true) peer.session.forgetUnacknowledged();
    peer.session.connected(isResumed ? greeting.recvSeq : 0);
    peer.attempt = greeting.attempt;
    const welcome = {
      refusal: 0,
      term,
      recvSeq: peer.session.receivedSeq,
      isFresh: known === undefined,
    };
    return {
      welcome: welcomeFrame(welcome, nonces, identity.key, cryptography),
      accepted: { rid: peer.rid, session: peer.session },
    };
  }

  /** The steal: from one statement to the next the session belongs to the newer connection. */
  #opened(connection: ServerConnection, rid: bigint): void {
    const peer = this.#peers.get(rid);
    invariant(peer !== undefined, "an accepted member has a session");
    const older = peer.connection;
    peer.connection = connection;
    if (older === undefined) {
      this.#events.up(rid);
    } else {
      older.detach();
      this.#events.end(older, "replaced");
    }
  }

  /** 0 if the greeting is accepted, else why not; from the cheapest check to the dearest. */
  #judge(connection: ServerConnection, greeting: Greeting, body: Uint8Array): number {
    const { identity, term, cryptography, sessionsMax } = this.#config;
    if (greeting.version !== PROTOCOL_VERSION) return REFUSAL.WRONG_VERSION;
    if (greeting.fsid !== identity.fsid) return REFUSAL.WRONG_VOLUME;
    if (!isGreetingProven(body, connection.nonce, identity.key, cryptography)) return REFUSAL.BAD_PROOF;
    if (greeting.formatHash !== identity.formatHash) return REFUSAL.WRONG_FORMAT;
    if (greeting.rid === 0n) return REFUSAL.BAD_GREETING;
    if (this.#evicted.has(greeting.rid)) return REFUSAL.EVICTED;
    if (greeting.term > term) return REFUSAL.STALE_TERM;
    const peer = this.#peers.get(greeting.rid);
    if (peer !== undefined) {
      if (greeting.attempt <= peer.attempt) return REFUSAL.OLD_ATTEMPT;
      // Whoever has not learnt our term cannot have sent us a frame.
      if (greeting.term !== term && peer.session.receivedSeq > 0) return REFUSAL.BAD_GREETING;
    } else {
      if (greeting.term === term && !greeting.isLeaving) return REFUSAL.FORGOTTEN;
      if (this.#peers.size >= (sessionsMax ?? SESSIONS_MAX)) return REFUSAL.SERVER_FULL;
    }
    const { rid, isVoter, isLeaving } = greeting;
    return this.#events.admit({ rid, term: greeting.term, isVoter, isLeaving });
  }

  #newPeer(rid: bigint): Peer {
    const session = new Session(
      {
        request: (command, body, respond, id) => {
          // Only a server calls.
          if (command === COMMAND_COME) throw unexpectedCommand(command);
          this.#events.request(rid, command, body, respond, id);
        },
        output: () => {
          if (peer.connection !== undefined) this.#events.output(peer.connection);
        },
      },
      false,
      this.#config.limits,
    );
    const peer: Peer = { rid, session, attempt: 0, connection: undefined, awaySince: 0, isExpired: false };
    this.#peers.set(rid, peer);
    return peer;
  }
}
