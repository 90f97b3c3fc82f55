/*
 * The two ends of one simulated stream.
 *
 * Each direction is a queue of chunks. An event of the link delivers the head, whichever event comes first, so bytes
 * stay in order while streams overtake each other. An end of stream is the last element of the queue; a reset
 * forgets a random tail of it.
 */
import type { ByteStream, ByteStreamHandlers } from "@holdfast/environment";
import type { SimulatedNetwork } from "./network.ts";
import type { SimulatedProcess } from "./process.ts";

/** Above this many bytes on their way, `write` asks its caller to wait. */
const STREAM_HIGH_WATER_BYTES = 64 * 1024;

/** A peer whose host vanished is noticed by the operating system after this time. */
const HALF_OPEN_MS = 10_000;

/** Connects two processes. */
export function connectStreams(
  network: SimulatedNetwork,
  link: {
    readonly dialer: SimulatedProcess;
    readonly listener: SimulatedProcess;
    readonly address: string;
  },
): [SimulatedStream, SimulatedStream] {
  const dialed = new SimulatedStream(network, link.dialer, link.address, true);
  const accepted = new SimulatedStream(network, link.listener, `sim://${link.dialer.host}`, false);
  dialed.attach(accepted);
  accepted.attach(dialed);
  return [dialed, accepted];
}

/** One end of a stream. */
export class SimulatedStream implements ByteStream {
  readonly peer: string;
  /** True at the end that dialed. */
  readonly isDialed: boolean;
  readonly #network: SimulatedNetwork;
  readonly #process: SimulatedProcess;
  #other: SimulatedStream | undefined;
  #handlers: ByteStreamHandlers | undefined;
  /** Chunks on their way to the other end. */
  readonly #outgoing: Uint8Array[] = [];
  /** Chunks that arrived before `start`. */
  #arrived: Uint8Array[] = [];
  #outgoingBytes = 0;
  #lastArrivalMs = 0;
  #isEnding = false;
  #isOver = false;
  #isFull = false;
  #isDestroyed = false;
  /** True: nothing that is sent arrives any more, and nobody is told. */
  #isForsaken = false;
  #heldCount = 0;
  #ending: { readonly error: Error | undefined } | undefined;

  constructor(network: SimulatedNetwork, process: SimulatedProcess, peer: string, isDialed: boolean) {
    this.#network = network;
    this.#process = process;
    this.peer = peer;
    this.isDialed = isDialed;
    process.onState((state, options) => {
      if (state === "dead") this.#die(options.isSilent === true);
    });
  }

  get host(): string {
    return this.#process.host;
  }

  /** Host of the other end. */
  get peerHost(): string {
    return this.#other?.host ?? "";
  }

  /** Name of the process at this end. */
  get processName(): string {
    return this.#process.name;
  }

  /** Name of the process at the other end. */
  get peerProcessName(): string {
    return this.#other?.processName ?? "";
  }

  get queuedBytes(): number {
    return this.#outgoingBytes;
  }

  /** Joins the two ends. For {@link connectStreams} only. */
  attach(other: SimulatedStream): void {
    this.#other = other;
  }

  start(handlers: ByteStreamHandlers): void {
    this.#process.post("message", () => {
      this.#handlers = handlers;
      const arrived = this.#arrived;
      this.#arrived = [];
      for (const bytes of arrived) if (!this.#isDestroyed) handlers.data(bytes);
      if (this.#ending !== undefined) this.#tellClosed();
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnding || this.#isOver || this.#process.isDead) return false;
    if (bytes.length > 0) {
      this.#network.world.trace.mixBytes(bytes);
      this.#network.tap?.(this, bytes);
      this.#outgoing.push(bytes.slice());
      this.#outgoingBytes += bytes.length;
      this.#send();
    }
    this.#isFull = this.#outgoingBytes > STREAM_HIGH_WATER_BYTES;
    return !this.#isFull;
  }

  close(): void {
    if (this.#isEnding || this.#isOver || this.#process.isDead) return;
    this.#isEnding = true;
    this.#send();
  }

  destroy(): void {
    if (this.#isOver || this.#process.isDead) return;
    this.#isDestroyed = true;
    this.#process.post("message", () => this.#finish(undefined));
    this.#abandon(new Error("the peer reset the stream"));
  }

  /** The network cuts the stream: both ends learn of it. */
  reset(): void {
    this.#abandon(new Error("the stream was reset"));
    this.#network.world.after(this.#network.delayMs(this.peerHost, this.host), () =>
      this.#process.deliver("message", () => this.#finish(new Error("the stream was reset"))),
    );
  }

  /** The connection dies without a word: this end believes in it until its operating system gives it up. */
  forsake(): void {
    if (this.#isOver || this.#isForsaken) return;
    this.#isForsaken = true;
    this.#network.world.after(HALF_OPEN_MS, () =>
      this.#process.deliver("message", () => this.#finish(new Error("the peer does not answer"))),
    );
  }

  /** Bytes or the end of the stream get to the other side. */
  #send(): void {
    const { world } = this.#network;
    const delay = this.#network.delayMs(this.host, this.peerHost);
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.nowMs + delay);
    world.after(this.#lastArrivalMs - world.nowMs, this.#arrive);
  }

  readonly #arrive = (): void => {
    const other = this.#other;
    if (other === undefined || this.#isOver) return;
    if (this.#isForsaken) {
      this.#outgoingBytes -= this.#outgoing.shift()?.length ?? 0;
      return;
    }
    if (!this.#network.isOpen(this.host, this.peerHost)) {
      this.#heldCount += 1;
      this.#network.whenOpened(this.#release);
      return;
    }
    const chunk = this.#nextChunk();
    if (chunk !== undefined) {
      other.#process.deliver("message", () => other.#hand(chunk));
      if (this.#isFull && this.#outgoingBytes <= STREAM_HIGH_WATER_BYTES / 2) this.#drain();
    } else if (this.#isEnding) {
      this.#isOver = true;
      other.#process.deliver("message", () => other.#finish(undefined));
      this.#process.deliver("message", () => this.#finish(undefined));
    }
  };

  /** The link is open again: as many events as it held back. */
  readonly #release = (): void => {
    const count = this.#heldCount;
    this.#heldCount = 0;
    for (let held = 0; held < count; held++) this.#arrive();
  };

  /** The head of the queue: cut, joined with its successor, or as it is. */
  #nextChunk(): Uint8Array | undefined {
    const { random, chunkingProbability } = this.#network;
    const head = this.#outgoing.shift();
    if (head === undefined) return undefined;
    let chunk = head;
    if (random.chance(chunkingProbability)) {
      const next = this.#outgoing[0];
      if (head.length > 1 && random.chance(0.5)) {
        const cut = random.between(1, head.length - 1);
        chunk = head.subarray(0, cut);
        this.#outgoing.unshift(head.subarray(cut));
        this.#send();
      } else if (next !== undefined) {
        this.#outgoing.shift();
        chunk = joined(head, next);
      }
    }
    this.#outgoingBytes -= chunk.length;
    return chunk;
  }

  #drain(): void {
    this.#isFull = false;
    this.#process.deliver("completion", () => {
      if (!this.#isEnding && this.#ending === undefined) this.#handlers?.drained();
    });
  }

  #hand(bytes: Uint8Array): void {
    if (this.#ending !== undefined || this.#isDestroyed) return;
    if (this.#handlers === undefined) this.#arrived.push(bytes);
    else this.#handlers.data(bytes);
  }

  #finish(error: Error | undefined): void {
    if (this.#ending !== undefined) return;
    this.#ending = { error };
    this.#isOver = true;
    this.#network.forget(this);
    if (this.#handlers !== undefined) this.#tellClosed();
  }

  #tellClosed(): void {
    const error = this.#ending?.error;
    if (error === undefined) this.#handlers?.closed();
    else this.#handlers?.closed(error);
  }

  /** This side is gone: a random tail of what it sent is lost, then the other side is told. */
  #abandon(error: Error): void {
    const other = this.#other;
    if (this.#isOver || other === undefined) return;
    this.#isOver = true;
    if (this.#isForsaken) return;
    const kept = this.#network.random.between(0, this.#outgoing.length);
    const chunks = this.#outgoing.splice(0).slice(0, kept);
    this.#outgoingBytes = 0;
    const { world } = this.#network;
    const end = (): void => {
      if (!this.#network.isOpen(this.host, this.peerHost)) {
        this.#network.whenOpened(end);
        return;
      }
      for (const chunk of chunks) other.#process.deliver("message", () => other.#hand(chunk));
      other.#process.deliver("message", () => other.#finish(error));
    };
    const delay = this.#network.delayMs(this.host, this.peerHost);
    world.after(Math.max(this.#lastArrivalMs - world.nowMs, delay), end);
  }

  #die(isSilent: boolean): void {
    this.#network.forget(this);
    if (!isSilent) {
      this.#abandon(new Error("the peer died"));
      return;
    }
    this.#isOver = true;
    const other = this.#other;
    if (other === undefined) return;
    this.#network.world.after(HALF_OPEN_MS, () =>
      other.#process.deliver("message", () => other.#finish(new Error("the peer does not answer"))),
    );
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(one.length + other.length);
  bytes.set(one);
  bytes.set(other, one.length);
  return bytes;
}
