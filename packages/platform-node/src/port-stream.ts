/*
 * A byte stream over a `MessagePort`, to another thread of this process.
 *
 * A port has no back-pressure: whatever is posted is kept until the other side takes it. So the reader posts back how
 * many bytes it has taken, and the writer counts what is under way.
 *
 * Messages: a `Uint8Array` is bytes; a number says how many bytes were taken; `"end"` says that no bytes follow.
 */
import type { MessagePort } from "node:worker_threads";
import { type ByteStream, type ByteStreamHandlers, invariant } from "@holdfast/environment";
import { Gathering } from "./gathering.ts";
import { LINGER_MS, QUEUE_HIGH_BYTES, QUEUE_LOW_BYTES } from "./stream-limits.ts";

/**
 * A stream over one end of a `MessageChannel`, whose other end has a stream too.
 *
 * @param peer - What the other end is called in messages.
 */
export function messagePortStream(port: MessagePort, peer: string): ByteStream {
  return new PortStream(port, peer);
}

class PortStream implements ByteStream {
  readonly peer: string;
  readonly #port: MessagePort;
  readonly #gathering: Gathering = new Gathering((bytes) => this.#post(bytes));
  #handlers: ByteStreamHandlers | undefined;
  /** Bytes posted that the other side has not taken. */
  #postedBytes = 0;
  #isFull = false;
  #isEnding = false;
  #hasEnded = false;
  #error: Error | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(port: MessagePort, peer: string) {
    this.peer = peer;
    this.#port = port;
    port.on("close", () => this.#end());
  }

  get queuedBytes(): number {
    return this.#gathering.pendingBytes + this.#postedBytes;
  }

  start(handlers: ByteStreamHandlers): void {
    invariant(this.#handlers === undefined, "a stream is started once");
    this.#handlers = handlers;
    if (this.#hasEnded) process.nextTick(() => handlers.closed(this.#error));
    // Listening starts the port; what was posted before has waited in it.
    else this.#port.on("message", (message: unknown) => this.#take(message, handlers));
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
    this.#port.postMessage("end");
    this.#linger = setTimeout(() => this.#port.close(), LINGER_MS);
    this.#linger.unref();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#port.close();
  }

  #take(message: unknown, handlers: ByteStreamHandlers): void {
    if (message instanceof Uint8Array) {
      this.#port.postMessage(message.length);
      if (!this.#isEnding) handlers.data(message);
    } else if (typeof message === "number" && message >= 0 && message <= this.#postedBytes) {
      this.#taken(message, handlers);
    } else if (message === "end") {
      // Whatever they had to say is here; nobody there listens any more.
      this.#port.close();
    } else {
      this.#error = new Error(`${this.peer} posted what is no part of a stream`);
      this.#port.close();
    }
  }

  #taken(countBytes: number, handlers: ByteStreamHandlers): void {
    this.#postedBytes -= countBytes;
    if (!this.#isFull || this.queuedBytes > QUEUE_LOW_BYTES || this.#isEnding) return;
    this.#isFull = false;
    handlers.drained();
  }

  #post(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#isEnding || this.#hasEnded) return;
    this.#postedBytes += bytes.length;
    this.#port.postMessage(bytes, [bytes.buffer]);
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#linger);
    this.#handlers?.closed(this.#error);
  }
}
