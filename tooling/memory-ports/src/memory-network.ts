import type { ManualClock } from "./manual-clock.ts";
import {
  type ByteStream,
  type ByteStreamHandlers,
  type Listener,
  type Transport,
  TransportError,
} from "@holdfast/environment";

const LATENCY_MS = 1;

/** Streams between addresses in memory, one millisecond apart. */
export class MemoryNetwork implements Transport {
  readonly #clock: ManualClock;
  readonly #listeners: Map<string, (stream: ByteStream) => void> = new Map();
  readonly streams: Set<MemoryStream> = new Set();
  /** Bytes vanish and nobody is told, as behind a dead switch. */
  isSilent = false;
  /** Every write answers "stop" until {@link unclog}. */
  isClogged = false;
  dialsCount = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  dial(address: string): Promise<ByteStream> {
    this.dialsCount += 1;
    const accept = this.#listeners.get(address);
    if (accept === undefined)
      return Promise.reject(new TransportError("ERR_HOLDFAST_DIAL", `nobody listens at ${address}`, address));
    const [near, far] = [new MemoryStream(this, address), new MemoryStream(this, "dialler")];
    near.other = far;
    far.other = near;
    this.streams.add(near).add(far);
    accept(far);
    return Promise.resolve(near);
  }

  listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener> {
    if (this.#listeners.has(address))
      return Promise.reject(
        new TransportError("ERR_HOLDFAST_ADDRESS_IN_USE", "somebody listens there", address),
      );
    this.#listeners.set(address, accept);
    return Promise.resolve({
      address,
      close: () => {
        this.#listeners.delete(address);
        return Promise.resolve();
      },
    });
  }

  /** All connections break. */
  cut(): void {
    for (const stream of this.streams) stream.destroy();
  }

  /** The network takes bytes again. */
  unclog(): void {
    this.isClogged = false;
    for (const stream of this.streams) stream.drain();
  }

  later(action: () => void): void {
    this.#clock.at(this.#clock.now() + LATENCY_MS, action);
  }
}

/** One end of a connection. */
export class MemoryStream implements ByteStream {
  readonly peer: string;
  readonly #network: MemoryNetwork;
  other: MemoryStream | undefined;
  #handlers: ByteStreamHandlers | undefined;
  #waiting: Uint8Array[] = [];
  #isEnded = false;
  readonly queuedBytes = 0;

  constructor(network: MemoryNetwork, peer: string) {
    this.#network = network;
    this.peer = peer;
  }

  start(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.#network.later(() => this.deliver(bytes));
    if (this.#isEnded) this.#network.later(() => handlers.closed());
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnded) return false;
    const copy = bytes.slice();
    const { other } = this;
    if (!this.#network.isSilent) this.#network.later(() => other?.deliver(copy));
    return !this.#network.isClogged;
  }

  drain(): void {
    if (!this.#isEnded) this.#handlers?.drained();
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    this.end();
    // A silent network does not tell the other side either.
    const { other } = this;
    if (!this.#network.isSilent) this.#network.later(() => other?.end());
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#network.streams.delete(this);
    this.#network.later(() => this.#handlers?.closed());
  }

  deliver(bytes: Uint8Array): void {
    if (this.#isEnded) return;
    if (this.#handlers === undefined) this.#waiting.push(bytes);
    else this.#handlers.data(bytes);
  }
}
