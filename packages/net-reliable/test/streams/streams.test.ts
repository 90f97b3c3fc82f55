/*
 * Streams between a member and a server, over a network in memory whose clock is moved.
 */
import { DeviceError } from "@holdfast/environment";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ClientStreams,
  type ServerStreams,
  type StreamHandler,
  type StreamLimits,
  startClientStreams,
  startServerStreams,
} from "../../src/index.ts";

const identity = { key: new Uint8Array(32).fill(1), fsid: 7n };
const RID = 5n;
const COMMAND = 3;
const body = new Uint8Array([1, 2, 3]);

describe("a request with a stream", () => {
  test("brings both bodies and both streams, whatever their pieces", () =>
    fc.assert(
      fc.asyncProperty(
        pieces(),
        pieces(),
        fc.integer({ min: 1, max: 64 }),
        async (asked, answered, windowBytes) => {
          const received: number[] = [];
          await using world = await World.open({
            limits: { windowBytes },
            handle: async ({ stream, command, rid, body: asking }) => {
              for await (const piece of stream) received.push(...piece);
              return { body: new Uint8Array([command, Number(rid), ...asking]), stream: from(answered) };
            },
          });

          const answer = await world.run(world.client.request(COMMAND, body, { source: from(asked) }));

          expect([...answer.body]).toEqual([COMMAND, Number(RID), 1, 2, 3]);
          expect(await world.run(all(answer.stream))).toEqual(flat(answered));
          expect(received).toEqual(flat(asked));
          await world.expectNothingLeft({ completedCount: 1, brokenCount: 0 });
        },
      ),
      { numRuns: 30 },
    ));

  test("may be answered while it still goes on: a transformation in the middle of two streams", async () => {
    await using world = await World.open({
      limits: { windowBytes: 16 },
      handle: async ({ stream }) => ({ body, stream: doubled(stream) }),
    });

    const answer = await world.run(world.client.request(COMMAND, body, { source: counting(200) }));

    expect(await world.run(all(answer.stream))).toEqual(
      Array.from({ length: 200 }, (_, n) => (2 * n) & 0xff),
    );
  });

  test("goes from the server to a member, which is called and dials", async () => {
    await using world = await World.open({}, async ({ stream }) => {
      const sum = (await all(stream)).reduce((left, right) => left + right, 0);
      return { body: new Uint8Array([sum]), stream: counting(3) };
    });

    const answer = await world.run(world.server.request(RID, COMMAND, body, { source: counting(5) }));

    expect([...answer.body]).toEqual([10]);
    expect(await world.run(all(answer.stream))).toEqual([0, 1, 2]);
    await world.expectNothingLeft({ completedCount: 1, brokenCount: 0 });
  });
});

describe("back-pressure", () => {
  test("a source is ahead of its reader by a window and a piece, no more", async () => {
    let madeBytes = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        madeBytes += 8;
        yield new Uint8Array(8);
      }
    }
    await using world = await World.open({
      limits: { windowBytes: 64 },
      handle: async () => ({ body, stream: endless() }),
    });
    const answer = await world.run(world.client.request(COMMAND, body));

    await world.ports.clock.advance(3000);
    expect(madeBytes).toBeLessThanOrEqual(64 + 8);
    const first = await world.run(answer.stream.next());
    expect(first.value?.length).toBeLessThanOrEqual(64);
    await world.run(answer.stream.next());
    await world.ports.clock.advance(3000);

    expect(madeBytes).toBeGreaterThan(64 + 8);
    expect(madeBytes).toBeLessThanOrEqual(2 * 64 + 8);
  });

  test("an exchange that waits for its reader lives on: signs of life pass", async () => {
    await using world = await World.open({
      limits: { windowBytes: 4 },
      handle: async () => ({ body, stream: counting(10) }),
    });
    const answer = await world.run(world.client.request(COMMAND, body));

    await world.ports.clock.advance(60_000);

    expect(await world.run(all(answer.stream))).toHaveLength(10);
  });
});

describe("errors", () => {
  const deviceError = new DeviceError("ERR_HOLDFAST_DEVICE_READ", "secret words", {
    device: "d",
    offsetBytes: 0n,
    lengthBytes: 1,
  });
  const remote = { code: "ERR_HOLDFAST_STREAM_FAILED", facts: { reason: "ERR_HOLDFAST_DEVICE_READ" } };

  test("of the handler reach who asked as their code, and never as their words", async () => {
    await using world = await World.open({ handle: () => Promise.reject(deviceError) });

    const asking = world.run(world.client.request(COMMAND, body));

    await expect(asking).rejects.toMatchObject(remote);
    await expect(asking).rejects.not.toThrow("secret");
    await world.expectNothingLeft({});
  });

  test("in the middle of an answer come after what went before", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: failing(5, deviceError) }) });
    const answer = await world.run(world.client.request(COMMAND, body));
    const read: number[] = [];

    const reading = world.run(
      (async () => {
        for await (const piece of answer.stream) read.push(...piece);
      })(),
    );

    await expect(reading).rejects.toMatchObject(remote);
    expect(read).toEqual([0, 1, 2, 3, 4]);
    await world.expectNothingLeft({ brokenCount: 0 });
  });

  test("in the middle of a request reach the handler as their code, and who asked as they are", async () => {
    let seen: unknown;
    await using world = await World.open({
      handle: async ({ stream }) => {
        try {
          await all(stream);
        } catch (error) {
          seen = error;
          throw error;
        }
        return { body };
      },
    });

    const asking = world.run(world.client.request(COMMAND, body, { source: failing(3, deviceError) }));

    await expect(asking).rejects.toBe(deviceError);
    expect(seen).toMatchObject(remote);
    await world.expectNothingLeft({});
  });

  test("a body that is too long is refused before it is sent", async () => {
    await using world = await World.open({});

    const asking = world.run(world.client.request(COMMAND, new Uint8Array(1024 * 1024 + 1)));

    await expect(asking).rejects.toThrow(RangeError);
    await world.expectNothingLeft({});
  });

  test("whoever is not told what to do with requests refuses them", async () => {
    await using world = await World.open({ handle: undefined });

    const asking = world.run(world.client.request(COMMAND, body));

    await expect(asking).rejects.toMatchObject({ code: "ERR_HOLDFAST_STREAM_FAILED" });
  });
});

describe("a connection that breaks", () => {
  test("at any time is an error on both sides, and nothing is left of it", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), async (cutAtMs) => {
        let atServer: unknown = "unfinished";
        let isSourceEnded = false;
        await using world = await World.open({
          limits: { windowBytes: 16 },
          handle: async ({ stream }) => {
            try {
              const echo = await all(stream);
              atServer = "whole";
              return { body, stream: from([echo]) };
            } catch (error) {
              atServer = error;
              throw error;
            }
          },
        });
        async function* source(): AsyncGenerator<Uint8Array> {
          try {
            yield* counting(100);
          } finally {
            isSourceEnded = true;
          }
        }

        const asking = world.client
          .request(COMMAND, body, { source: source() })
          .then((answer) => all(answer.stream));
        const outcome = asking.then(
          (bytes) => bytes.length,
          (error: unknown) => error,
        );
        await world.ports.clock.advance(cutAtMs);
        world.ports.network.cut();
        const result = await world.run(outcome);

        if (typeof result === "number") expect(result).toBe(100);
        else expect(result).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT", category: "retry" });
        if (atServer !== "whole" && atServer !== "unfinished")
          expect(atServer).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
        await world.expectNothingLeft({});
        expect(isSourceEnded || world.client.stats().refusedCount > 0 || world.neverBegan).toBe(true);
      }),
    ));

  test("silently is noticed after the peer's time-out, on both sides", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });
    const answer = await world.run(world.client.request(COMMAND, body));
    const reading = answer.stream.next().catch((error: unknown) => error);

    world.ports.network.isSilent = true;
    await world.ports.clock.advance(60_000);

    expect(await reading).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
    await world.expectNothingLeft({ brokenCount: 1 });
  });
});

describe("stopping", () => {
  test("a reader that leaves its loop stops the source, and the exchange ends in order", async () => {
    let isStopped = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(8);
      } finally {
        isStopped = true;
      }
    }
    await using world = await World.open({
      handle: async () => ({ body, stream: endless() }),
      limits: { windowBytes: 64 },
    });
    const answer = await world.run(world.client.request(COMMAND, body));

    await world.run(
      (async () => {
        for await (const piece of answer.stream) if (piece.length > 0) break;
      })(),
    );
    await world.expectNothingLeft({ completedCount: 1, brokenCount: 0 });

    expect(isStopped).toBe(true);
    expect(await answer.stream.next()).toEqual({ done: true, value: undefined });
  });

  test("a handler that does not want the whole request answers all the same", async () => {
    await using world = await World.open({ limits: { windowBytes: 16 }, handle: async () => ({ body }) });

    const answer = await world.run(world.client.request(COMMAND, body, { source: counting(1000) }));

    expect([...answer.body]).toEqual([...body]);
    expect(await world.run(all(answer.stream))).toEqual([]);
    await world.expectNothingLeft({ completedCount: 1 });
  });

  test("a source that waits is ended when nobody wants it any more", async () => {
    let isEnded = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => (isEnded ? Promise.resolve({ done: true, value: undefined }) : new Promise(() => {})),
        return: () => {
          isEnded = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    await using world = await World.open({ handle: async () => ({ body }) });

    await world.run(world.client.request(COMMAND, body, { source }));
    await world.ports.clock.advance(100);

    expect(isEnded).toBe(true);
  });

  test("the asking side's signal ends it at once, and the handler is told", async () => {
    let told: AbortSignal | undefined;
    await using world = await World.open({
      handle: async ({ signal }) => {
        told = signal;
        return { body, stream: waitingForever() };
      },
    });
    const control = new AbortController();
    const answer = await world.run(world.client.request(COMMAND, body, { signal: control.signal }));
    const reading = answer.stream.next().catch((error: unknown) => error);

    control.abort();

    expect(await world.run(reading)).toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
    await world.ports.clock.advance(10);
    expect(told?.aborted).toBe(true);
    expect(told?.reason).toMatchObject({ facts: { reason: "ERR_HOLDFAST_CANCELLED" } });
    await world.expectNothingLeft({ brokenCount: 1 });
  });

  test("a signal may abort at any time, and nothing is left", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 12 }), async (abortAtMs) => {
        await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });
        const control = new AbortController();
        const asking = world.client
          .request(COMMAND, body, { signal: control.signal })
          .then(({ stream }) => all(stream))
          .catch((error: unknown) => error);

        await world.ports.clock.advance(abortAtMs);
        control.abort();

        expect(await world.run(asking)).toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
        await world.expectNothingLeft({});
      }),
    ));

  test("closing either side ends all exchanges there and here", async () => {
    for (const side of ["client", "server"] as const) {
      await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });
      const answer = await world.run(world.client.request(COMMAND, body));
      const reading = answer.stream.next().catch((error: unknown) => error);

      await world[side].close();

      expect(await world.run(reading)).toMatchObject({
        code: side === "client" ? "ERR_HOLDFAST_STREAM_CUT" : "ERR_HOLDFAST_STREAM_FAILED",
      });
      await world.expectNothingLeft({});
    }
  });
});

describe("who is let in", () => {
  test.each([
    ["another key", { identity: { ...identity, key: new Uint8Array(32).fill(2) } }, "BAD_PROOF"],
    ["another volume", { identity: { ...identity, fsid: 8n } }, "WRONG_VOLUME"],
    ["other formats", { identity: { ...identity, formatHash: 1n } }, "WRONG_FORMAT"],
    ["no session", { rid: 6n }, "FORGOTTEN"],
  ])("a member with %s is refused", async (_, member, refusal) => {
    await using world = await World.open({}, undefined, member);

    const asking = world.run(world.client.request(COMMAND, body));

    await expect(asking).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_REFUSED",
      facts: { reason: refusal },
    });
    await world.expectNothingLeft({ completedCount: 0, brokenCount: 0 });
  });

  test("a member with a session of another term is told to begin again", async () => {
    await using world = await World.open({}, undefined, { term: 1n });

    const asking = world.run(world.client.request(COMMAND, body));

    await expect(asking).rejects.toMatchObject({ category: "retry", facts: { reason: "STALE_TERM" } });
  });

  test("a member that was not called cannot come to be asked", async () => {
    await using world = await World.open({});
    const forged = new Uint8Array(40).fill(1);
    forged.set([0, 0, 0], 5);

    await expect(world.run(world.client.come(forged))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_REFUSED",
    });
  });

  test("a ticket is good for one entry", async () => {
    await using world = await World.open({}, async () => ({ body }));
    await world.run(world.server.request(RID, COMMAND, body));

    await expect(world.run(world.client.come(world.tickets[0] ?? new Uint8Array(0)))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_REFUSED",
    });
  });

  test("a member that does not come is an error after the peer's time-out", async () => {
    await using world = await World.open({});
    world.isDeaf = true;

    const asking = world.run(world.server.request(RID, COMMAND, body));

    await expect(asking).rejects.toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT", category: "retry" });
    await world.expectNothingLeft({});
  });

  test("strangers who send garbage, too much or nothing are cut off, and members get in all the same", async () => {
    await using world = await World.open({ handle: async () => ({ body }) });
    const ends: string[] = [];
    for (const [name, bytes] of [
      ["garbage", new Uint8Array(500).fill(0x41)],
      ["nothing", new Uint8Array(0)],
    ] as const) {
      const stream = await world.ports.transport.dial(world.server.address);
      stream.start({ data() {}, closed: () => ends.push(name), drained() {} });
      stream.write(bytes);
    }
    const silent = await Promise.all(
      Array.from({ length: 300 }, () => world.ports.transport.dial(world.server.address)),
    );
    for (const stream of silent) stream.start({ data() {}, closed: () => ends.push("silent"), drained() {} });

    await world.ports.clock.advance(5000);

    expect(ends).toHaveLength(302);
    expect(world.server.stats().refusedCount).toBe(302);
    expect([...(await world.run(world.client.request(COMMAND, body))).body]).toEqual([1, 2, 3]);
  });
});

describe("limits", () => {
  test("of all streams and of one peer's are kept, and a place that becomes free is given", async () => {
    for (const limits of [{ streamsMax: 3 }, { streamsPerPeerMax: 3 }]) {
      await using world = await World.open({
        limits,
        handle: async () => ({ body, stream: waitingForever() }),
      });
      const open = await world.run(Promise.all([1, 2, 3].map(() => world.client.request(COMMAND, body))));

      await expect(world.run(world.client.request(COMMAND, body))).rejects.toMatchObject({
        code: "ERR_HOLDFAST_STREAM_LIMIT",
        category: "retry",
      });
      await open[0]?.stream.return?.();
      await world.ports.clock.advance(10);

      await world.run(world.client.request(COMMAND, body));
    }
  });

  test("fifty streams at once do not mix", async () => {
    await using world = await World.open({
      limits: { windowBytes: 32, streamsPerPeerMax: 50 },
      handle: async ({ body: asking, stream }) => ({ body: asking, stream }),
    });

    const answers = await world.run(
      Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          const answer = await world.client.request(COMMAND, new Uint8Array([index]), {
            source: counting(100 + index),
          });
          return { index: answer.body[0], count: (await all(answer.stream)).length };
        }),
      ),
    );

    expect(answers).toEqual(answers.map((_, index) => ({ index, count: 100 + index })));
    await world.expectNothingLeft({ completedCount: 50 });
  });
});

interface MemberSettings {
  readonly identity?: typeof identity & { readonly formatHash?: bigint };
  readonly rid?: bigint;
  readonly term?: bigint;
}

/** A server, a member and the network between them. */
class World implements AsyncDisposable {
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
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let turn = 0; !isSettled && turn < 100_000; turn += 1) await this.ports.clock.advance(1);
    if (!isSettled) throw new Error("it never settled");
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

function pieces(): fc.Arbitrary<Uint8Array[]> {
  return fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 6 });
}

async function* from(parts: readonly (Uint8Array | readonly number[])[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Uint8Array.from(part);
}

/** The bytes 0, 1, 2 …, one at a time, in the same memory each time. */
async function* counting(count: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(1);
  for (let n = 0; n < count; n += 1) {
    piece[0] = n;
    yield piece;
  }
}

async function* failing(count: number, error: Error): AsyncGenerator<Uint8Array> {
  yield* counting(count);
  throw error;
}

async function* doubled(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield piece.map((byte) => 2 * byte);
}

function waitingForever(): AsyncIterable<Uint8Array> {
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

async function all(stream: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const piece of stream) bytes.push(...piece);
  return bytes;
}

function flat(parts: readonly Uint8Array[]): number[] {
  return parts.flatMap((part) => [...part]);
}
