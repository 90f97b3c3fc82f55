/*
 * Both ends of byte streams without a network: what one side writes is kept, what it is to receive is given by hand, and all
 * random numbers are the same, so that a connection that was recorded fits the next one, too. Their session is carried on
 * when it is told to.
 */
import { type ByteStream, type ByteStreamHandlers, type Random, type Transport } from "@holdfast/environment";
import { ManualClock, MemorySessionPorts } from "@holdfast/memory-ports";
import {
  COMMAND_COME,
  type ClientSession,
  type ServerSessions,
  type SessionPorts,
  type StreamHandler,
  startClientSession,
  startServerSessions,
} from "@holdfast/net-reliable";
import { FindingError } from "../target.ts";

/** One end of a connection. */
export class HandStream implements ByteStream {
  readonly peer = "a peer under fire";
  readonly queuedBytes = 0;
  /** What this end has sent. */
  readonly written: Uint8Array[] = [];
  #handlers: ByteStreamHandlers | undefined;
  #hasEnded = false;

  start(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#hasEnded) this.written.push(bytes.slice());
    return true;
  }

  /** Gives this end bytes; into its own memory if `isPlaced`, as far as it offers any. */
  receive(bytes: Uint8Array, isPlaced: boolean): void {
    for (let offset = 0; offset < bytes.length && !this.#hasEnded;) {
      const place = isPlaced ? this.#handlers?.place?.() : undefined;
      const part = bytes.subarray(offset, offset + (place?.length ?? bytes.length));
      offset += part.length;
      place?.set(part);
      this.#handlers?.data(place === undefined ? part : place.subarray(0, part.length));
    }
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    void Promise.resolve().then(() => this.#handlers?.closed());
  }
}

/** Dials get the near end of a new connection, and whoever listens gets the far end of another one. */
class HandTransport implements Transport {
  readonly dialled: HandStream[] = [];
  #accept: ((stream: ByteStream) => void) | undefined;

  dial(): Promise<ByteStream> {
    const stream = new HandStream();
    this.dialled.push(stream);
    return Promise.resolve(stream);
  }

  listen(
    address: string,
    accept: (stream: ByteStream) => void,
  ): Promise<{ readonly address: string; close(): Promise<void> }> {
    this.#accept = accept;
    return Promise.resolve({ address, close: () => Promise.resolve() });
  }

  knock(): HandStream {
    const stream = new HandStream();
    this.#accept?.(stream);
    return stream;
  }
}

/** What all random bytes are. */
export const SAME_BYTE = 7;

const SAME_NUMBERS: Random = {
  u32: () => SAME_BYTE,
  u64: () => BigInt(SAME_BYTE),
  bytes: (count) => new Uint8Array(count).fill(SAME_BYTE),
};

/** Bytes that may come and wait to be read. */
const WINDOW_BYTES = 4096;
const LIMITS = { windowBytes: WINDOW_BYTES };
/** A member that is called dials when the call has come. */
const DIAL_TURNS_MAX = 5;
const ADDRESS = "memory:server";
const IDENTITY = { key: new Uint8Array(32).fill(1), fsid: 7n };
const TERM = 2n;

/** The member of all streams. */
export const RID = 5n;

/** A server and a member that have a session, and nothing between them for streams. */
export class StreamSides {
  readonly server: ServerSessions;
  readonly client: ClientSession;
  readonly #transport: HandTransport;
  readonly #clock: ManualClock;
  #session: { readonly near: HandStream; readonly far: HandStream } | undefined;
  /** Those of the session. */
  #timersCount = 0;

  static async open(handleStream: StreamHandler): Promise<StreamSides> {
    const [transport, clock] = [new HandTransport(), new ManualClock()];
    const { cryptography } = new MemorySessionPorts();
    const ports = { transport, clock, cryptography, random: SAME_NUMBERS };
    const told = { identity: IDENTITY, streamLimits: LIMITS, handleStream };
    const server = await startServerSessions({ ...told, listenAddress: ADDRESS, term: TERM }, ports);
    const client = startClientSession({ ...told, rid: RID, address: ADDRESS }, ports);
    const sides = new StreamSides(server, client, ports);
    await sides.#meet();
    return sides;
  }

  private constructor(
    server: ServerSessions,
    client: ClientSession,
    ports: SessionPorts & { readonly transport: HandTransport; readonly clock: ManualClock },
  ) {
    this.#transport = ports.transport;
    this.#clock = ports.clock;
    this.server = server;
    this.client = client;
  }

  /** Calls the member with that ticket. */
  call(ticket: Uint8Array): Promise<unknown> {
    return this.server.request(RID, COMMAND_COME, ticket);
  }

  /** Carries what the two say in their session. */
  carrySession(): void {
    if (this.#session === undefined) return;
    const { near, far } = this.#session;
    while (near.written.length + far.written.length > 0) {
      for (const bytes of near.written.splice(0)) far.receive(bytes, false);
      for (const bytes of far.written.splice(0)) near.receive(bytes, false);
    }
  }

  /** A connection to the server, from nobody. */
  knock(): HandStream {
    return this.#transport.knock();
  }

  /** The connection that the member dials, to nobody; asked for once after each time that it was made to dial. */
  async dialled(): Promise<HandStream> {
    for (let turn = 0; turn < DIAL_TURNS_MAX; turn += 1) {
      await calm();
      this.carrySession();
      const stream = this.#transport.dialled.shift();
      if (stream !== undefined) return stream;
    }
    throw new FindingError("the member did not dial");
  }

  /** Carries bytes between the member's next connection and the server until there are none; returns them all. */
  async connect(): Promise<{
    readonly toServer: readonly Uint8Array[];
    readonly toClient: readonly Uint8Array[];
  }> {
    const [near, far] = [await this.dialled(), this.knock()];
    for (
      let [toServer, toClient] = [0, 0];
      toServer < near.written.length || toClient < far.written.length;
    ) {
      const [fromNear, fromFar] = [near.written.slice(toServer), far.written.slice(toClient)];
      toServer += fromNear.length;
      toClient += fromFar.length;
      for (const bytes of fromNear) far.receive(bytes, false);
      for (const bytes of fromFar) near.receive(bytes, false);
      await calm();
    }
    near.destroy();
    far.destroy();
    return { toServer: near.written, toClient: far.written };
  }

  /** @throws FindingError when anything is left of an exchange whose connection is gone. */
  checkRest(): void {
    const stats = this.server.stats();
    const activeCount = stats.streams.activeCount + this.client.stats().streams.activeCount;
    if (activeCount !== 0) throw new FindingError(`${activeCount} exchanges are left without a connection`);
    if (stats.greetingCount !== 0)
      throw new FindingError(`${stats.greetingCount} greet without a connection`);
    const timersCount = this.#clock.timersCount - this.#timersCount;
    if (timersCount !== 0) throw new FindingError(`${timersCount} timers are left`);
    if (!this.client.isConnected || !this.server.isConnected(RID))
      throw new FindingError("the session was disturbed");
  }

  async #meet(): Promise<void> {
    this.#session = { near: await this.dialled(), far: this.knock() };
    this.carrySession();
    await calm();
    this.carrySession();
    this.#timersCount = this.#clock.timersCount;
  }
}

/** Resolves when every promise that can settle has, without a turn of the event loop, which costs more than most inputs. */
export function calm(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
