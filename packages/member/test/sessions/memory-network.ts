/*
 * A clock that a test moves and a network in memory that it can cut, silence and clog.
 */
import {
  type ByteStream,
  type ByteStreamHandlers,
  type Cancel,
  type Clock,
  type Listener,
  type Transport,
  TransportError,
} from "@holdfast/environment";

interface Timer {
  readonly deadlineMs: number;
  readonly action: () => void;
}

/** Time stands still until {@link advance}. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers: Set<Timer> = new Set();

  now(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#now;
  }

  at(deadlineMs: number, action: () => void): Cancel {
    const timer = { deadlineMs, action };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  yield(): Promise<void> {
    return settle();
  }

  get timersCount(): number {
    return this.#timers.size;
  }

  /** Moves time, fires what falls due in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers)
        if (next === undefined || timer.deadlineMs < next.deadlineMs) next = timer;
      if (next === undefined || next.deadlineMs > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.deadlineMs);
      next.action();
      await settle();
    }
    this.#now = until;
  }
}

/** Resolves after every promise that could settle has. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const LATENCY_MS = 1;

/** Streams between addresses in memory, one millisecond apart. */
export class MemoryNetwork implements Transport {
  readonly #clock: Clock;
  readonly #listeners: Map<string, (stream: ByteStream) => void> = new Map();
  readonly streams: Set<MemoryStream> = new Set();
  /** Bytes vanish and nobody is told, as behind a dead switch. */
  isSilent = false;
  /** Every write answers "stop" until {@link unclog}. */
  isClogged = false;
  dialsCount = 0;

  constructor(clock: Clock) {
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
