/*
 * Both ends of byte streams without a network: what one side writes is kept, what it is to receive is given by hand, and all
 * random numbers are the same, so that a connection that was recorded fits the next one, too.
 */
import { type ByteStream, type ByteStreamHandlers, type Random, type Transport } from "@holdfast/environment";
import { ManualClock, MemorySessionPorts, settle } from "@holdfast/memory-ports";
import {
  type ClientStreams,
  type ServerStreams,
  type StreamHandler,
  type StreamPorts,
  startClientStreams,
  startServerStreams,
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
const ADDRESS = "memory:streams";
const IDENTITY = { key: new Uint8Array(32).fill(1), fsid: 7n };
const TERM = 2n;

/** The member of all streams. */
export const RID = 5n;

/** A server with streams, a member with streams, and nothing between them. */
export class StreamSides {
  readonly server: ServerStreams;
  readonly client: ClientStreams;
  /** Calls that the server has sent. */
  readonly tickets: Uint8Array[] = [];
  readonly #transport: HandTransport;
  readonly #clock: ManualClock;

  static async open(handle: StreamHandler): Promise<StreamSides> {
    const [transport, clock] = [new HandTransport(), new ManualClock()];
    const { cryptography } = new MemorySessionPorts();
    const ports = { transport, clock, cryptography, random: SAME_NUMBERS };
    const tickets: Uint8Array[] = [];
    const invite = (_rid: bigint, ticket: Uint8Array): Promise<void> => {
      tickets.push(ticket);
      return Promise.resolve();
    };
    const told = { identity: IDENTITY, limits: LIMITS, handle };
    const server = await startServerStreams(
      { ...told, listenAddress: ADDRESS, term: TERM, hasSession: (rid) => rid === RID, invite },
      ports,
    );
    return new StreamSides(server, ports, { tickets, handle });
  }

  private constructor(
    server: ServerStreams,
    ports: StreamPorts & { readonly transport: HandTransport; readonly clock: ManualClock },
    { tickets, handle }: { readonly tickets: Uint8Array[]; readonly handle: StreamHandler },
  ) {
    this.#transport = ports.transport;
    this.#clock = ports.clock;
    this.tickets = tickets;
    this.server = server;
    this.client = startClientStreams(
      {
        identity: IDENTITY,
        limits: LIMITS,
        handle,
        session: { rid: RID, term: TERM },
        findServer: () => Promise.resolve(ADDRESS),
      },
      ports,
    );
  }

  /** A connection to the server, from nobody. */
  knock(): HandStream {
    return this.#transport.knock();
  }

  /** The connection that the member dials, to nobody; asked for once after each time that it was made to dial. */
  async dialled(): Promise<HandStream> {
    await settle();
    const stream = this.#transport.dialled.shift();
    if (stream === undefined) throw new FindingError("the member did not dial");
    return stream;
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
      await settle();
    }
    near.destroy();
    far.destroy();
    return { toServer: near.written, toClient: far.written };
  }

  /** Ends what waits for a member that was called. */
  forgetCalls(): void {
    if (this.tickets.length > 0) this.server.cut(RID);
    this.tickets.length = 0;
  }

  /** @throws FindingError when anything is left of an exchange whose connection is gone. */
  checkRest(): void {
    const activeCount = this.server.stats().activeCount + this.client.stats().activeCount;
    if (activeCount !== 0) throw new FindingError(`${activeCount} exchanges are left without a connection`);
    if (this.#clock.timersCount !== 0) throw new FindingError(`${this.#clock.timersCount} timers are left`);
  }
}
