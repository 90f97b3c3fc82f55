/*
 * A byte stream over whatever Node.js can read and write: a Duplex, or the two ends of a child's standard streams.
 */
import type { Readable, Writable } from "node:stream";
import { type ByteStream, type ByteStreamHandlers, invariant } from "@holdfast/environment";
import { Gathering } from "./gathering.ts";
import { LINGER_MS, QUEUE_HIGH_BYTES, QUEUE_LOW_BYTES } from "./stream-limits.ts";

/** Two directions of one connection. A Duplex is both. */
export interface PipeEnds {
  /** Bytes from the other side; nobody has read from it yet. */
  readonly readable: Readable;
  /** Bytes to the other side. */
  readonly writable: Writable;
  /** What the other side is called in messages. */
  readonly peer: string;
}

/**
 * A stream over two pipes.
 *
 * It ends when one of the two directions ends.
 *
 * @example
 * const child = spawn(process.execPath, ["worker.js"], { stdio: ["pipe", "pipe", "inherit"] });
 * const stream = pipeStream({ readable: child.stdout, writable: child.stdin, peer: `child ${child.pid}` });
 * // In the child, which writes nothing else to its standard output:
 * const stream = pipeStream({ readable: process.stdin, writable: process.stdout, peer: "parent" });
 */
export function pipeStream(ends: PipeEnds): ByteStream {
  return new PipeStream(ends);
}

class PipeStream implements ByteStream {
  readonly peer: string;
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #gathering: Gathering = new Gathering((bytes) => this.#send(bytes));
  #handlers: ByteStreamHandlers | undefined;
  #isFull = false;
  #isEnding = false;
  #isReadOver = false;
  #isWriteOver = false;
  #hasEnded = false;
  #error: Error | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor({ readable, writable, peer }: PipeEnds) {
    this.peer = peer;
    this.#readable = readable;
    this.#writable = writable;
    const fail = (error: Error): void => {
      this.#error ??= error;
      this.#cut();
    };
    readable.on("error", fail);
    writable.on("error", fail);
    readable.on("end", () => this.#readOver());
    readable.on("close", () => this.#readOver());
    writable.on("finish", () => this.#writeOver());
    writable.on("close", () => this.#writeOver());
  }

  get queuedBytes(): number {
    return this.#gathering.pendingBytes + this.#writable.writableLength;
  }

  start(handlers: ByteStreamHandlers): void {
    invariant(this.#handlers === undefined, "a stream is started once");
    this.#handlers = handlers;
    if (this.#hasEnded) {
      process.nextTick(() => handlers.closed(this.#error));
      return;
    }
    this.#readable.on("data", (bytes: Buffer) => {
      if (!this.#isEnding) handlers.data(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnding || this.#hasEnded) return false;
    if (bytes.length > 0) this.#gathering.add(bytes);
    this.#isFull = this.queuedBytes > QUEUE_HIGH_BYTES;
    return !this.#isFull;
  }

  close(): void {
    if (this.#isEnding || this.#hasEnded) return;
    this.#gathering.flush();
    this.#isEnding = true;
    this.#writable.end();
    // The end of the other side is seen only by reading up to it.
    this.#readable.resume();
    this.#linger = setTimeout(() => this.#cut(), LINGER_MS);
    this.#linger.unref();
  }

  destroy(): void {
    this.#cut();
  }

  #send(bytes: Uint8Array): void {
    if (!this.#isEnding && !this.#hasEnded) this.#writable.write(bytes, this.#written);
  }

  /** The other side, or the system, has taken one write. An error is told by an event. */
  readonly #written = (): void => {
    if (!this.#isFull || this.queuedBytes > QUEUE_LOW_BYTES || this.#isEnding || this.#hasEnded) return;
    this.#isFull = false;
    this.#handlers?.drained();
  };

  #readOver(): void {
    this.#isReadOver = true;
    this.close();
    this.#endIfOver();
  }

  #writeOver(): void {
    this.#isWriteOver = true;
    // Somebody ended it behind our back, or the other side is gone.
    if (!this.#isEnding) this.#cut();
    this.#endIfOver();
  }

  #cut(): void {
    this.#isEnding = true;
    this.#readable.destroy();
    this.#writable.destroy();
    // The standard streams of a process never close.
    process.nextTick(() => {
      this.#isReadOver = true;
      this.#isWriteOver = true;
      this.#endIfOver();
    });
  }

  #endIfOver(): void {
    if (!this.#isReadOver || !this.#isWriteOver || this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#linger);
    this.#handlers?.closed(this.#error);
  }
}
