/*
 * A server with streams, a member, the network between them, and sources of bytes.
 */
import { MemorySessionPorts } from "@holdfast/memory-ports";
import { expect } from "vitest";
import {
  type ClientStreams,
  type ServerStreams,
  type StreamHandler,
  type StreamLimits,
  startClientStreams,
  startServerStreams,
} from "../../src/index.ts";

export const identity: { readonly key: Uint8Array; readonly fsid: bigint } = {
  key: new Uint8Array(32).fill(1),
  fsid: 7n,
};
export const RID = 5n;
export const COMMAND = 3;
export const body: Uint8Array = new Uint8Array([1, 2, 3]);

/** Milliseconds after which a promise is given up. */
const TURNS_MAX = 100_000;

/** What a member has that may not fit the server. */
export interface MemberSettings {
  readonly identity?: typeof identity & { readonly formatHash?: bigint };
  readonly rid?: bigint;
  readonly term?: bigint;
}

/** A server, a member and the network between them. */
export class World implements AsyncDisposable {
  readonly ports = new MemorySessionPorts();
  readonly tickets: Uint8Array[] = [];
  client!: ClientStreams;
  server!: ServerStreams;
  isDeaf = false;

  static async open(
    server: { readonly handle?: StreamHandler | undefined; readonly limits?: Partial<StreamLimits> },
    memberHandle?: StreamHandler,
    member: MemberSettings = {},
  ): Promise<World> {
    const world = new World();
    const { limits = {}, handle } = server;
    const withHandle = (handler: StreamHandler | undefined) =>
      handler === undefined ? {} : { handle: handler };
    world.server = await startServerStreams(
      {
        identity,
        listenAddress: "memory:streams",
        term: 2n,
        limits: { windowBytes: 4096, ...limits },
        ...withHandle(handle),
        hasSession: (rid) => rid === RID,
        invite: async (_, ticket) => {
          world.tickets.push(ticket);
          if (!world.isDeaf) await world.client.come(ticket);
        },
      },
      world.ports,
    );
    world.client = startClientStreams(
      {
        identity: member.identity ?? identity,
        session: { rid: member.rid ?? RID, term: member.term ?? 2n },
        limits: { windowBytes: limits.windowBytes ?? 4096, ...("streamsMax" in limits ? limits : {}) },
        ...withHandle(memberHandle),
        findServer: () => Promise.resolve(world.server.address),
      },
      world.ports,
    );
    return world;
  }

  /** True if no request ever came so far that its source was begun. */
  get neverBegan(): boolean {
    const { completedCount, brokenCount } = this.client.stats();
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

  /** Nothing goes on any more: no exchange, no connection, no timer. */
  async expectNothingLeft(stats: {
    readonly completedCount?: number;
    readonly brokenCount?: number;
  }): Promise<void> {
    this.ports.network.isSilent = false;
    await this.ports.clock.advance(20_000);
    expect(this.client.stats()).toMatchObject({ activeCount: 0, ...stats });
    expect(this.server.stats().activeCount).toBe(0);
    expect(this.ports.network.streams.size).toBe(0);
    expect(this.ports.clock.timersCount).toBe(0);
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
