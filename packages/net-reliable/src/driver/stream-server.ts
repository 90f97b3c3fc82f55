/*
 * The side that listens: takes connections of members, each for one exchange, and asks members by calling them.
 *
 * A stranger costs one frame of memory and a little time, and there are only so many of them; whoever knows the key is
 * counted by its member.
 */
import {
  type ByteStream,
  type ByteStreamHandlers,
  type Cancel,
  CancelledError,
  type Deferred,
  type Listener,
  type Logger,
  SILENT_LOGGER,
  deferred,
} from "@holdfast/environment";
import { REFUSAL, refusalName } from "../codes.ts";
import { type IdentityOptions, NONCE_BYTES, completeIdentity } from "../greeting.ts";
import { GREETING_CONNECTIONS_MAX } from "../limits.ts";
import { DueFrame } from "../streams/due-frame.ts";
import { StreamError, broken, cut } from "../streams/stream-errors.ts";
import { STREAM_FRAME } from "../streams/stream-frames.ts";
import { StreamGreeting } from "../streams/stream-greeting-layouts.ts";
import {
  type StreamGreetingKey,
  judgeStreamGreeting,
  streamChallenge,
  streamWelcome,
} from "../streams/stream-greeting.ts";
import { NO_TICKET, TICKET_SECRET_BYTES, encodeTicket } from "../streams/stream-ticket.ts";
import { LogLimit } from "./log-limit.ts";
import type { StreamConnection } from "./stream-connection.ts";
import { StreamExchanges, type StreamSideOptions } from "./stream-exchanges.ts";
import type { ReceivedStream, StreamPorts, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/** What a server's streams are made of. */
export interface ServerStreamsOptions extends StreamSideOptions {
  /** What both sides must agree on, the key at least. */
  readonly identity: IdentityOptions;
  /** Where to listen; port 0 picks a free one. Another address than that of the sessions. */
  readonly listenAddress: string;
  /** Term of the server: members that have their session with another one are turned away. */
  readonly term: bigint;
  /** True if this member has a session; those who have none are refused. Without it, whoever knows the key is let in. */
  hasSession?(rid: bigint): boolean;
  /** Calls a member through its session: the bytes must reach its `ClientStreams.come`. Needed to ask members. */
  invite?(rid: bigint, ticket: Uint8Array): Promise<unknown>;
}

/** The streams of a server. */
export interface ServerStreams {
  /** Where members dial. */
  readonly address: string;
  /**
   * Asks a member: the counterpart of `ClientStreams.request`, with the same errors. The member is called through its
   * session and dials; `_CUT` when it does not come in time.
   */
  request(
    rid: bigint,
    command: number,
    body: Uint8Array,
    options?: StreamRequestOptions,
  ): Promise<ReceivedStream>;
  /** Ends all exchanges with a member: its session is over. */
  cut(rid: bigint): void;
  /** Stops listening and ends all exchanges. Idempotent. */
  close(): Promise<void>;
  /** Counters for tests and metrics. */
  stats(): StreamStats;
}

/**
 * Listens for streams.
 *
 * @throws TransportError when it cannot listen; RangeError when the key is too short.
 */
export async function startServerStreams(
  options: ServerStreamsOptions,
  ports: StreamPorts,
): Promise<ServerStreams> {
  const server = new ServerDriver(options, ports);
  await server.listen();
  return server;
}

interface Invitation {
  readonly rid: bigint;
  readonly secret: Uint8Array;
  readonly arrival: Deferred<StreamConnection>;
}

class ServerDriver implements ServerStreams {
  readonly #options: ServerStreamsOptions;
  readonly #ports: StreamPorts;
  readonly #key: StreamGreetingKey;
  readonly #exchanges: StreamExchanges;
  readonly #warnings: LogLimit;
  readonly #log: Logger;
  readonly #greeting: Set<Door> = new Set();
  readonly #invitations: Map<number, Invitation> = new Map();
  #lastTicket = 0;
  #isClosed = false;
  #listener: Listener | undefined;

  constructor(options: ServerStreamsOptions, ports: StreamPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#log = ports.log ?? SILENT_LOGGER;
    this.#warnings = new LogLimit(ports.clock, this.#log);
    this.#key = { identity: completeIdentity(options.identity), cryptography: ports.cryptography };
    this.#exchanges = new StreamExchanges(options, ports);
  }

  get address(): string {
    return this.#listener?.address ?? this.#options.listenAddress;
  }

  async listen(): Promise<void> {
    const { transport } = this.#ports;
    this.#listener = await transport.listen(this.#options.listenAddress, (stream) => this.#accept(stream));
  }

  async request(
    rid: bigint,
    command: number,
    body: Uint8Array,
    options: StreamRequestOptions = {},
  ): Promise<ReceivedStream> {
    const connection = await this.#invite(rid, options.signal);
    return this.#exchanges.ask(connection, { command, body }, options);
  }

  cut(rid: bigint): void {
    for (const invitation of this.#invitations.values())
      if (invitation.rid === rid) invitation.arrival.reject(cut("the member's session is over"));
    this.#exchanges.cut(rid, "the member's session is over");
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const door of this.#greeting) door.destroy();
    for (const { arrival } of this.#invitations.values()) arrival.reject(cut("this side was closed"));
    this.#exchanges.close();
    await this.#listener?.close();
  }

  stats(): StreamStats {
    return this.#exchanges.stats();
  }

  async #invite(rid: bigint, signal: AbortSignal | undefined): Promise<StreamConnection> {
    const invite = this.#options.invite?.bind(this.#options);
    if (invite === undefined) throw new TypeError("to ask members, streams need `invite`");
    if (this.#isClosed) throw cut("this side was closed");
    if (signal?.aborted === true) throw new CancelledError("the stream", { cause: signal.reason });
    if (!this.#exchanges.hasRoom(rid) || this.#invitations.size >= this.#exchanges.limits.streamsMax)
      throw new StreamError(
        "ERR_HOLDFAST_STREAM_LIMIT",
        "there are too many streams already; begin again when one has ended",
        "too many streams",
      );
    const { clock, random } = this.#ports;
    this.#lastTicket += 1;
    const number = this.#lastTicket;
    const secret = random.bytes(TICKET_SECRET_BYTES);
    const arrival = deferred<StreamConnection>();
    this.#invitations.set(number, { rid, secret, arrival });
    const onAbort = (): void => arrival.reject(new CancelledError("the stream", { cause: signal?.reason }));
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = clock.at(clock.now() + this.#exchanges.timing.peerTimeoutMs, () =>
      arrival.reject(cut("the member did not come in time")),
    );
    invite(rid, encodeTicket({ number, secret })).catch((cause: unknown) =>
      arrival.reject(cut("the member could not be called", cause)),
    );
    try {
      return await arrival.promise;
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      this.#invitations.delete(number);
    }
  }

  #accept(stream: ByteStream): void {
    if (this.#isClosed) {
      stream.destroy();
      return;
    }
    if (this.#greeting.size >= GREETING_CONNECTIONS_MAX) {
      const [oldest] = this.#greeting;
      oldest?.destroy();
    }
    const { clock, random } = this.#ports;
    const door: Door = new Door(stream, random.bytes(NONCE_BYTES), {
      judge: (body, nonce) => this.#judge(body, nonce),
      welcome: (refusal, nonces) => streamWelcome(refusal, this.#key, nonces),
      enter: (greeting) => this.#enter(stream, greeting),
      refused: (error) => this.#refused(stream, error),
      ended: () => {
        cancelTimer();
        this.#greeting.delete(door);
      },
    });
    this.#greeting.add(door);
    const cancelTimer: Cancel = clock.at(clock.now() + this.#exchanges.timing.greetingTimeoutMs, () =>
      door.destroy(),
    );
    door.open();
  }

  #judge(body: Uint8Array, nonce: Uint8Array): number {
    const refusal = judgeStreamGreeting(body, this.#key, nonce, ({ ticket, rid }) => {
      if (ticket === 0) return NO_TICKET.secret;
      const invitation = this.#invitations.get(ticket);
      return invitation?.rid === rid ? invitation.secret : undefined;
    });
    if (refusal !== 0) return refusal;
    const { rid, term } = StreamGreeting.decode(body);
    if (term !== this.#options.term) return REFUSAL.STALE_TERM;
    if (this.#options.hasSession?.(rid) === false) return REFUSAL.FORGOTTEN;
    return this.#exchanges.hasRoom(rid) ? 0 : REFUSAL.SERVER_FULL;
  }

  #enter(stream: ByteStream, { rid, ticket }: StreamGreeting): ByteStreamHandlers {
    const connection = this.#exchanges.open(stream, rid);
    const invitation = this.#invitations.get(ticket);
    // A ticket is good for one entry.
    this.#invitations.delete(ticket);
    if (invitation === undefined) void this.#exchanges.answer(connection, rid);
    else invitation.arrival.resolve(connection);
    return connection.handlers;
  }

  #refused(stream: ByteStream, reason: string): void {
    if (this.#isClosed) return;
    this.#exchanges.refusedCount += 1;
    this.#warnings.warn({ event: "stream.refused", peer: stream.peer, reason }, "stream refused");
  }
}

interface DoorEvents {
  judge(body: Uint8Array, nonce: Uint8Array): number;
  welcome(refusal: number, nonces: readonly [client: Uint8Array, server: Uint8Array]): Uint8Array;
  /** The greeting was accepted: gives who takes the bytes from here. */
  enter(greeting: StreamGreeting): ByteStreamHandlers;
  refused(reason: string): void;
  /** Nobody greets here any more. */
  ended(): void;
}

/** One connection until it has greeted. */
class Door {
  readonly #stream: ByteStream;
  readonly #nonce: Uint8Array;
  readonly #events: DoorEvents;
  readonly #due: DueFrame = new DueFrame(STREAM_FRAME.GREETING, StreamGreeting.sizeBytes);
  #inside: ByteStreamHandlers | undefined;
  #isShut = false;

  constructor(stream: ByteStream, nonce: Uint8Array, events: DoorEvents) {
    this.#stream = stream;
    this.#nonce = nonce;
    this.#events = events;
  }

  open(): void {
    this.#stream.start({
      data: (bytes) => this.#received(bytes),
      closed: (error) => {
        this.#shut();
        this.#inside?.closed(error);
      },
      drained: () => this.#inside?.drained(),
      place: () => this.#inside?.place?.(),
    });
    this.#stream.write(streamChallenge(this.#nonce));
  }

  destroy(): void {
    if (this.#isShut) return;
    this.#shut();
    this.#events.refused("it did not greet in time, or too many others came");
    this.#stream.destroy();
  }

  #received(bytes: Uint8Array): void {
    if (this.#inside !== undefined) this.#inside.data(bytes);
    else if (!this.#isShut) this.#greet(bytes);
  }

  #greet(bytes: Uint8Array): void {
    try {
      const taken = this.#due.take(bytes);
      const body = this.#due.payload();
      if (body === undefined) return;
      if (taken < bytes.length) throw broken("something came before the welcome");
      this.#judged(body);
    } catch (error) {
      this.#shut();
      this.#stream.destroy();
      this.#events.refused(error instanceof Error ? error.message : String(error));
    }
  }

  #judged(body: Uint8Array): void {
    const refusal = this.#events.judge(body, this.#nonce);
    const greeting = StreamGreeting.decode(body);
    this.#stream.write(this.#events.welcome(refusal, [greeting.nonce, this.#nonce]));
    this.#shut();
    if (refusal === 0) {
      this.#inside = this.#events.enter(greeting);
    } else {
      this.#events.refused(refusalName(refusal));
      this.#stream.close();
    }
  }

  #shut(): void {
    if (this.#isShut) return;
    this.#isShut = true;
    this.#events.ended();
  }
}
