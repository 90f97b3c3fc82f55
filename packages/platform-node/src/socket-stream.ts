/*
 * A byte stream over one socket.
 *
 * Small writes are copied into a slab and leave together at the end of the turn: a thousand messages become one
 * system call. A slab is never written twice in the same place while the network may still read it; it starts
 * afresh, here or in another stream, only when the network has everything. The first few bytes of a turn wait beside
 * it, because often none follow: a thousand heartbeats at a time must not take a thousand slabs. Answers to bytes that
 * are being taken need not wait there: they leave before another stream has its turn.
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type ByteStream, type ByteStreamHandlers, invariant } from "@holdfast/environment";
import type { Polling } from "./polling.ts";
import type { ReadTarget } from "./reading.ts";
import { SLAB_BYTES, giveSlab, takeSlab } from "./slabs.ts";
import { LINGER_MS, QUEUE_HIGH_BYTES, QUEUE_LOW_BYTES } from "./stream-limits.ts";

/** Memory of what is often all that a stream says in a turn, a heartbeat or one message: it needs no slab. */
const SNIPPET_BYTES = 256;

const NOTHING = new Uint8Array(0);

/** The stream of one connected socket, which must be paused. */
export class SocketStream implements ByteStream {
  readonly peer: string;
  readonly isAuthenticated: boolean;
  readonly #socket: Socket;
  readonly #polling: Polling;
  readonly #readTarget: ReadTarget | undefined;
  #handlers: ByteStreamHandlers | undefined;
  /** Slabs whose bytes the network may still read; the last one is being filled. */
  readonly #slabs: Buffer[] = [];
  /** Start and end of what the last slab holds and the socket has not been given. */
  #pendingStart = 0;
  #pendingEnd = 0;
  /** Where what is too little for a slab waits; its memory comes from Node's pool and is sent at most once. */
  #snippet: Buffer | undefined;
  #snippetEnd = 0;
  #isFlushPlanned = false;
  /** Bytes are being taken: what they bring about leaves at their end. */
  #isTaking = false;
  #isFull = false;
  #isEnding = false;
  #hasEnded = false;
  #error: Error | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;

  /** @param readTarget - Of a socket that does not emit its bytes as data. */
  constructor(socket: Socket, peer: string, polling: Polling, readTarget?: ReadTarget) {
    this.peer = peer;
    this.isAuthenticated = socket instanceof TLSSocket;
    this.#socket = socket;
    this.#polling = polling;
    this.#readTarget = readTarget;
    socket.on("error", (error) => {
      this.#error ??= error;
      // A record of TLS that cannot be read is told, and nothing else: the socket would stay, dead, for ever.
      socket.destroy();
    });
    socket.on("close", () => this.#end());
  }

  get queuedBytes(): number {
    return this.#snippetEnd + this.#pendingEnd - this.#pendingStart + this.#socket.writableLength;
  }

  start(handlers: ByteStreamHandlers): void {
    invariant(this.#handlers === undefined, "a stream is started once");
    this.#handlers = handlers;
    if (this.#hasEnded) {
      process.nextTick(() => handlers.closed(this.#error));
      return;
    }
    const take = (bytes: Uint8Array): void => {
      this.#polling.arrived();
      if (this.#isEnding) return;
      this.#isTaking = true;
      try {
        handlers.data(bytes);
      } finally {
        this.#isTaking = false;
        this.#flush();
      }
    };
    if (this.#readTarget !== undefined) {
      this.#readTarget.take = take;
      this.#readTarget.place = () => handlers.place?.();
    }
    // A Buffer is a class of its own: code that gets now this, now that is compiled for both, and slow.
    else
      this.#socket.on("data", (bytes) => take(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)));
    this.#socket.resume();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnding || this.#hasEnded) return false;
    if (bytes.length > SLAB_BYTES) this.#send(bytes);
    else this.#gather(bytes);
    this.#isFull = this.queuedBytes > QUEUE_HIGH_BYTES;
    return !this.#isFull;
  }

  writeParts(parts: readonly Uint8Array[], written: () => void): boolean {
    if (this.#isEnding || this.#hasEnded) return true;
    this.#flush();
    const socket = this.#socket;
    const told = (): void => {
      this.#written();
      written();
    };
    const last = parts.length - 1;
    // Corked, they leave in one system call.
    socket.cork();
    parts.forEach((part, index) => {
      socket.write(part, this.isAuthenticated && index === last ? told : undefined);
    });
    socket.uncork();
    return !this.isAuthenticated && this.#isTaken(told);
  }

  flush(): void {
    this.#flush();
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
    if (
      this.#pendingStart < this.#pendingEnd ||
      this.#snippetEnd + bytes.length > SNIPPET_BYTES ||
      this.#isBrief()
    )
      this.#gatherInSlab(bytes);
    else {
      this.#snippet ??= Buffer.allocUnsafe(SNIPPET_BYTES);
      this.#snippet.set(bytes, this.#snippetEnd);
      this.#snippetEnd += bytes.length;
    }
    if (this.#isFlushPlanned || this.#isTaking) return;
    this.#isFlushPlanned = true;
    process.nextTick(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  /** True if a slab that is taken now is most likely given back at once. */
  #isBrief(): boolean {
    return this.#isTaking && this.#socket.writableLength === 0;
  }

  #gatherInSlab(bytes: Uint8Array): void {
    // There is a snippet, or there are bytes in the slab that were not flushed; never both.
    const neededBytes = this.#snippetEnd + bytes.length;
    let slab = this.#slabs[this.#slabs.length - 1];
    if (slab === undefined || this.#pendingEnd + neededBytes > SLAB_BYTES) {
      if (this.#snippetEnd === 0 || neededBytes > SLAB_BYTES) this.#flush();
      slab = takeSlab();
      this.#slabs.push(slab);
      this.#pendingStart = 0;
      this.#pendingEnd = 0;
    }
    if (this.#snippetEnd > 0) {
      this.#snippet?.copy(slab, this.#pendingEnd, 0, this.#snippetEnd);
      this.#pendingEnd += this.#snippetEnd;
      this.#snippetEnd = 0;
    }
    slab.set(bytes, this.#pendingEnd);
    this.#pendingEnd += bytes.length;
  }

  #send(bytes: Uint8Array): void {
    this.#flush();
    this.#give(Buffer.from(bytes));
  }

  #flush(): void {
    if (this.#isEnding || this.#hasEnded) return;
    const slab = this.#slabs[this.#slabs.length - 1];
    let part: Buffer;
    if (this.#snippet !== undefined && this.#snippetEnd > 0) {
      part = this.#snippet.subarray(0, this.#snippetEnd);
      this.#snippet = undefined;
      this.#snippetEnd = 0;
    } else if (slab !== undefined && this.#pendingStart < this.#pendingEnd) {
      part = slab.subarray(this.#pendingStart, this.#pendingEnd);
      this.#pendingStart = this.#pendingEnd;
    } else return;
    this.#give(part);
  }

  /** Mostly the network takes a write at once, and a callback would cost another turn of Node.js's own queues. */
  #give(part: Buffer): void {
    const socket = this.#socket;
    // TLS takes nothing at once.
    if (this.#isFull || this.isAuthenticated || socket.writableLength > 0) {
      socket.write(part, this.#written);
      return;
    }
    socket.write(part);
    this.#isTaken(this.#written);
  }

  /** True if the network has all that was written without a callback; otherwise `written` is called when it has. */
  #isTaken(written: () => void): boolean {
    if (this.#socket.writableLength === 0) {
      this.#giveBackSlabs();
      return true;
    }
    // It has taken a part, and tells of the rest by what follows.
    this.#socket.write(NOTHING, written);
    return false;
  }

  /** The network has taken one write. An error is told by the socket's own event. */
  readonly #written = (): void => {
    this.#giveBackSlabs();
    if (!this.#isFull || this.queuedBytes > QUEUE_LOW_BYTES || this.#isEnding || this.#hasEnded) return;
    this.#isFull = false;
    this.#handlers?.drained();
  };

  #giveBackSlabs(): void {
    // A socket that was destroyed calls back before the network has let go of its slabs.
    if (this.queuedBytes > 0 || this.#socket.destroyed) return;
    // Not by its length: to set that is a call into V8, at each write.
    for (let slab = this.#slabs.pop(); slab !== undefined; slab = this.#slabs.pop()) giveSlab(slab);
    this.#pendingStart = 0;
    this.#pendingEnd = 0;
  }

  #end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#linger);
    this.#handlers?.closed(this.#error);
  }
}
