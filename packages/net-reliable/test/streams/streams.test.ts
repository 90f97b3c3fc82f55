/*
 * Streams between a member and a server, over a network in memory whose clock is moved.
 */
import { DeviceError, HoldfastError } from "@holdfast/environment";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  COMMAND,
  RID,
  World,
  all,
  body,
  counting,
  doubled,
  failing,
  flat,
  from,
  waitingForever,
} from "./stream-world.ts";

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

          const answer = await world.run(world.client.requestStream(COMMAND, body, { source: from(asked) }));

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

    const answer = await world.run(world.client.requestStream(COMMAND, body, { source: counting(200) }));

    expect(await world.run(all(answer.stream))).toEqual(
      Array.from({ length: 200 }, (_, n) => (2 * n) & 0xff),
    );
  });

  test("goes from the server to a member, which is called and dials", async () => {
    await using world = await World.open({}, async ({ stream }) => {
      const sum = (await all(stream)).reduce((left, right) => left + right, 0);
      return { body: new Uint8Array([sum]), stream: counting(3) };
    });

    const answer = await world.run(world.server.requestStream(RID, COMMAND, body, { source: counting(5) }));

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
    const answer = await world.run(world.client.requestStream(COMMAND, body));

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
    const answer = await world.run(world.client.requestStream(COMMAND, body));

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

    const asking = world.run(world.client.requestStream(COMMAND, body));

    await expect(asking).rejects.toMatchObject(remote);
    await expect(asking).rejects.not.toThrow("secret");
    await world.expectNothingLeft({});
  });

  test("in the middle of an answer come after what went before", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: failing(5, deviceError) }) });
    const answer = await world.run(world.client.requestStream(COMMAND, body));
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

    const asking = world.run(world.client.requestStream(COMMAND, body, { source: failing(3, deviceError) }));

    await expect(asking).rejects.toBe(deviceError);
    expect(seen).toMatchObject(remote);
    await world.expectNothingLeft({});
  });

  test("a body that is too long is refused before it is sent", async () => {
    await using world = await World.open({});

    const asking = world.run(world.client.requestStream(COMMAND, new Uint8Array(1024 * 1024 + 1)));

    await expect(asking).rejects.toThrow(RangeError);
    await world.expectNothingLeft({});
  });

  test("whoever is not told what to do with requests refuses them", async () => {
    await using world = await World.open({ handle: undefined });

    const asking = world.run(world.client.requestStream(COMMAND, body));

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
          .requestStream(COMMAND, body, { source: source() })
          .then((answer) => all(answer.stream));
        const outcome = asking.then(
          (bytes) => `${bytes.length} bytes`,
          (error: unknown) => error,
        );
        await world.ports.clock.advance(cutAtMs);
        world.ports.network.cut();
        const result = await world.run(outcome);

        expect([result, atServer].map(outcomeName)).toEqual([
          expect.stringMatching(/^(?:100 bytes|retry: ERR_HOLDFAST_STREAM_CUT)$/),
          expect.stringMatching(/^(?:whole|unfinished|retry: ERR_HOLDFAST_STREAM_CUT)$/),
        ]);
        await world.expectNothingLeft({});
        expect(isSourceEnded || world.neverBegan).toBe(true);
      }),
    ));

  test("silently is noticed after the peer's time-out, on both sides", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });
    const answer = await world.run(world.client.requestStream(COMMAND, body));
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
    const answer = await world.run(world.client.requestStream(COMMAND, body));

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

    const answer = await world.run(world.client.requestStream(COMMAND, body, { source: counting(1000) }));

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

    await world.run(world.client.requestStream(COMMAND, body, { source }));
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
    const answer = await world.run(world.client.requestStream(COMMAND, body, { signal: control.signal }));
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
          .requestStream(COMMAND, body, { signal: control.signal })
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
      const answer = await world.run(world.client.requestStream(COMMAND, body));
      const reading = answer.stream.next().catch((error: unknown) => error);

      await world[side].close();

      expect(await world.run(reading)).toMatchObject({
        code: side === "client" ? "ERR_HOLDFAST_STREAM_CUT" : "ERR_HOLDFAST_STREAM_FAILED",
      });
      await world.expectNothingLeft({});
    }
  });
});

function pieces(): fc.Arbitrary<Uint8Array[]> {
  return fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 6 });
}

/** A word, or an error's category and code. */
function outcomeName(outcome: unknown): string {
  return outcome instanceof HoldfastError ? `${outcome.category}: ${outcome.code}` : String(outcome);
}
