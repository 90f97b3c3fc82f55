import { type ByteStream, type ByteStreamHandlers, HoldfastError, deferred } from "@holdfast/environment";
import { COMMAND_CHALLENGE, COMMAND_STREAM_WELCOME, REFUSAL, isFinalRefusal, refusalName } from "../codes.ts";
import { FirstFrame } from "../first-frame.ts";
import { CHALLENGE_FRAME_BYTES, Challenge, PROTOCOL_VERSION, decodeGreetingPart } from "../greeting.ts";
import { StreamError, broken, cut, notNow, refused } from "../streams/stream-errors.ts";
import {
  STREAM_WELCOME_FRAME_BYTES,
  type StreamCaller,
  type StreamGreetingKey,
  judgeStreamWelcome,
  streamGreetingFrame,
} from "../streams/stream-greeting.ts";
import type { StreamTicket } from "../streams/stream-ticket.ts";
import type { StreamConnection } from "./stream-connection.ts";

/** What a greeter is made of. */
export interface StreamGreeterParts {
  readonly key: StreamGreetingKey;
  readonly ticket: StreamTicket;
  readonly caller: StreamCaller;
  /** Makes an exchange of a connection whose two ends have greeted each other. */
  open(stream: ByteStream): StreamConnection;
  /** It has given up. */
  failed(): void;
}

/** The dialling side of a stream's connection: greets over it, then leaves it to the exchange. */
export class StreamGreeter {
  readonly #parts: StreamGreeterParts;
  readonly #connection = deferred<StreamConnection>();
  #stream: ByteStream | undefined;
  #first: FirstFrame = new FirstFrame({ command: COMMAND_CHALLENGE, frameBytes: CHALLENGE_FRAME_BYTES });
  #challengeNonce: Uint8Array | undefined;
  #inside: ByteStreamHandlers | undefined;
  #hasFailed = false;

  constructor(parts: StreamGreeterParts) {
    this.#parts = parts;
  }

  /** Resolves when the server has accepted; rejects with what {@link fail} was told, or a StreamError. */
  get connection(): Promise<StreamConnection> {
    return this.#connection.promise;
  }

  /** The connection stands. */
  begin(stream: ByteStream): void {
    if (this.#hasFailed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    stream.start({
      data: (bytes) => this.#received(stream, bytes),
      closed: (error) => {
        this.#inside?.closed(error);
        this.fail(cut("the server hung up before it greeted", error));
      },
      drained: () => this.#inside?.drained(),
      place: () => this.#inside?.place?.(),
    });
  }

  /** Gives up, unless the exchange has begun. */
  fail(error: unknown): void {
    if (this.#inside !== undefined || this.#hasFailed) return;
    this.#hasFailed = true;
    this.#stream?.destroy();
    this.#connection.reject(error);
    this.#parts.failed();
  }

  #received(stream: ByteStream, bytes: Uint8Array): void {
    if (this.#inside !== undefined) this.#inside.data(bytes);
    else if (!this.#hasFailed) this.#greet(stream, bytes);
  }

  #greet(stream: ByteStream, bytes: Uint8Array): void {
    try {
      const rest = bytes.subarray(this.#first.take(bytes));
      const frame = this.#first.frame();
      if (frame === undefined) return;
      if (this.#challengeNonce === undefined) this.#answer(stream, frame.body);
      else this.#welcomed(stream, frame.body, this.#challengeNonce);
      if (rest.length > 0) this.#received(stream, rest);
    } catch (error) {
      this.fail(isForeign(error) ? broken(error.message) : error);
    }
  }

  #answer(stream: ByteStream, body: Uint8Array): void {
    const { key, ticket, caller } = this.#parts;
    const challenge = decodeGreetingPart(Challenge, body);
    if (challenge.version !== PROTOCOL_VERSION) throw refused(refusalName(REFUSAL.WRONG_VERSION));
    this.#challengeNonce = challenge.nonce;
    this.#first = new FirstFrame({
      command: COMMAND_STREAM_WELCOME,
      frameBytes: STREAM_WELCOME_FRAME_BYTES,
    });
    stream.write(streamGreetingFrame(caller, key, challenge.nonce, ticket.secret));
  }

  #welcomed(stream: ByteStream, body: Uint8Array, challengeNonce: Uint8Array): void {
    const { key, caller } = this.#parts;
    const refusal = judgeStreamWelcome(body, key, { client: caller.nonce, server: challengeNonce });
    if (refusal !== 0)
      throw isFinalRefusal(refusal) ? refused(refusalName(refusal)) : notNow(refusalName(refusal));
    const connection = this.#parts.open(stream);
    this.#inside = connection.handlers;
    this.#connection.resolve(connection);
  }
}

/** Errors of the frames that sessions are made of: of a stream they say the same under another code. */
function isForeign(error: unknown): error is Error {
  return error instanceof HoldfastError && !(error instanceof StreamError);
}
