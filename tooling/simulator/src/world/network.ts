/*
 * The network: hosts, addresses, and the state of the link from each host to each other host.
 *
 * Streams behave like TCP: bytes of one stream are never lost, doubled or out of order; chunks are cut and joined
 * anywhere, streams overtake each other, and whatever else goes wrong with a packet shows as delay or as a cut. A
 * blocked link holds everything back, ends of streams included, until it opens or somebody gives up.
 */
import { TransportError } from "@holdfast/environment";
import type { ByteStream } from "@holdfast/environment";
import type { SimulatedProcess } from "./process.ts";
import type { RandomStream } from "./random-stream.ts";
import { connectStreams, type SimulatedStream } from "./stream.ts";
import type { SimulatedWorld } from "./world.ts";

/** How the network behaves when nobody disturbs it. */
export interface NetworkOptions {
  /** One-way delay of a link, milliseconds: uniform in this range for each chunk. */
  readonly delayMinMs?: number;
  readonly delayMaxMs?: number;
  /** A connection that is not answered is given up after this time. Default 5000. */
  readonly dialTimeoutMs?: number;
  /** Probability that a chunk is cut in two, and that it is joined with the next. Default 0.1. */
  readonly chunkingProbability?: number;
}

/** Somebody listens here. */
export interface Endpoint {
  readonly process: SimulatedProcess;
  readonly accept: (stream: ByteStream) => void;
}

const DIAL_TIMEOUT_MS = 5000;
const SPIKE_PROBABILITY = 0.01;
const SPIKE_FACTOR = 20;

/** All hosts, links and streams of a world. */
export class SimulatedNetwork {
  readonly world: SimulatedWorld;
  readonly random: RandomStream;
  readonly dialTimeoutMs: number;
  readonly chunkingProbability: number;
  /** Shown what is given to each stream, as it is given. */
  tap: ((stream: SimulatedStream, bytes: Uint8Array) => void) | undefined;
  readonly #delayMinMs: number;
  readonly #delayMaxMs: number;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #blocked = new Set<string>();
  readonly #extraDelayMs = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  readonly #streams = new Set<SimulatedStream>();
  #portsUsed = 40_000;

  constructor(world: SimulatedWorld, options: NetworkOptions = {}) {
    this.world = world;
    this.random = world.random("network");
    this.#delayMinMs = options.delayMinMs ?? 0.05;
    this.#delayMaxMs = options.delayMaxMs ?? 1;
    this.dialTimeoutMs = options.dialTimeoutMs ?? DIAL_TIMEOUT_MS;
    this.chunkingProbability = options.chunkingProbability ?? 0.1;
  }

  /** Streams that are connected, each end counted. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Blocks the way from one host to another; the way back stays open. */
  block(from: string, to: string): void {
    this.#blocked.add(linkName(from, to));
    this.world.note("", `link ${from} > ${to} is blocked`);
  }

  /** Splits the hosts into sides that do not reach each other. */
  partition(sides: readonly (readonly string[])[]): void {
    for (const side of sides) {
      for (const other of sides) {
        if (side === other) continue;
        for (const from of side) for (const to of other) this.block(from, to);
      }
    }
  }

  /** Opens one link again; what waited goes on. */
  unblock(from: string, to: string): void {
    if (this.#blocked.delete(linkName(from, to))) this.#wake();
  }

  /** Opens and speeds up every link. */
  heal(): void {
    this.#blocked.clear();
    this.#extraDelayMs.clear();
    this.world.note("", "the network is healed");
    this.#wake();
  }

  /** Adds delay to the way from one host to another; 0 takes it away. */
  slow(from: string, to: string, extraMs: number): void {
    this.#extraDelayMs.set(linkName(from, to), extraMs);
  }

  /** Resets every stream between two hosts, in both directions; returns how many. */
  cut(one: string, other: string): number {
    let count = 0;
    for (const stream of this.#streams) {
      if (stream.host !== one || stream.peerHost !== other) continue;
      stream.reset();
      count += 1;
    }
    this.world.note("", `${count} streams between ${one} and ${other} are reset`);
    return count;
  }

  /** All streams between two hosts die without a word: both ends believe in them for ten seconds; returns how many. */
  forsake(one: string, other: string): number {
    let count = 0;
    for (const stream of this.#streams) {
      const { host, peerHost } = stream;
      if ((host !== one || peerHost !== other) && (host !== other || peerHost !== one)) continue;
      stream.forsake();
      count += 1;
    }
    this.world.note("", `${count} ends of streams between ${one} and ${other} are half-open`);
    return count;
  }

  /** True if bytes get from one host to another now. */
  isOpen(from: string, to: string): boolean {
    return this.#blocked.size === 0 || !this.#blocked.has(linkName(from, to));
  }

  /** Calls `retry` when links open. */
  whenOpened(retry: () => void): void {
    this.#waiting.add(retry);
  }

  /** A delay for one chunk on a link, milliseconds. */
  delayMs(from: string, to: string): number {
    const base = this.random.range(this.#delayMinMs, this.#delayMaxMs);
    const spike = this.random.chance(SPIKE_PROBABILITY) ? SPIKE_FACTOR : 1;
    const extra = this.#extraDelayMs.size === 0 ? 0 : (this.#extraDelayMs.get(linkName(from, to)) ?? 0);
    return base * spike + extra;
  }

  /**
   * Takes an address for a process.
   *
   * @throws {@link TransportError} `ERR_HOLDFAST_ADDRESS_IN_USE`, `ERR_HOLDFAST_ADDRESS_INVALID`,
   *   `ERR_HOLDFAST_LISTEN` when the host is another one.
   */
  bind(address: string, endpoint: Endpoint): string {
    const wanted = parseAddress(address);
    if (wanted === undefined) {
      throw new TransportError(
        "ERR_HOLDFAST_ADDRESS_INVALID",
        `not a simulated address: ${address}`,
        address,
      );
    }
    if (wanted.host !== endpoint.process.host && wanted.host !== "0") {
      throw new TransportError("ERR_HOLDFAST_LISTEN", `${address} belongs to another host`, address);
    }
    const bound = `sim://${endpoint.process.host}:${wanted.port === 0 ? this.#freePort() : wanted.port}`;
    const former = this.#endpoints.get(bound);
    if (former !== undefined && !former.process.isDead) {
      throw new TransportError("ERR_HOLDFAST_ADDRESS_IN_USE", `somebody listens at ${bound}`, bound);
    }
    this.#endpoints.set(bound, endpoint);
    return bound;
  }

  /** Gives an address back. */
  release(address: string, endpoint: Endpoint): void {
    if (this.#endpoints.get(address) === endpoint) this.#endpoints.delete(address);
  }

  /** Who listens at an address. */
  endpointAt(address: string): Endpoint | undefined {
    const endpoint = this.#endpoints.get(address);
    return endpoint?.process.isDead === true ? undefined : endpoint;
  }

  /** Connects two processes; the accepted end is the second. */
  connect(dialer: SimulatedProcess, listener: SimulatedProcess, address: string): [ByteStream, ByteStream] {
    const ends = connectStreams(this, { dialer, listener, address });
    for (const end of ends) this.#streams.add(end);
    return ends;
  }

  /** Forgets a stream that is over. For streams only. */
  forget(stream: SimulatedStream): void {
    this.#streams.delete(stream);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const retry of waiting) this.world.after(this.random.range(0, this.#delayMaxMs), retry);
  }

  #freePort(): number {
    this.#portsUsed += 1;
    return this.#portsUsed;
  }
}

/** Host of a simulated address, `sim://HOST:PORT`. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^sim:\/\/([^:/]+):(\d{1,5})$/.exec(address);
  const host = match?.[1];
  const port = Number(match?.[2]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

function linkName(from: string, to: string): string {
  return `${from}>${to}`;
}
