/*
 * Streams beside the requests of their session: one address, one session object, and ends that belong together.
 */
import { describe, expect, test } from "vitest";
import {
  CALL_MALFORMED,
  CALL_UNKNOWN,
  COMMAND_COME,
  type ClientSession,
  type ServerSessions,
  startClientSession,
  startServerSessions,
} from "../../src/index.ts";
import { COMMAND, RID, World, all, body, counting, identity, waitingForever } from "./stream-world.ts";

const LONG = { windowBytes: 64 };

/** Pieces without end. */
async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(32);
}

/** A stream under way, and what ends it. */
async function begin(world: World): Promise<{ readonly end: Promise<unknown> }> {
  const { stream } = await world.run(world.client.requestStream(COMMAND, body));
  return {
    end: all(stream).then(
      () => "whole",
      (error: unknown) => error,
    ),
  };
}

describe("a session with streams", () => {
  test("answers requests and keeps its connection while bulk goes on", async () => {
    await using world = await World.open({ limits: LONG, handle: async () => ({ body, stream: endless() }) });
    const { stream } = await world.run(world.client.requestStream(COMMAND, body));
    let bytes = 0;
    const reading = (async () => {
      for await (const piece of stream) {
        bytes += piece.length;
        if (bytes > 30_000) break;
      }
    })();

    for (let count = 0; count < 20; count += 1)
      await expect(world.run(world.client.request(1, body))).rejects.toMatchObject({
        facts: { error: CALL_UNKNOWN },
      });
    await world.run(reading);

    expect(bytes).toBeGreaterThan(30_000);
    expect(world.client.stats()).toMatchObject({ greetedCount: 1, cutSilentCount: 0 });
    expect(world.server.isConnected(RID)).toBe(true);
  });

  test("dials nobody else for them: all connections go to the one address", async () => {
    await using world = await World.open({ handle: async () => ({ body }) });

    await world.run(world.client.requestStream(COMMAND, body));

    expect(world.ports.network.dialsCount).toBe(2);
  });

  test("waits with a request until there is a server, and a signal bounds the wait", async () => {
    await using world = await World.open({});
    let address: string | undefined;
    const session = startClientSession({ identity, findServer: () => Promise.resolve(address) }, world.ports);
    const control = new AbortController();
    const [bounded, waiting] = [{ signal: control.signal }, {}].map((options) =>
      session.requestStream(COMMAND, body, options).catch((error: unknown) => error),
    );
    await world.ports.clock.advance(2000);
    control.abort();
    expect(await bounded).toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });

    address = world.server.address;

    // That server takes none: it has been asked.
    expect(await world.run(waiting ?? Promise.reject(new Error("there are two")))).toMatchObject({
      code: "ERR_HOLDFAST_STREAM_FAILED",
      facts: { reason: "ERR_HOLDFAST_STREAM_REFUSED" },
    });
    session.close();
  });

  test("waits with a request until the member is introduced, and answers a server's at once", async () => {
    const world = await World.open({ handle: async () => ({ body }) });
    let introduce = (): void => {};
    const session = startClientSession(
      {
        identity,
        rid: 6n,
        address: world.server.address,
        onServer: () => new Promise((resolve) => (introduce = resolve)),
        handleStream: async () => ({ body }),
      },
      world.ports,
    );
    await world.ports.clock.advance(10);
    const outcome = { isThere: false };
    const asking = session.requestStream(COMMAND, body).then(() => (outcome.isThere = true));
    await world.ports.clock.advance(1000);

    expect(outcome.isThere).toBe(false);
    expect([...(await world.run(world.server.requestStream(6n, COMMAND, body))).body]).toEqual([1, 2, 3]);
    introduce();
    await world.run(asking);
    session.close();
    await world.expectNothingLeft({});
  });

  test("goes on with its streams while it reconnects", async () => {
    await using world = await World.open({ handle: async ({ stream }) => ({ body, stream }) });
    const { stream } = await world.run(world.client.requestStream(COMMAND, body, { source: counting(200) }));
    const [sessionsOwn] = world.ports.network.streams;

    sessionsOwn?.destroy();

    expect(await world.run(all(stream))).toHaveLength(200);
    await world.run(world.client.requestStream(COMMAND, body));
    expect(world.client.stats().greetedCount).toBe(2);
    await world.expectNothingLeft({ brokenCount: 0 });
  });

  test("goes on with its streams when a newer connection takes it over", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });
    const { end } = await begin(world);
    const { network, clock } = world.ports;
    const [near, far] = network.streams;
    // The member's end of the session breaks, and the server does not hear of it: it is taken over.
    network.isSilent = true;
    near?.destroy();
    network.isSilent = false;

    await clock.advance(300);

    expect(world.server.stats().ended.replaced).toBe(1);
    expect(network.streams.has(far as never)).toBe(false);
    expect(world.server.stats().streams.activeCount).toBe(1);
    world.client.close();
    expect(await world.run(end)).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
  });
});

describe("with the end of a session its streams end, all with one error", () => {
  const streams = { handle: async () => ({ body, stream: waitingForever() }) };

  test("when it is closed, and what would begin then ends with it, too", async () => {
    await using world = await World.open(streams);
    const [first, second] = [await begin(world), await begin(world)];
    const waiting = world.client.requestStream(COMMAND, body).catch((error: unknown) => error);

    world.client.close();

    const error = await first.end;
    expect(error).toMatchObject({
      code: "ERR_HOLDFAST_STREAM_CUT",
      facts: { reason: "the session was closed" },
    });
    expect(await second.end).toBe(error);
    expect(await waiting).toBe(error);
    await expect(world.client.requestStream(COMMAND, body)).rejects.toBe(error);
    await world.expectNothingLeft({ brokenCount: 2 });
  });

  test("before its farewell is said: who is gone does nothing any more", async () => {
    await using world = await World.open(streams);
    const { end } = await begin(world);

    const farewell = world.client.farewell(body).catch((error: unknown) => error);

    expect(await end).toMatchObject({ facts: { reason: "the member leaves" } });
    await world.run(farewell);
    await expect(world.client.requestStream(COMMAND, body)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_CUT",
    });
  });

  test("when the server forgets or evicts the member: its exchanges end at once, its next ones are refused", async () => {
    for (const [end, refusal] of [
      ["forget", "FORGOTTEN"],
      ["evict", "EVICTED"],
    ] as const) {
      await using world = await World.open(streams);
      const { end: ended } = await begin(world);

      world.server[end](RID);

      expect(await world.run(ended)).toMatchObject({ code: "ERR_HOLDFAST_STREAM_FAILED" });
      expect(world.server.stats().streams.activeCount).toBe(0);
      await world.ports.clock.advance(1000);
      await expect(world.client.requestStream(COMMAND, body)).rejects.toMatchObject({
        code: "ERR_HOLDFAST_STREAM_REFUSED",
        facts: { reason: refusal },
      });
    }
  });

  test("when another server has taken over: the streams of the old one end, new ones go to the new one", async () => {
    const ports = new World().ports;
    let address = "memory:1";
    const serve = (term: bigint): Promise<ServerSessions> =>
      startServerSessions(
        {
          identity,
          term,
          listenAddress: `memory:${term}`,
          handleStream: async () => ({ body: Uint8Array.of(Number(term)), stream: waitingForever() }),
        },
        ports,
      );
    const [old, next] = [await serve(1n), await serve(2n)];
    const session: ClientSession = startClientSession(
      { identity, findServer: () => Promise.resolve(address) },
      ports,
    );
    const beginning = session.requestStream(COMMAND, body);
    await ports.clock.advance(20);
    const first = await beginning;
    const end = all(first.stream).catch((error: unknown) => error);

    address = "memory:2";
    // Only the session's connection is lost; the old server and its stream live.
    const [sessionsOwn] = ports.network.streams;
    sessionsOwn?.destroy();
    await ports.clock.advance(500);
    const asking = session.requestStream(COMMAND, body);
    await ports.clock.advance(20);

    expect(session.term).toBe(2n);
    expect([...first.body]).toEqual([1]);
    expect(await end).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT", category: "retry" });
    expect([...(await asking).body]).toEqual([2]);
    expect(old.stats().streams.activeCount).toBe(0);
    session.close();
    await Promise.all([old.close(), next.close()]);
    await ports.clock.advance(2000);
    expect([ports.clock.timersCount, ports.network.streams.size]).toEqual([0, 0]);
  });

  test.each(["client", "server"] as const)(
    "at every moment of its way to the first byte, whoever asks, a closed %s leaves nothing waiting",
    async (side) => {
      for (const asker of ["client", "server"] as const)
        for (let closedAtMs = 0; closedAtMs < 8; closedAtMs += 1) {
          const world = await World.open(streams, streams.handle);
          const asking = (
            asker === "client"
              ? world.client.requestStream(COMMAND, body)
              : world.server.requestStream(RID, COMMAND, body)
          )
            .then(({ stream }) => all(stream))
            .catch((error: unknown) => error);
          await world.ports.clock.advance(closedAtMs);

          await world[side].close();
          await world.ports.clock.advance(5000);
          // A member whose server is gone waits for the next one.
          world.client.close();

          expect(await world.run(asking)).toMatchObject({ name: "StreamError" });
          await world.expectNothingLeft({});
        }
    },
  );
});

test("only a server calls: a member that does is told that it says nothing", async () => {
  await using world = await World.open({});

  const calling = world.run(world.client.request(COMMAND_COME, body));

  await expect(calling).rejects.toMatchObject({ facts: { error: CALL_MALFORMED } });
  expect(world.server.stats().malformedRequestsCount).toBe(1);
});
