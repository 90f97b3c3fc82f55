/*
 * One request and its answer, each with a body and a byte stream, on a connection of their own: what may come when.
 *
 * Each direction is a heading, data, a trailer; the asking side begins. A direction that fails before it had anything
 * to say is a trailer alone. Credit, signs of life, stop and abort come at any time. When both trailers have passed and the
 * other side has said that it has ours, the exchange is over: closing before could lose what is still on its way. Nothing
 * here reads a clock or does I/O.
 */
import { IncomingStream } from "./incoming.ts";
import { OutgoingStream } from "./outgoing.ts";
import { broken, failed } from "./stream-errors.ts";
import {
  STREAM_FRAME,
  type StreamHeader,
  StreamHeading,
  StreamTrailer,
  codeText,
  decodePart,
  headingFrame,
  streamFrame,
} from "./stream-frames.ts";
import type { StreamMemory } from "./stream-memory.ts";
import { StreamParser } from "./stream-parser.ts";

/** What an exchange tells its owner, in the order of the other side's bytes. */
export interface ExchangeEvents {
  /** The other side's request or answer; `body` is valid only during the call. */
  heading(command: number, body: Uint8Array): void;
  /** There is something to read, or the end. */
  readable(): void;
  /** There is credit, or no need of any more. */
  writable(): void;
  /** The other side's trailer has come: send {@link Exchange.receipt}. */
  finished(): void;
}

/** What an exchange is made of. */
export interface ExchangeParts {
  /** Bytes that may come and wait to be read. */
  readonly windowBytes: number;
  /** True if both sides are on one host. */
  readonly isLocal: boolean;
  readonly memory: StreamMemory;
  readonly events: ExchangeEvents;
}

/** One side of an exchange. */
export class Exchange {
  /** What comes. */
  readonly incoming: IncomingStream;
  /** What goes. */
  readonly outgoing: OutgoingStream;
  readonly #events: ExchangeEvents;
  readonly #parser: StreamParser;
  #hasHeading = false;
  #isReceived = false;

  constructor({ windowBytes, isLocal, memory, events }: ExchangeParts) {
    this.#events = events;
    this.incoming = new IncomingStream(windowBytes, memory);
    this.outgoing = new OutgoingStream(memory, isLocal);
    this.#parser = new StreamParser({
      begins: (header) => this.#begin(header),
      data: (bytes) => {
        const wasReadable = this.incoming.isReadable;
        this.incoming.take(bytes);
        if (!wasReadable && !this.incoming.isStopped) this.#events.readable();
      },
      frame: (header, payload) => this.#take(header, payload),
    });
  }

  /** True when both directions have ended: whatever ends the connection now ends nothing early. */
  get hasBothTrailers(): boolean {
    return this.incoming.isOver && this.outgoing.isOver;
  }

  /** True when the connection is of no more use to either side. */
  get isOver(): boolean {
    return this.hasBothTrailers && this.#isReceived;
  }

  /** Takes the connection's next bytes. @throws StreamError: the connection must be cut. */
  receive(bytes: Uint8Array): void {
    this.#parser.push(bytes);
  }

  /** Where the next bytes should be put if they can be put anywhere, until the next call; see `ByteStreamHandlers.place`. */
  place(): Uint8Array | undefined {
    return this.incoming.offer(this.#parser);
  }

  /** The heading of this side. @throws RangeError */
  heading(heading: StreamHeading, body: Uint8Array): Uint8Array {
    const frame = headingFrame(heading, body);
    this.outgoing.announce(heading.isSummed);
    return frame;
  }

  /** Tells the other side that its trailer is here. */
  receipt(): Uint8Array {
    return streamFrame(STREAM_FRAME.RECEIVED);
  }

  /** Tells the other side how far it may send. */
  credit(): Uint8Array {
    return streamFrame(STREAM_FRAME.CREDIT, this.incoming.grantedBytes);
  }

  #begin(header: StreamHeader): void {
    if (header.type !== STREAM_FRAME.DATA) return;
    if (!this.#hasHeading) throw broken("data comes before the heading");
    this.incoming.begin(header);
  }

  #take(header: StreamHeader, payload: Uint8Array): void {
    switch (header.type) {
      case STREAM_FRAME.HEADING:
        return this.#takeHeading(payload);
      case STREAM_FRAME.TRAILER:
        return this.#takeTrailer(header, payload);
      case STREAM_FRAME.CREDIT:
        this.outgoing.grant(header.position);
        return this.#events.writable();
      case STREAM_FRAME.STOP:
        this.outgoing.stop();
        return this.#events.writable();
      case STREAM_FRAME.RECEIVED:
        if (!this.outgoing.isOver) throw broken("a trailer was received that was not sent");
        this.#isReceived = true;
        return undefined;
      case STREAM_FRAME.ABORT:
        throw failed(codeText(payload));
    }
  }

  #takeHeading(payload: Uint8Array): void {
    if (this.#hasHeading || this.incoming.isOver) throw broken("a heading comes where none is due");
    this.#hasHeading = true;
    const { command, isSummed } = decodePart(StreamHeading, payload.subarray(0, StreamHeading.sizeBytes));
    this.incoming.announce(isSummed);
    this.#events.heading(command, payload.subarray(StreamHeading.sizeBytes));
  }

  #takeTrailer(header: StreamHeader, payload: Uint8Array): void {
    this.incoming.finish(header, decodePart(StreamTrailer, payload));
    if (!this.#hasHeading && this.incoming.error === undefined)
      throw broken("a trailer without error comes before the heading");
    this.#events.finished();
    this.#events.readable();
  }
}
