/*
 * A server, a member with a session, the network between them, and sources of bytes.
 */
import type { Random } from "@holdfast/environment";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import { expect } from "vitest";
import {
  type ClientSession,
  type ServerSessions,
  type StreamHandler,
  type StreamLimits,
  startClientSession,
  startServerSessions,
} from "../../src/index.ts";

export const identity: { readonly key: Uint8Array; readonly fsid: bigint } = {
  key: new Uint8Array(32).fill(1),
  fsid: 7n,
};
export const RID = 5n;
export const TERM = 2n;
export const COMMAND = 3;
export const body: Uint8Array = new Uint8Array([1, 2, 3]);

/** Milliseconds after which a promise is given up. */
const TURNS_MAX = 100_000;

/** A server, a member that has a session with it, and the network between them. */
export class World implements AsyncDisposable {
  readonly ports = new MemorySessionPorts();
  /** What the server drew at random, newest last. */
  readonly drawn: Uint8Array[] = [];
  client!: ClientSession;
  server!: ServerSessions;

  static async open(
    server: { readonly handle?: StreamHandler | undefined; readonly limits?: Partial<StreamLimits> },
    memberHandle?: StreamHandler,
  ): Promise<World> {
    const world = new World();
    const { transport, clock, cryptography, random } = world.ports;
    const { limits = {}, handle } = server;
    const withHandle = (handler: StreamHandler | undefined) =>
      handler === undefined ? {} : { handleStream: handler };
    const drawing: Random = {
      u32: () => random.u32(),
      u64: () => random.u64(),
      bytes: (count) => {
        const bytes = random.bytes(count);
        world.drawn.push(bytes);
        return bytes;
      },
    };
    world.server = await startServerSessions(
      {
        identity,
        listenAddress: "memory:server",
        term: TERM,
        streamLimits: { windowBytes: 4096, ...limits },
        ...withHandle(handle),
      },
      { transport, clock, cryptography, random: drawing },
    );
    world.client = startClientSession(
      {
        identity,
        rid: RID,
        address: world.server.address,
        streamLimits: { windowBytes: limits.windowBytes ?? 4096, ...("streamsMax" in limits ? limits : {}) },
        ...withHandle(memberHandle),
      },
      world.ports,
    );
    await clock.advance(10);
    return world;
  }

  /** True if no request ever came so far that its source was begun. */
  get neverBegan(): boolean {
    const { completedCount, brokenCount } = this.client.stats().streams;
    return completedCount + brokenCount === 0;
  }

  /** Lets time pass until the promise has settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const progress = { isSettled: false };
    const settled = (): void => {
      progress.isSettled = true;
    };
    promise.then(settled, settled);
    for (let turn = 0; turn < TURNS_MAX && !progress.isSettled; turn += 1) await this.ports.clock.advance(1);
    if (!progress.isSettled) throw new Error("it never settled");
    return promise;
  }

  /** Nothing goes on any more but the session, and when that is closed nothing at all: no connection, no timer. */
  async expectNothingLeft(stats: {
    readonly completedCount?: number;
    readonly brokenCount?: number;
  }): Promise<void> {
    const { clock, network } = this.ports;
    network.isSilent = false;
    await clock.advance(10_000);
    expect(this.client.stats().streams).toMatchObject({ activeCount: 0, ...stats });
    expect(this.server.stats()).toMatchObject({ greetingCount: 0, streams: { activeCount: 0 } });
    expect(network.streams.size).toBe(this.client.isConnected ? 2 : 0);
    this.client.close();
    await this.server.close();
    await clock.advance(10_000);
    expect(network.streams.size).toBe(0);
    expect(clock.timersCount).toBe(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.server.close();
  }
}

export async function* from(parts: readonly (Uint8Array | readonly number[])[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Uint8Array.from(part);
}

/** The bytes 0, 1, 2 …, one at a time, in the same memory each time. */
export async function* counting(count: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(1);
  for (let n = 0; n < count; n += 1) {
    piece[0] = n;
    yield piece;
  }
}

export async function* failing(count: number, error: Error): AsyncGenerator<Uint8Array> {
  yield* counting(count);
  throw error;
}

export async function* doubled(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield piece.map((byte) => 2 * byte);
}

export function waitingForever(): AsyncIterable<Uint8Array> {
  let end: (() => void) | undefined;
  const done = { done: true, value: undefined } as const;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise((resolve) => (end = () => resolve(done))),
      return: () => {
        end?.();
        return Promise.resolve(done);
      },
    }),
  };
}

export async function all(stream: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const piece of stream) bytes.push(...piece);
  return bytes;
}

export function flat(parts: readonly Uint8Array[]): number[] {
  return parts.flatMap((part) => [...part]);
}
