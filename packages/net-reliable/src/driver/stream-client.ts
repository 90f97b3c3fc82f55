/*
 * The side that dials: a connection for each exchange, whoever asks in it.
 */
import { type ByteStreamHandlers, type ByteStream, CancelledError, deferred } from "@holdfast/environment";
import { refusalName } from "../codes.ts";
import { type IdentityOptions, NONCE_BYTES, completeIdentity } from "../greeting.ts";
import { DueFrame } from "../streams/due-frame.ts";
import { StreamError, cut } from "../streams/stream-errors.ts";
import { STREAM_FRAME, decodePart } from "../streams/stream-frames.ts";
import { StreamChallenge, StreamWelcome } from "../streams/stream-greeting-layouts.ts";
import {
  STREAM_VERSION,
  type StreamGreetingKey,
  judgeStreamWelcome,
  streamGreeting,
} from "../streams/stream-greeting.ts";
import { NO_TICKET, type StreamTicket, decodeTicket } from "../streams/stream-ticket.ts";
import type { StreamConnection } from "./stream-connection.ts";
import { StreamExchanges, type StreamSideOptions } from "./stream-exchanges.ts";
import type { ReceivedStream, StreamPorts, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/** What a member's streams are made of. */
export interface ClientStreamsOptions extends StreamSideOptions {
  /** What both sides must agree on, the key at least. */
  readonly identity: IdentityOptions;
  /** The member's session: who it is, and with which server. */
  readonly session: { readonly rid: bigint; readonly term: bigint };
  /** Where the server takes streams; undefined while there is none. */
  findServer(): Promise<string | undefined>;
}

/** The streams of a member. */
export interface ClientStreams {
  /**
   * Sends a request that carries a stream, or whose answer does, on a connection of its own. Nothing is ever sent again:
   * after an error the server may or may not have acted.
   *
   * @throws StreamError `_CUT` (also when there is no server), `_FAILED` with the code of the other side's error, `_BROKEN`,
   * `_LIMIT`, `_REFUSED`; CancelledError; whatever `source` throws.
   */
  request(command: number, body: Uint8Array, options?: StreamRequestOptions): Promise<ReceivedStream>;
  /**
   * Comes to be asked: answers one request of the server, whose ticket came by the session. Resolves when the server
   * has been greeted; the request goes to `handle`.
   *
   * @throws StreamError as `request` does.
   */
  come(ticket: Uint8Array): Promise<void>;
  /** Ends all exchanges. Idempotent. */
  close(): void;
  /** Counters for tests and metrics. */
  stats(): StreamStats;
}

/** Opens a member's streams. @throws RangeError when the key is too short. */
export function startClientStreams(options: ClientStreamsOptions, ports: StreamPorts): ClientStreams {
  return new ClientDriver(options, ports);
}

class ClientDriver implements ClientStreams {
  readonly #options: ClientStreamsOptions;
  readonly #ports: StreamPorts;
  readonly #key: StreamGreetingKey;
  readonly #exchanges: StreamExchanges;
  readonly #greeters: Set<Greeter> = new Set();
  #diallingCount = 0;
  #isClosed = false;

  constructor(options: ClientStreamsOptions, ports: StreamPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#key = { identity: completeIdentity(options.identity), cryptography: ports.cryptography };
    this.#exchanges = new StreamExchanges(options, ports);
  }

  async request(
    command: number,
    body: Uint8Array,
    options: StreamRequestOptions = {},
  ): Promise<ReceivedStream> {
    const connection = await this.#dial(NO_TICKET, options.signal);
    return this.#exchanges.ask(connection, { command, body }, options);
  }

  async come(ticket: Uint8Array): Promise<void> {
    const connection = await this.#dial(decodeTicket(ticket), undefined);
    void this.#exchanges.answer(connection, this.#options.session.rid);
  }

  close(): void {
    this.#isClosed = true;
    for (const greeter of this.#greeters) greeter.fail(cut("this side was closed"));
    this.#exchanges.close();
  }

  stats(): StreamStats {
    return this.#exchanges.stats();
  }

  async #dial(ticket: StreamTicket, signal: AbortSignal | undefined): Promise<StreamConnection> {
    const { streamsMax } = this.#exchanges.limits;
    if (this.#exchanges.stats().activeCount + this.#diallingCount >= streamsMax)
      throw new StreamError(
        "ERR_HOLDFAST_STREAM_LIMIT",
        `there are ${streamsMax} streams already; begin again when one has ended`,
        "too many streams",
      );
    this.#diallingCount += 1;
    try {
      return await this.#greeted(ticket, signal);
    } finally {
      this.#diallingCount -= 1;
    }
  }

  async #greeted(ticket: StreamTicket, signal: AbortSignal | undefined): Promise<StreamConnection> {
    this.#throwIfUnwanted(signal);
    const address = await this.#options.findServer();
    this.#throwIfUnwanted(signal);
    if (address === undefined) throw cut("there is no server now");
    const stream = await this.#connected(address, signal);
    const greeter = new Greeter(stream, {
      key: this.#key,
      ticket,
      nonce: this.#ports.random.bytes(NONCE_BYTES),
      session: this.#options.session,
      open: () => this.#exchanges.open(stream, this.#options.session.rid),
    });
    const end = (): void => greeter.fail(this.#unwanted(signal) ?? cut("the server did not greet in time"));
    const { clock } = this.#ports;
    const cancelTimer = clock.at(clock.now() + this.#exchanges.timing.greetingTimeoutMs, end);
    signal?.addEventListener("abort", end, { once: true });
    this.#greeters.add(greeter);
    try {
      return await greeter.connection;
    } catch (error) {
      this.#exchanges.refusedCount += 1;
      throw error;
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", end);
      this.#greeters.delete(greeter);
    }
  }

  async #connected(address: string, signal: AbortSignal | undefined): Promise<ByteStream> {
    let stream: ByteStream;
    try {
      stream = await this.#ports.transport.dial(address, signal);
    } catch (cause) {
      if (cause instanceof CancelledError) throw cause;
      throw cut(`${address} cannot be reached`, cause);
    }
    const error = this.#unwanted(signal);
    if (error === undefined) return stream;
    stream.destroy();
    throw error;
  }

  #throwIfUnwanted(signal: AbortSignal | undefined): void {
    const error = this.#unwanted(signal);
    if (error !== undefined) throw error;
  }

  #unwanted(signal: AbortSignal | undefined): Error | undefined {
    if (this.#isClosed) return cut("this side was closed");
    return signal?.aborted === true ? new CancelledError("the stream", { cause: signal.reason }) : undefined;
  }
}

interface GreeterParts {
  readonly key: StreamGreetingKey;
  readonly ticket: StreamTicket;
  readonly nonce: Uint8Array;
  readonly session: { readonly rid: bigint; readonly term: bigint };
  open(): StreamConnection;
}

/** Greets over a new byte stream, then leaves it to the exchange. */
class Greeter {
  readonly #stream: ByteStream;
  readonly #parts: GreeterParts;
  readonly #connection = deferred<StreamConnection>();
  #due: DueFrame = new DueFrame(STREAM_FRAME.CHALLENGE, StreamChallenge.sizeBytes);
  #challengeNonce: Uint8Array | undefined;
  #open: ByteStreamHandlers | undefined;

  constructor(stream: ByteStream, parts: GreeterParts) {
    this.#stream = stream;
    this.#parts = parts;
    stream.start({
      data: (bytes) => this.#received(bytes),
      closed: (error) => {
        this.#open?.closed(error);
        this.#connection.reject(cut("the server hung up before it greeted", error));
      },
      drained: () => this.#open?.drained(),
      place: () => this.#open?.place?.(),
    });
  }

  get connection(): Promise<StreamConnection> {
    return this.#connection.promise;
  }

  fail(error: unknown): void {
    if (this.#open !== undefined) return;
    this.#stream.destroy();
    this.#connection.reject(error);
  }

  #received(bytes: Uint8Array): void {
    if (this.#open !== undefined) {
      this.#open.data(bytes);
      return;
    }
    try {
      const rest = bytes.subarray(this.#due.take(bytes));
      const payload = this.#due.payload();
      if (payload === undefined) return;
      if (this.#challengeNonce === undefined) this.#answer(payload);
      else this.#welcomed(payload, this.#challengeNonce);
      if (rest.length > 0) this.#received(rest);
    } catch (error) {
      this.fail(error);
    }
  }

  #answer(payload: Uint8Array): void {
    const { key, ticket, nonce, session } = this.#parts;
    const challenge = decodePart(StreamChallenge, payload);
    if (challenge.version !== STREAM_VERSION) throw refused("WRONG_VERSION");
    this.#challengeNonce = challenge.nonce;
    this.#due = new DueFrame(STREAM_FRAME.WELCOME, StreamWelcome.sizeBytes);
    const { rid, term } = session;
    const caller = { rid, term, ticket: ticket.number, nonce };
    this.#stream.write(streamGreeting(caller, key, challenge.nonce, ticket.secret));
  }

  #welcomed(payload: Uint8Array, challengeNonce: Uint8Array): void {
    const { key, nonce } = this.#parts;
    const refusal = judgeStreamWelcome(payload, key, [nonce, challengeNonce]);
    if (refusal !== 0) throw refused(refusalName(refusal), (refusal & 0xfff0) === 0xff20);
    const connection = this.#parts.open();
    this.#open = connection.handlers;
    this.#connection.resolve(connection);
  }
}

function refused(name: string, isTemporary = false): StreamError {
  return isTemporary
    ? new StreamError(
        "ERR_HOLDFAST_STREAM_LIMIT",
        `the server takes no stream now: ${name}; begin again`,
        name,
      )
    : new StreamError(
        "ERR_HOLDFAST_STREAM_REFUSED",
        `the server refuses streams of this member: ${name}`,
        name,
      );
}
