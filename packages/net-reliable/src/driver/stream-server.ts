/*
 * The byte streams of a server: takes connections whose greeting was accepted, each for one exchange, and asks members by
 * calling them through their sessions.
 */
import {
  type ByteStream,
  type ByteStreamHandlers,
  CancelledError,
  type Deferred,
  deferred,
} from "@holdfast/environment";
import { REFUSAL } from "../codes.ts";
import type { StreamVisit } from "../server-connection.ts";
import { cut, notNow } from "../streams/stream-errors.ts";
import { TICKET_SECRET_BYTES, encodeTicket } from "../streams/stream-ticket.ts";
import type { StreamConnection } from "./stream-connection.ts";
import { StreamExchanges, type StreamSideOptions } from "./stream-exchanges.ts";
import type { ReceivedStream, StreamPorts, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/** Calls a member through its session: the ticket must reach `ClientStreams.called`. */
export type Invite = (rid: bigint, ticket: Uint8Array) => Promise<unknown>;

interface Invitation {
  readonly rid: bigint;
  readonly secret: Uint8Array;
  readonly arrival: Deferred<StreamConnection>;
}

/** The streams of a server's sessions. */
export class ServerStreams {
  readonly #invite: Invite;
  readonly #ports: StreamPorts;
  readonly #exchanges: StreamExchanges;
  readonly #invitations: Map<number, Invitation> = new Map();
  #lastTicket = 0;
  #isClosed = false;

  constructor(options: StreamSideOptions, invite: Invite, ports: StreamPorts) {
    this.#invite = invite;
    this.#ports = ports;
    this.#exchanges = new StreamExchanges(options, ports);
  }

  /** The secret of a member's ticket; undefined if it has none such. */
  secretOf({ rid, ticket }: StreamVisit): Uint8Array | undefined {
    const invitation = this.#invitations.get(ticket);
    return invitation?.rid === rid ? invitation.secret : undefined;
  }

  /** 0, or why there is no room for one more stream of this member. */
  admit(rid: bigint): number {
    return this.#exchanges.hasRoom(rid) ? 0 : REFUSAL.SERVER_FULL;
  }

  /** Takes a connection that has greeted; gives who takes its bytes from here. */
  enter(stream: ByteStream, { rid, ticket }: StreamVisit): ByteStreamHandlers {
    const connection = this.#exchanges.open(stream, rid);
    const invitation = this.#invitations.get(ticket);
    // A ticket is good for one entry.
    this.#invitations.delete(ticket);
    if (invitation === undefined) void this.#exchanges.answer(connection, rid);
    else invitation.arrival.resolve(connection);
    return connection.handlers;
  }

  /** Asks a member; see `ServerSessions.requestStream`. */
  async request(
    rid: bigint,
    command: number,
    body: Uint8Array,
    options: StreamRequestOptions = {},
  ): Promise<ReceivedStream> {
    const connection = await this.#arrived(rid, options.signal);
    return this.#exchanges.ask(connection, { command, body }, options);
  }

  /** Ends all exchanges with a member: its session is over. */
  cut(rid: bigint): void {
    const error = cut("the member's session is over");
    for (const invitation of this.#invitations.values())
      if (invitation.rid === rid) invitation.arrival.reject(error);
    this.#exchanges.cut(rid, error);
  }

  /** Ends all exchanges. Idempotent. */
  close(): void {
    this.#isClosed = true;
    const error = cut("the server was closed");
    for (const { arrival } of this.#invitations.values()) arrival.reject(error);
    this.#exchanges.close(error);
  }

  /** Counters. */
  stats(): StreamStats {
    return this.#exchanges.stats();
  }

  async #arrived(rid: bigint, signal: AbortSignal | undefined): Promise<StreamConnection> {
    if (this.#isClosed) throw cut("the server was closed");
    if (signal?.aborted === true) throw new CancelledError("the stream", { cause: signal.reason });
    const { limits, timing } = this.#exchanges;
    if (!this.#exchanges.hasRoom(rid) || this.#invitations.size >= limits.streamsMax)
      throw notNow("too many streams");
    const { clock, random } = this.#ports;
    this.#lastTicket += 1;
    const number = this.#lastTicket;
    const secret = random.bytes(TICKET_SECRET_BYTES);
    const arrival = deferred<StreamConnection>();
    this.#invitations.set(number, { rid, secret, arrival });
    const onAbort = (): void => arrival.reject(new CancelledError("the stream", { cause: signal?.reason }));
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = clock.at(clock.now() + timing.peerTimeoutMs, () =>
      arrival.reject(cut("the member did not come in time")),
    );
    this.#invite(rid, encodeTicket({ number, secret })).catch((cause: unknown) =>
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
}
