/*
 * Drives the server's side of all sessions: accepts streams, moves bytes between them and the machine, keeps time.
 *
 * One timer serves all connections. Whatever a turn of the event loop makes ready for a member leaves in one write.
 */
import type { ByteStream, Cancel, Listener } from "@holdfast/environment";
import { CALL_ABORTED, CALL_NO_SESSION, CALL_OVERLOADED, refusalName } from "../codes.ts";
import { NONCE_BYTES, type SessionIdentity } from "../greeting.ts";
import type { Done } from "../pending-requests.ts";
import type { ServerConnection } from "../server-connection.ts";
import { type EndReason, type PeerGreeting, ServerMachine } from "../server-machine.ts";
import type { SessionTiming } from "../timing.ts";
import { type RequestHandler, isPeersFault } from "./client-session.ts";
import { type SessionPorts, failLater } from "./session-ports.ts";

/** What a server's sessions are made of. */
export interface ServerSessionsOptions {
  readonly identity: SessionIdentity;
  /** Where to listen; port 0 picks a free one. */
  readonly listenAddress: string;
  /** Term of this server. */
  readonly term: bigint;
  readonly timing: SessionTiming;
  /** Last word about a greeting: 0 or a refusal code. */
  admit(greeting: PeerGreeting): number;
  /** Takes requests of members. */
  readonly handle: RequestHandler;
  /** The member is connected and was not before. */
  onPeerUp(rid: bigint): void;
  /** The member's connection is lost or silent; its session is kept until it is forgotten or evicted. */
  onPeerDown(rid: bigint): void;
  /** The member has been away for `timing.forgetMs`; told once per absence. */
  onPeerExpired?(rid: bigint): void;
}

/** Counters of a server since its start. */
export interface ServerSessionsStats {
  readonly sessionsCount: number;
  readonly greetingCount: number;
  readonly refusedCount: number;
  readonly cutMalformedCount: number;
  /** Connections ended by this side, by reason. */
  readonly ended: Readonly<Record<EndReason, number>>;
}

/** The sessions of one server. */
export interface ServerSessions {
  /** Where members dial. */
  readonly address: string;
  /**
   * Sends a request to a member, connected or not; `body` is copied. `done` is called exactly once, never before this
   * returns: with the answer, `CALL_ABORTED` (forgotten, evicted, closed), `CALL_NO_SESSION` or `CALL_OVERLOADED`.
   */
  call(rid: bigint, command: number, body: Uint8Array, done: Done): Cancel;
  /** True if the member has a connection. */
  isConnected(rid: bigint): boolean;
  /** Drops a member's session after its farewell; answers already given still go out. */
  forget(rid: bigint): void;
  /** Drops a member's session and refuses that member from now on. */
  evict(rid: bigint): void;
  /** Stops listening and ends all sessions; calls to members are aborted. Idempotent. */
  close(): Promise<void>;
  /** Counters for tests and metrics. */
  stats(): ServerSessionsStats;
}

/**
 * Listens and serves sessions.
 *
 * @throws TransportError `ERR_HOLDFAST_ADDRESS_IN_USE`, `ERR_HOLDFAST_LISTEN` when it cannot listen.
 */
export async function startServerSessions(
  options: ServerSessionsOptions,
  ports: SessionPorts,
): Promise<ServerSessions> {
  const server = new ServerDriver(options, ports);
  await server.listen();
  return server;
}

interface Wire {
  readonly connection: ServerConnection;
  readonly stream: ByteStream;
  readonly write: (bytes: Uint8Array) => boolean;
  isBlocked: boolean;
  isDirty: boolean;
}

class ServerDriver implements ServerSessions {
  readonly #options: ServerSessionsOptions;
  readonly #ports: SessionPorts;
  readonly #machine: ServerMachine;
  readonly #wires: Map<ServerConnection, Wire> = new Map();
  #dirty: Wire[] = [];
  #isFlushDue = false;
  #isClosed = false;
  #listener: Listener | undefined;
  #cancelTick: Cancel = () => {};
  #refusedCount = 0;
  #cutMalformedCount = 0;
  readonly #ended: Record<EndReason, number> = {
    replaced: 0,
    forgotten: 0,
    evicted: 0,
    silent: 0,
    "slow-greeter": 0,
    crowded: 0,
    overflowed: 0,
  };

  constructor(options: ServerSessionsOptions, ports: SessionPorts) {
    const { identity, term, timing, handle } = options;
    this.#options = options;
    this.#ports = ports;
    this.#machine = new ServerMachine(
      { identity, term, timing, cryptography: ports.cryptography },
      {
        admit: (greeting) => options.admit(greeting),
        request: handle,
        up: (rid) => this.#peerChanged(rid, "session.peer-up", "member connected"),
        down: (rid) => this.#peerChanged(rid, "session.peer-down", "member disconnected"),
        expired: (rid) => this.#peerChanged(rid, "session.peer-expired", "member stayed away"),
        refused: (rid, code) => {
          this.#refusedCount += 1;
          ports.log.warn({ event: "session.refused", rid, refusal: refusalName(code) }, "member refused");
        },
        output: (connection) => this.#markDirty(connection),
        end: (connection, reason) => this.#end(connection, reason),
      },
    );
  }

  get address(): string {
    return this.#listener?.address ?? this.#options.listenAddress;
  }

  async listen(): Promise<void> {
    const { transport } = this.#ports;
    this.#listener = await transport.listen(this.#options.listenAddress, (stream) => this.#accept(stream));
    this.#armTick();
  }

  call(rid: bigint, command: number, body: Uint8Array, done: Done): Cancel {
    if (this.#isClosed) return failLater(done, CALL_ABORTED);
    const cancel = this.#machine.call(rid, command, body, done);
    return cancel ?? failLater(done, this.#machine.has(rid) ? CALL_OVERLOADED : CALL_NO_SESSION);
  }

  isConnected(rid: bigint): boolean {
    return this.#machine.isConnected(rid);
  }

  forget(rid: bigint): void {
    this.#machine.forget(rid);
  }

  evict(rid: bigint): void {
    this.#machine.evict(rid);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTick();
    this.#flush();
    this.#machine.close();
    for (const wire of this.#wires.values()) wire.stream.close();
    await this.#listener?.close();
  }

  stats(): ServerSessionsStats {
    return {
      sessionsCount: this.#machine.sessionsCount,
      greetingCount: this.#machine.greetingCount,
      refusedCount: this.#refusedCount,
      cutMalformedCount: this.#cutMalformedCount,
      ended: { ...this.#ended },
    };
  }

  #peerChanged(
    rid: bigint,
    event: "session.peer-up" | "session.peer-down" | "session.peer-expired",
    message: string,
  ): void {
    if (this.#isClosed) return;
    this.#ports.log.info({ event, rid, term: this.#options.term }, message);
    switch (event) {
      case "session.peer-up":
        return this.#options.onPeerUp(rid);
      case "session.peer-down":
        return this.#options.onPeerDown(rid);
      case "session.peer-expired":
        return this.#options.onPeerExpired?.(rid);
    }
  }

  #accept(stream: ByteStream): void {
    if (this.#isClosed) {
      stream.destroy();
      return;
    }
    const { clock, random } = this.#ports;
    const connection = this.#machine.accept(random.bytes(NONCE_BYTES), clock.now());
    const wire: Wire = {
      connection,
      stream,
      isBlocked: false,
      isDirty: false,
      write(bytes) {
        if (!stream.write(bytes)) wire.isBlocked = true;
        return !wire.isBlocked;
      },
    };
    this.#wires.set(connection, wire);
    stream.start({
      data: (bytes) => this.#received(wire, bytes),
      closed: () => this.#lost(wire),
      drained: () => {
        wire.isBlocked = false;
        this.#drain(wire);
      },
    });
    this.#drain(wire);
  }

  #received(wire: Wire, bytes: Uint8Array): void {
    const { connection, stream } = wire;
    if (this.#isClosed) return;
    try {
      connection.receive(bytes, this.#ports.clock.now());
    } catch (error) {
      stream.destroy();
      this.#lost(wire);
      if (!isPeersFault(error)) throw error;
      this.#cutMalformedCount += 1;
      const facts = { event: "session.malformed", peer: stream.peer, rid: connection.rid, err: error };
      if (connection.rid === 0n) this.#ports.log.debug(facts, "stranger cut off");
      else this.#ports.log.warn(facts, "member cut off");
    }
    this.#drain(wire);
    this.#flush();
  }

  #lost(wire: Wire): void {
    this.#wires.delete(wire.connection);
    this.#machine.ended(wire.connection, this.#ports.clock.now());
  }

  #end(connection: ServerConnection, reason: EndReason): void {
    this.#ended[reason] += 1;
    const wire = this.#wires.get(connection);
    if (wire === undefined) return;
    if (reason === "forgotten") {
      this.#drain(wire);
      wire.stream.close();
    } else {
      wire.stream.destroy();
    }
  }

  #armTick(): void {
    const { clock } = this.#ports;
    this.#cancelTick = clock.at(clock.now() + this.#options.timing.heartbeatMs, () => this.#tick());
  }

  #tick(): void {
    for (const connection of this.#machine.tick(this.#ports.clock.now())) {
      const wire = this.#wires.get(connection);
      if (wire !== undefined && !wire.isBlocked) wire.write(connection.heartbeat());
    }
    if (!this.#isClosed) this.#armTick();
  }

  #markDirty(connection: ServerConnection): void {
    const wire = this.#wires.get(connection);
    if (wire === undefined || wire.isDirty) return;
    wire.isDirty = true;
    this.#dirty.push(wire);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    void Promise.resolve().then(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const wire of dirty) {
      wire.isDirty = false;
      this.#drain(wire);
    }
  }

  #drain(wire: Wire): void {
    const { connection, stream } = wire;
    if (wire.isBlocked || !this.#wires.has(connection)) return;
    connection.drain(wire.write, this.#ports.clock.now());
    if (connection.isRefused) stream.close();
  }
}
