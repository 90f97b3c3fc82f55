/*
 * A byte stream over one socket.
 *
 * Small writes are copied into a slab and leave together at the end of the turn: a thousand messages become one
 * system call. A slab is never written twice in the same place while the network may still read it; it starts
 * afresh only when the network has everything.
 */
import type { Socket } from "node:net";
import { type ByteStream, type ByteStreamHandlers, invariant } from "@holdfast/environment";

/** Small writes gather in slabs of this size; longer ones get memory of their own. */
const SLAB_BYTES = 64 * 1024;

/** More than this queued: `write` says stop. */
export const QUEUE_HIGH_BYTES: number = 1024 * 1024;

/** No more than this queued: `drained` says go on. */
const QUEUE_LOW_BYTES = 256 * 1024;

/** How long a closed stream waits for the other side to close too, so that what was sent is not cut off by a reset. */
const LINGER_MS = 1000;

/** The stream of one connected socket, which must be paused. */
export class SocketStream implements ByteStream {
  readonly peer: string;
  readonly #socket: Socket;
  #handlers: ByteStreamHandlers | undefined;
  #slab: Buffer = Buffer.alloc(0);
  /** Start and end of what the slab holds and the socket has not been given. */
  #pendingStart = 0;
  #pendingEnd = 0;
  #isFlushPlanned = false;
  #isFull = false;
  #isEnding = false;
  #hasEnded = false;
  #error: Error | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket, peer: string) {
    this.peer = peer;
    this.#socket = socket;
    socket.on("error", (error) => (this.#error = error));
    socket.on("close", () => this.#end());
  }

  get queuedBytes(): number {
    return this.#pendingEnd - this.#pendingStart + this.#socket.writableLength;
  }

  start(handlers: ByteStreamHandlers): void {
    invariant(this.#handlers === undefined, "a stream is started once");
    this.#handlers = handlers;
    if (this.#hasEnded) {
      process.nextTick(() => handlers.closed(this.#error));
      return;
    }
    this.#socket.on("data", (bytes) => {
      if (!this.#isEnding) handlers.data(bytes);
    });
    this.#socket.resume();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnding || this.#hasEnded) return false;
    if (bytes.length > SLAB_BYTES) this.#send(bytes);
    else this.#gather(bytes);
    this.#isFull = this.queuedBytes > QUEUE_HIGH_BYTES;
    return !this.#isFull;
  }

  close(): void {
    if (this.#isEnding || this.#hasEnded) return;
    this.#flush();
    this.#isEnding = true;
    this.#socket.end();
    // The end of the other side is seen only by reading up to it.
    this.#socket.resume();
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#linger.unref();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#socket.destroy();
  }

  #gather(bytes: Uint8Array): void {
    if (this.#pendingEnd + bytes.length > this.#slab.length) {
      this.#flush();
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#pendingStart = 0;
      this.#pendingEnd = 0;
    }
    this.#slab.set(bytes, this.#pendingEnd);
    this.#pendingEnd += bytes.length;
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    process.nextTick(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #send(bytes: Uint8Array): void {
    this.#flush();
    this.#socket.write(Buffer.from(bytes), this.#written);
  }

  #flush(): void {
    if (this.#pendingStart === this.#pendingEnd || this.#isEnding || this.#hasEnded) return;
    const part = this.#slab.subarray(this.#pendingStart, this.#pendingEnd);
    this.#pendingStart = this.#pendingEnd;
    this.#socket.write(part, this.#written);
  }

  /** The network has taken one write. An error is told by the socket's own event. */
  readonly #written = (): void => {
    const queued = this.queuedBytes;
    if (queued === 0) {
      this.#pendingStart = 0;
      this.#pendingEnd = 0;
    }
    if (!this.#isFull || queued > QUEUE_LOW_BYTES || this.#isEnding || this.#hasEnded) return;
    this.#isFull = false;
    this.#handlers?.drained();
  };

  #end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#linger);
    this.#handlers?.closed(this.#error);
  }
}
