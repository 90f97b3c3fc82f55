/*
 * The byte streams of a member's session: a connection for each exchange, whoever asks in it, to the server that the session
 * is with.
 */
import {
  type Aborter,
  type ByteStream,
  CancelledError,
  type Deferred,
  deferred,
  makeAborter,
} from "@holdfast/environment";
import { CALL_ABORTED, CALL_OVERLOADED } from "../codes.ts";
import { NONCE_BYTES } from "../greeting.ts";
import type { Respond } from "../session-events.ts";
import { StreamError, cut, notNow } from "../streams/stream-errors.ts";
import type { StreamGreetingKey } from "../streams/stream-greeting.ts";
import { NO_TICKET, type StreamTicket, decodeTicket } from "../streams/stream-ticket.ts";
import type { StreamConnection } from "./stream-connection.ts";
import { StreamExchanges, type StreamSideOptions } from "./stream-exchanges.ts";
import { StreamGreeter } from "./stream-greeter.ts";
import type { ReceivedStream, StreamPorts, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/** The server that a session is with. */
export interface StreamServer {
  readonly address: string;
  readonly term: bigint;
}

const EMPTY = new Uint8Array(0);

/** The streams of a member's session. */
export class ClientStreams {
  readonly #rid: bigint;
  readonly #key: StreamGreetingKey;
  readonly #ports: StreamPorts;
  readonly #exchanges: StreamExchanges;
  /** Under way to a greeting. */
  readonly #greeters: Set<StreamGreeter> = new Set();
  /** Requests that wait for a server. */
  readonly #waiting: Set<Deferred<void>> = new Set();
  #server: StreamServer | undefined;
  #isReady = false;
  /** Exchanges of which there is no connection yet. */
  #beginningCount = 0;
  /** Why there are no streams any more. */
  #end: StreamError | undefined;

  constructor(rid: bigint, key: StreamGreetingKey, options: StreamSideOptions, ports: StreamPorts) {
    this.#rid = rid;
    this.#key = key;
    this.#ports = ports;
    this.#exchanges = new StreamExchanges(options, ports);
  }

  /** The session is with this server; requests go when it is ready. Streams with a former server end. */
  connected(server: StreamServer, isReady: boolean): void {
    const former = this.#server;
    this.#server = server;
    this.#isReady = isReady && this.#end === undefined;
    if (former !== undefined && former.term !== server.term)
      this.#cutAll(cut(`another server serves now, in term ${server.term}`));
    if (this.#isReady) for (const waiting of this.#waiting) waiting.resolve();
  }

  /** The session has no connection: streams go on, new requests wait. */
  disconnected(): void {
    this.#isReady = false;
  }

  /** The session is over: so are its streams, and all that would begin. Only the first call counts. */
  end(error: StreamError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#isReady = false;
    for (const waiting of this.#waiting) waiting.reject(error);
    this.#cutAll(error);
  }

  /** See `ClientSession.requestStream`. */
  async request(
    command: number,
    body: Uint8Array,
    options: StreamRequestOptions = {},
  ): Promise<ReceivedStream> {
    const { signal } = options;
    const connection = await this.#begin(async () => {
      await this.#ready(signal);
      return this.#greeted(NO_TICKET, signal);
    });
    return this.#exchanges.ask(connection, { command, body }, options);
  }

  /**
   * The server calls: dials to be asked, and answers the call when that has worked.
   *
   * @throws RangeError when these bytes are no ticket.
   */
  called(ticket: Uint8Array, respond: Respond): void {
    this.#come(decodeTicket(ticket)).then(
      () => respond(0, EMPTY),
      (error: unknown) => {
        const isFull = error instanceof StreamError && error.code === "ERR_HOLDFAST_STREAM_LIMIT";
        respond(isFull ? CALL_OVERLOADED : CALL_ABORTED, EMPTY);
      },
    );
  }

  /** Counters. */
  stats(): StreamStats {
    return this.#exchanges.stats();
  }

  async #come(ticket: StreamTicket): Promise<void> {
    const connection = await this.#begin(() => this.#greeted(ticket, undefined));
    void this.#exchanges.answer(connection, this.#rid);
  }

  async #begin(connect: () => Promise<StreamConnection>): Promise<StreamConnection> {
    const { limits } = this.#exchanges;
    if (this.#exchanges.stats().activeCount + this.#beginningCount >= limits.streamsMax)
      throw notNow("too many streams");
    this.#beginningCount += 1;
    try {
      return await connect();
    } finally {
      this.#beginningCount -= 1;
    }
  }

  /** Resolves when the session's requests go to its server. */
  async #ready(signal: AbortSignal | undefined): Promise<void> {
    while (!this.#isReady) {
      if (this.#end !== undefined) throw this.#end;
      if (signal?.aborted === true) throw cancelled(signal);
      const turn = deferred<void>();
      const onAbort = (): void => turn.reject(cancelled(signal));
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(turn);
      try {
        await turn.promise;
      } finally {
        this.#waiting.delete(turn);
        signal?.removeEventListener("abort", onAbort);
      }
    }
  }

  async #greeted(ticket: StreamTicket, signal: AbortSignal | undefined): Promise<StreamConnection> {
    if (this.#end !== undefined) throw this.#end;
    if (signal?.aborted === true) throw cancelled(signal);
    if (this.#server === undefined) throw cut("there is no server");
    const { address, term } = this.#server;
    const { clock, random } = this.#ports;
    const giveUp = makeAborter();
    const greeter = new StreamGreeter({
      key: this.#key,
      ticket,
      caller: { rid: this.#rid, term, ticket: ticket.number, nonce: random.bytes(NONCE_BYTES) },
      open: (stream) => this.#exchanges.open(stream, this.#rid),
      failed: () => giveUp.abort(),
    });
    const onAbort = (): void => greeter.fail(cancelled(signal));
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = clock.at(clock.now() + this.#exchanges.timing.greetingTimeoutMs, () =>
      greeter.fail(cut(`${address} did not greet in time`)),
    );
    this.#greeters.add(greeter);
    this.#dial(address, greeter, giveUp);
    try {
      return await greeter.connection;
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      this.#greeters.delete(greeter);
    }
  }

  #dial(address: string, greeter: StreamGreeter, giveUp: Aborter): void {
    this.#ports.transport.dial(address, giveUp.signal).then(
      (stream: ByteStream) => greeter.begin(stream),
      (cause: unknown) => greeter.fail(cut(`${address} cannot be reached`, cause)),
    );
  }

  #cutAll(error: StreamError): void {
    for (const greeter of this.#greeters) greeter.fail(error);
    this.#exchanges.close(error);
  }
}

function cancelled(signal: AbortSignal | undefined): CancelledError {
  return new CancelledError("the stream", { cause: signal?.reason });
}
