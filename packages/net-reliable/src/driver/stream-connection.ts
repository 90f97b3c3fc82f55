/*
 * Drives one exchange over one byte stream: moves bytes, keeps credit and time, and ends both directions together.
 *
 * Whatever ends the connection early ends every wait of this side with the same error: a stream is read to a trailer that
 * matches, or it throws.
 */
import {
  type ByteStream,
  type ByteStreamHandlers,
  type Cancel,
  type Clock,
  type Deferred,
  deferred,
  HoldfastError,
} from "@holdfast/environment";
import { Liveness } from "../liveness.ts";
import type { SessionTiming } from "../timing.ts";
import { Exchange } from "../streams/exchange.ts";
import { STOPPED } from "../streams/incoming.ts";
import { broken, cut, failureCode } from "../streams/stream-errors.ts";
import { STREAM_FRAME, type StreamHeading, codeBytes, streamFrame } from "../streams/stream-frames.ts";
import { streamMemory } from "../streams/stream-memory.ts";
import type { StreamPorts } from "./stream-ports.ts";

/** What a connection is made of. */
export interface StreamConnectionParts {
  readonly stream: ByteStream;
  readonly ports: StreamPorts;
  readonly timing: SessionTiming;
  /** Bytes that may come and wait to be read. */
  readonly windowBytes: number;
  /** True if both sides are on one host. */
  readonly isLocal: boolean;
}

/** What the other side sent first. */
export interface Heading {
  readonly command: number;
  readonly body: Uint8Array;
}

/** One exchange and its connection, greeted already. */
export class StreamConnection {
  /** The other side's heading; rejects with what ended the exchange, or made the other side fail, before it. */
  readonly heading: Promise<Heading>;
  /** Resolves when the exchange is over: with undefined if it ran to its end, else with what ended it. */
  readonly ended: Promise<Error | undefined>;
  /** True if both sides are on one host, with nothing but a checksum to notice a changed byte. */
  readonly isLocal: boolean;
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #timing: SessionTiming;
  readonly #exchange: Exchange;
  readonly #headingArrives: Deferred<Heading> = deferred();
  readonly #ends: Deferred<Error | undefined> = deferred();
  #readable: Deferred<void> | undefined;
  #writable: Deferred<void> | undefined;
  #source: AsyncIterator<Uint8Array> | undefined;
  #error: Error | undefined;
  #hasEnded = false;
  #isBlocked = false;
  readonly #liveness: Liveness;
  #cancelTick: Cancel = () => {};

  constructor({ stream, ports, timing, windowBytes, isLocal }: StreamConnectionParts) {
    this.isLocal = isLocal;
    this.#stream = stream;
    this.#clock = ports.clock;
    this.#timing = timing;
    this.heading = this.#headingArrives.promise;
    this.ended = this.#ends.promise;
    // Whoever does not wait for it learns of the end by other ways.
    this.heading.catch(() => {});
    this.#liveness = new Liveness(timing, ports.clock.now());
    this.#exchange = new Exchange({
      windowBytes,
      isLocal,
      memory: streamMemory(),
      events: {
        heading: (command, body) => this.#headingArrives.resolve({ command, body: body.slice() }),
        readable: () => this.#wakeReader(),
        writable: () => {
          if (this.#exchange.outgoing.isStopped) this.#dropSource();
          this.#wakeWriter();
        },
        finished: () => this.#write(this.#exchange.receipt()),
      },
    });
    this.#write(this.#exchange.credit());
    this.#armTick();
  }

  /** What its byte stream is to call, from now on. */
  get handlers(): ByteStreamHandlers {
    return {
      data: (bytes) => this.#received(bytes),
      place: () => this.#exchange.place(),
      closed: (error) => {
        this.#exchange.incoming.disconnected();
        this.#lost(cut("the connection ended", error));
      },
      drained: () => {
        this.#isBlocked = false;
        this.#wakeWriter();
      },
    };
  }

  /** What ended the exchange early. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Sends this side's heading. @throws RangeError when the body is too long or the command no 16-bit number. */
  sendHeading(heading: StreamHeading, body: Uint8Array): void {
    this.#write(this.#exchange.heading(heading, body));
  }

  /** Sends all of `source`, then the trailer. Never rejects: a failing source is told to the other side, and given back. */
  async send(source: AsyncIterable<Uint8Array>): Promise<unknown> {
    const pieces = source[Symbol.asyncIterator]();
    // A source that waits for something is told as soon as nobody wants it any more.
    this.#source = pieces;
    try {
      for (;;) {
        const piece = this.#isWanted ? await pieces.next() : undefined;
        if (piece?.done === true) break;
        if (piece !== undefined && (await this.#sendPiece(piece.value))) continue;
        this.#dropSource();
        break;
      }
      this.#finishSending(this.#exchange.outgoing.isStopped ? STOPPED : "");
      return undefined;
    } catch (error) {
      this.fail(error);
      return error;
    } finally {
      this.#source = undefined;
    }
  }

  /** Ends this side's direction with an error. */
  fail(error: unknown): void {
    this.#finishSending(failureCode(error));
  }

  /** The next piece of the other side's stream; see `ReceivedStream.stream`. */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { incoming } = this.#exchange;
    if (incoming.release()) this.#write(this.#exchange.credit());
    for (;;) {
      if (incoming.isStopped) return this.#throwOrEnd();
      const piece = incoming.read();
      if (piece !== undefined) return { done: false, value: piece };
      if (incoming.isOver) {
        incoming.stop();
        return this.#throwOrEnd();
      }
      if (this.#readable !== undefined) throw new TypeError("a stream is read by one at a time");
      this.#readable = deferred();
      await this.#readable.promise;
    }
  }

  /** Wants no more of the other side's stream. */
  stopReading(): void {
    const { incoming } = this.#exchange;
    const wasStopped = incoming.isStopped;
    incoming.stop();
    // Whoever wants no more looks at nothing any more.
    incoming.release();
    if (wasStopped) return;
    if (!incoming.isOver) this.#write(streamFrame(STREAM_FRAME.STOP));
    this.#wakeReader();
  }

  /** Ends the exchange at once; the other side is told the error's code. */
  abort(error: Error): void {
    if (this.#hasEnded) return;
    this.#write(streamFrame(STREAM_FRAME.ABORT, 0, codeBytes(failureCode(error))));
    this.#stream.close();
    this.#end(error);
  }

  #throwOrEnd(): IteratorResult<Uint8Array, undefined> {
    const { incoming } = this.#exchange;
    const error = incoming.isOver ? incoming.error : this.#error;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  /** False when nobody will read what is sent. */
  get #isWanted(): boolean {
    return !this.#hasEnded && !this.#exchange.outgoing.isStopped;
  }

  /** False when nobody wants more. */
  async #sendPiece(piece: Uint8Array): Promise<boolean> {
    const { outgoing } = this.#exchange;
    let offset = 0;
    while (offset < piece.length) {
      const bytes = this.#isBlocked ? 0 : outgoing.frameBytes(piece.length - offset);
      if (!this.#isWanted) return false;
      if (bytes === 0) {
        this.#writable ??= deferred();
        await this.#writable.promise;
        continue;
      }
      const end = offset + bytes;
      const payload = offset === 0 && end === piece.length ? piece : piece.subarray(offset, end);
      const writing = outgoing.data(payload, (header) => this.#writeData(header, payload));
      // What the network took at once is not waited for: the next frame goes in the same turn, as far as credit allows.
      if (writing !== undefined) await writing;
      offset = end;
    }
    return this.#isWanted;
  }

  #writeData(header: Uint8Array, payload: Uint8Array): Promise<void> | undefined {
    this.#liveness.sent(this.#clock.now());
    const stream = this.#stream;
    if (stream.writeParts !== undefined) {
      const written = deferred<void>();
      return stream.writeParts([header, payload], () => written.resolve()) ? undefined : written.promise;
    }
    stream.write(header);
    if (!stream.write(payload)) this.#isBlocked = true;
    return undefined;
  }

  #finishSending(code: string): void {
    const { outgoing } = this.#exchange;
    if (this.#hasEnded || outgoing.isOver) return;
    this.#write(outgoing.trailer(code));
    this.#endIfOver();
  }

  #write(bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#liveness.sent(this.#clock.now());
    if (!this.#stream.write(bytes)) this.#isBlocked = true;
  }

  #received(bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#liveness.heard(this.#clock.now());
    try {
      this.#exchange.receive(bytes);
    } catch (error) {
      this.#stream.destroy();
      this.#end(error instanceof HoldfastError ? error : broken("its reader failed"));
      if (!(error instanceof HoldfastError)) throw error;
      return;
    }
    const { incoming } = this.#exchange;
    if (incoming.error !== undefined) this.#headingArrives.reject(incoming.error);
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (!this.#exchange.isOver || this.#hasEnded) return;
    this.#stream.close();
    this.#end(undefined);
  }

  /** The connection is gone, which ends nothing early when both trailers have passed. */
  #lost(error: Error): void {
    this.#end(this.#exchange.hasBothTrailers ? undefined : error);
  }

  #end(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#error = error;
    this.#cancelTick();
    const { incoming } = this.#exchange;
    // What came whole is still read to its end.
    if (!incoming.isOver) incoming.stop();
    this.#headingArrives.reject(error ?? cut("the other side sent nothing"));
    this.#dropSource();
    this.#wakeReader();
    this.#wakeWriter();
    this.#ends.resolve(error);
  }

  /** Ends the source, once; what it says to that interests nobody. */
  #dropSource(): void {
    const pieces = this.#source;
    this.#source = undefined;
    pieces?.return?.().catch(() => {});
  }

  #wakeReader(): void {
    const waiting = this.#readable;
    this.#readable = undefined;
    waiting?.resolve();
  }

  #wakeWriter(): void {
    const waiting = this.#writable;
    this.#writable = undefined;
    waiting?.resolve();
  }

  #armTick(): void {
    this.#cancelTick = this.#clock.at(this.#clock.now() + this.#timing.heartbeatMs, () => this.#tick());
  }

  #tick(): void {
    const verdict = this.#liveness.tick(this.#clock.now());
    if (verdict === "dead") {
      this.#stream.destroy();
      this.#lost(cut(`nothing was heard for ${this.#timing.peerTimeoutMs} ms`));
      return;
    }
    if (verdict === "beat" && !this.#isBlocked) this.#write(streamFrame(STREAM_FRAME.ALIVE));
    this.#armTick();
  }
}
