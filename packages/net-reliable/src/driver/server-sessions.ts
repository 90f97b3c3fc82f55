/*
 * Drives the server's side of all sessions: accepts connections, moves bytes between them and the machine, keeps time. A
 * connection that turns out to be a byte stream's is handed over to the streams.
 *
 * One timer serves all connections. Whatever a turn of the event loop makes ready for a member leaves in one write.
 */
import type { ByteStream, ByteStreamHandlers, Cancel, Listener } from "@holdfast/environment";
import {
  CALL_ABORTED,
  CALL_NO_SESSION,
  CALL_OVERLOADED,
  COMMAND_COME,
  REFUSAL,
  refusalName,
} from "../codes.ts";
import { type CutCounts, cutCounts, cutReason, isPeersFault } from "../errors.ts";
import { NONCE_BYTES, completeIdentity } from "../greeting.ts";
import type { Done } from "../pending-requests.ts";
import type { ServerConnection, StreamVisit } from "../server-connection.ts";
import { type EndReason, ServerMachine } from "../server-machine.ts";
import { DEFAULT_SESSION_TIMING, type SessionTiming, checkSessionTiming } from "../timing.ts";
import { LogLimit } from "./log-limit.ts";
import { Requests } from "./requests.ts";
import type { ServerSessions, ServerSessionsOptions, ServerSessionsStats } from "./server-options.ts";
import { type SessionPorts, failLater, refuseUnknown, withLog } from "./session-ports.ts";
import type { ReceivedStream, StreamRequestOptions } from "./stream-ports.ts";
import { ServerStreams } from "./stream-server.ts";

/**
 * Listens and serves sessions.
 *
 * @throws TransportError `ERR_HOLDFAST_ADDRESS_IN_USE`, `ERR_HOLDFAST_LISTEN` when it cannot listen; RangeError when
 *   the key is too short or the term below 1.
 * @example
 * const listenAddress = "tcp://127.0.0.1:7700";
 * const handle: RequestHandler = (rid, command, body, respond) => respond(0, body);
 * const server = await startServerSessions({ identity: { key }, listenAddress, handle }, ports);
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
  /** Who takes the bytes of a byte stream. */
  inside: ByteStreamHandlers | undefined;
}

class ServerDriver implements ServerSessions {
  readonly term: bigint;
  readonly #options: ServerSessionsOptions;
  readonly #timing: SessionTiming;
  readonly #ports: Required<SessionPorts>;
  /** Strangers cause the first kind; they must not drown the second. */
  readonly #refusalWarnings: LogLimit;
  readonly #memberWarnings: LogLimit;
  readonly #machine: ServerMachine;
  readonly #streams: ServerStreams;
  readonly #wires: Map<ServerConnection, Wire> = new Map();
  #dirty: Wire[] = [];
  #isFlushDue = false;
  #isClosed = false;
  #listener: Listener | undefined;
  #cancelTick: Cancel = () => {};
  readonly #refused: Record<string, number> = {};
  readonly #cut: CutCounts = cutCounts();
  readonly #ended: Record<EndReason, number> = {
    replaced: 0,
    forgotten: 0,
    evicted: 0,
    silent: 0,
    "slow-greeter": 0,
    crowded: 0,
  };

  constructor(options: ServerSessionsOptions, ports: SessionPorts) {
    const { handle = refuseUnknown, limits, timing = DEFAULT_SESSION_TIMING, brokenRules } = options;
    const term = options.term ?? BigInt(Math.max(1, Math.floor(ports.clock.wallMs())));
    this.term = term;
    this.#options = options;
    // How long others take to recover is theirs to say (`checkSessionTiming` with their time).
    checkSessionTiming(timing, Number.POSITIVE_INFINITY);
    this.#timing = timing;
    this.#ports = withLog(ports);
    this.#refusalWarnings = new LogLimit(ports.clock, this.#ports.log);
    this.#memberWarnings = new LogLimit(ports.clock, this.#ports.log);
    this.#streams = new ServerStreams(
      { handle: options.handleStream, limits: options.streamLimits, timing },
      (rid, ticket) => this.request(rid, COMMAND_COME, ticket),
      this.#ports,
    );
    this.#machine = new ServerMachine(
      {
        identity: completeIdentity(options.identity),
        term,
        timing,
        cryptography: ports.cryptography,
        ...(limits === undefined ? {} : { limits }),
        ...(brokenRules === undefined ? {} : { brokenRules }),
      },
      {
        admit: (greeting) => options.admit?.(greeting) ?? 0,
        request: handle,
        up: (rid) => this.#peerChanged(rid, "session.peer-up", "member connected"),
        down: (rid) => this.#peerChanged(rid, "session.peer-down", "member disconnected"),
        expired: (rid) => this.#peerChanged(rid, "session.peer-expired", "member stayed away"),
        refused: (rid, code) => this.#countRefusal(rid, code),
        output: (connection) => this.#markDirty(connection),
        outputEarly: (connection) => this.#drainEarly(connection),
        end: (connection, reason) => this.#end(connection, reason),
        streams: {
          secretOf: (visit) => this.#streams.secretOf(visit),
          admit: (rid) => this.#streams.admit(rid),
          handedOver: (connection, visit) => this.#handOver(connection, visit),
        },
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

  request(rid: bigint, command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    // A server waits for no single member: a call for which there is no room is refused.
    const requests = new Requests((...args) => this.call(rid, ...args));
    return requests.request(command, body, signal);
  }

  requestStream(
    rid: bigint,
    command: number,
    body: Uint8Array,
    options?: StreamRequestOptions,
  ): Promise<ReceivedStream> {
    return this.#streams.request(rid, command, body, options);
  }

  isConnected(rid: bigint): boolean {
    return this.#machine.isConnected(rid);
  }

  forget(rid: bigint): void {
    this.#machine.forget(rid);
    this.#streams.cut(rid);
  }

  evict(rid: bigint): void {
    this.#machine.evict(rid);
    this.#streams.cut(rid);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTick();
    this.#flush();
    this.#machine.close();
    this.#streams.close();
    for (const wire of this.#wires.values()) wire.stream.close();
    await this.#listener?.close();
  }

  stats(): ServerSessionsStats {
    return {
      sessionsCount: this.#machine.sessionsCount,
      greetingCount: this.#machine.greetingCount,
      refusedCount: sumOf(this.#refused),
      refused: { ...this.#refused },
      cutMalformedCount: sumOf(this.#cut),
      cut: { ...this.#cut },
      ended: { ...this.#ended },
      streams: this.#streams.stats(),
      ...this.#machine.counts(),
    };
  }

  #peerChanged(
    rid: bigint,
    event: "session.peer-up" | "session.peer-down" | "session.peer-expired",
    message: string,
  ): void {
    if (this.#isClosed) return;
    this.#ports.log.info({ event, rid, term: this.term }, message);
    switch (event) {
      case "session.peer-up":
        return this.#options.onPeerUp?.(rid);
      case "session.peer-down":
        return this.#options.onPeerDown?.(rid);
      case "session.peer-expired":
        if (this.#options.onPeerExpired === undefined) this.forget(rid);
        else this.#options.onPeerExpired(rid);
    }
  }

  #accept(stream: ByteStream): void {
    if (this.#isClosed) {
      stream.destroy();
      return;
    }
    const { clock, random } = this.#ports;
    const nonce = random.bytes(NONCE_BYTES);
    const connection = this.#machine.accept(nonce, clock.now(), hostOf(stream.peer));
    const wire: Wire = {
      connection,
      stream,
      isBlocked: false,
      isDirty: false,
      inside: undefined,
      write(bytes) {
        if (!stream.write(bytes)) wire.isBlocked = true;
        return !wire.isBlocked;
      },
    };
    this.#wires.set(connection, wire);
    stream.start({
      data: (bytes) => (wire.inside === undefined ? this.#received(wire, bytes) : wire.inside.data(bytes)),
      closed: (error) => (wire.inside === undefined ? this.#lost(wire) : wire.inside.closed(error)),
      drained: () => {
        wire.isBlocked = false;
        wire.inside?.drained();
        this.#drain(wire);
      },
      place: () => wire.inside?.place?.(),
    });
    this.#drain(wire);
  }

  #handOver(connection: ServerConnection, visit: StreamVisit): void {
    const wire = this.#wires.get(connection);
    if (wire === undefined) return;
    this.#wires.delete(connection);
    // The welcome goes whether or not the network is busy: it is short, and all that goes on is behind it.
    connection.drain((bytes) => wire.stream.write(bytes), this.#ports.clock.now());
    wire.inside = this.#streams.enter(wire.stream, visit);
  }

  #received(wire: Wire, bytes: Uint8Array): void {
    const { connection, stream } = wire;
    if (this.#isClosed) return;
    const now = this.#ports.clock.now();
    // What this brings leaves at its end, without a microtask.
    this.#isFlushDue = true;
    try {
      connection.receive(bytes, now);
    } catch (error) {
      stream.destroy();
      this.#lost(wire);
      if (!isPeersFault(error)) {
        this.#flush();
        throw error;
      }
      const reason = cutReason(error);
      this.#cut[reason] += 1;
      const facts = {
        event: "session.malformed",
        peer: stream.peer,
        rid: connection.rid,
        reason,
        err: error,
      };
      if (connection.rid === 0n) this.#ports.log.debug(facts, "stranger cut off");
      else this.#memberWarnings.warn(facts, "member cut off");
    }
    // Otherwise it is among those that are flushed.
    if (!wire.isDirty) this.#drain(wire, now);
    this.#flush(now);
  }

  #countRefusal(rid: bigint, code: number): void {
    const refusal = refusalName(code);
    const key = refusal in REFUSAL ? refusal : "OTHER";
    this.#refused[key] = (this.#refused[key] ?? 0) + 1;
    this.#refusalWarnings.warn({ event: "session.refused", rid, refusal }, "member refused");
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
    this.#cancelTick = clock.at(clock.now() + this.#timing.heartbeatMs, () => this.#tick());
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

  #flush(now: number = this.#ports.clock.now()): void {
    this.#isFlushDue = false;
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const wire of dirty) {
      wire.isDirty = false;
      this.#drain(wire, now);
    }
  }

  #drainEarly(connection: ServerConnection): void {
    const wire = this.#wires.get(connection);
    if (wire === undefined) return;
    this.#drain(wire);
    wire.stream.flush?.();
  }

  #drain(wire: Wire, now: number = this.#ports.clock.now()): void {
    const { connection, stream } = wire;
    if (wire.isBlocked || !this.#wires.has(connection)) return;
    connection.drain(wire.write, now);
    if (connection.isRefused) stream.close();
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** The host of a peer whose address has one: a dialler of a Unix socket has none. */
function hostOf(peer: string): string | undefined {
  return /^[a-z+]+:\/\/(.+):\d+$/.exec(peer)?.[1];
}
