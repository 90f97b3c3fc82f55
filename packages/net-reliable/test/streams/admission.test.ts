/*
 * Who may open a stream, and how many there are.
 */
import { utf8 } from "@holdfast/environment";
import { decodeFrame } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import {
  CHALLENGE_FRAME_BYTES,
  Challenge,
  GREETING_CONNECTIONS_MAX,
  type SessionIdentity,
  StreamWelcome,
  refusalName,
} from "../../src/index.ts";
import { streamGreetingFrame } from "../../src/streams/stream-greeting.ts";
import { COMMAND, RID, TERM, World, all, body, counting, identity, waitingForever } from "./stream-world.ts";

const rightful = { identity: { ...identity, formatHash: 0n }, rid: RID, term: TERM, number: 0, secret: "" };

/** Greets as a member would whose greeting says that; gives the refusal's name, "" for none, undefined for no answer. */
async function visit(
  world: World,
  said: Partial<Omit<typeof rightful, "secret" | "identity">> & {
    readonly identity?: SessionIdentity;
    readonly secret?: Uint8Array;
    readonly after?: Uint8Array;
  },
): Promise<string | undefined> {
  const { identity: own, rid, term, number } = { ...rightful, ...said };
  const { secret = new Uint8Array(0), after = new Uint8Array(0) } = said;
  const stream = await world.ports.transport.dial(world.server.address);
  const chunks: Uint8Array[] = [];
  stream.start({ data: (bytes) => chunks.push(bytes.slice()), closed() {}, drained() {} });
  await world.ports.clock.advance(1);
  const [challenge = new Uint8Array(0)] = chunks.splice(0);
  expect(challenge).toHaveLength(CHALLENGE_FRAME_BYTES);
  const { nonce } = Challenge.decode(decodeFrame(challenge).body);
  const { cryptography } = world.ports;
  const greeting = streamGreetingFrame(
    { rid, term, ticket: number, nonce },
    { identity: own, cryptography },
    nonce,
    secret,
  );
  stream.write(Buffer.concat([greeting, after]));
  await world.ports.clock.advance(2);
  stream.destroy();
  const [welcome] = chunks;
  if (welcome === undefined) return undefined;
  const { refusal } = StreamWelcome.decode(decodeFrame(welcome).body);
  return refusal === 0 ? "" : refusalName(refusal);
}

describe("who is let in", () => {
  test.each([
    ["a session is let in", {}, ""],
    [
      "another key is refused",
      { identity: { ...rightful.identity, key: new Uint8Array(32).fill(2) } },
      "BAD_PROOF",
    ],
    ["another volume is refused", { identity: { ...rightful.identity, fsid: 8n } }, "WRONG_VOLUME"],
    ["other formats is refused", { identity: { ...rightful.identity, formatHash: 1n } }, "WRONG_FORMAT"],
    ["no session is refused", { rid: 6n }, "FORGOTTEN"],
    ["no name is refused", { rid: 0n }, "BAD_GREETING"],
    ["a session of an earlier term is told to look again", { term: 1n }, "STALE_TERM"],
    ["a session of a later term is told to look again", { term: 3n }, "STALE_TERM"],
    ["a ticket that nobody gave is refused", { number: 1, secret: new Uint8Array(32).fill(1) }, "BAD_PROOF"],
  ])("a member with %s", async (_, said, outcome) => {
    await using world = await World.open({});

    expect(await visit(world, said)).toBe(outcome);

    const { refusedCount, refused, cutMalformedCount } = world.server.stats();
    expect(refused).toEqual(outcome === "" ? {} : { [outcome]: 1 });
    expect([refusedCount, cutMalformedCount]).toEqual([outcome === "" ? 0 : 1, 0]);
    await world.expectNothingLeft({ completedCount: 0, brokenCount: 0 });
  });

  test("a member that was evicted is refused, and one that was forgotten, too", async () => {
    for (const [end, refusal] of [
      ["evict", "EVICTED"],
      ["forget", "FORGOTTEN"],
    ] as const) {
      await using world = await World.open({});
      world.server[end](RID);

      expect(await visit(world, {})).toBe(refusal);
    }
  });

  test("a ticket is good for one entry", async () => {
    await using world = await World.open({}, async () => ({ body }));
    const asking = world.server.requestStream(RID, COMMAND, body).catch((error: unknown) => error);
    const ticket = { number: 1, secret: world.drawn.at(-1) ?? body };

    expect(await visit(world, ticket)).toBe("");
    expect(await visit(world, ticket)).toBe("BAD_PROOF");

    expect(await world.run(asking)).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
  });

  test("a ticket is good for the member that was called", async () => {
    await using world = await World.open({}, async () => ({ body }));
    const asking = world.server.requestStream(RID, COMMAND, body);
    const ticket = { number: 1, secret: world.drawn.at(-1) ?? body };

    expect(await visit(world, { ...ticket, rid: 6n })).toBe("BAD_PROOF");

    expect([...(await world.run(asking)).body]).toEqual([...body]);
  });

  test("a member that does not come is an error after the peer's time-out", async () => {
    await using world = await World.open({});
    world.ports.network.isSilent = true;

    const asking = world.run(world.server.requestStream(RID, COMMAND, body));

    await expect(asking).rejects.toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT", category: "retry" });
    await world.expectNothingLeft({});
  });

  test("a member without a session cannot be asked", async () => {
    await using world = await World.open({});

    const asking = world.run(world.server.requestStream(6n, COMMAND, body));

    await expect(asking).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_CUT",
      cause: { code: "ERR_HOLDFAST_REQUEST" },
    });
  });
});

describe("strangers", () => {
  test("who send a stream's frames before the welcome are cut off and counted once", async () => {
    await using world = await World.open({});

    expect(await visit(world, { after: utf8.encode("too early") })).toBeUndefined();

    const { cut, cutMalformedCount, refusedCount, ended } = world.server.stats();
    expect(cut.greeting).toBe(1);
    expect([cutMalformedCount, refusedCount, ended["slow-greeter"]]).toEqual([1, 0, 0]);
    await world.expectNothingLeft({});
  });

  test("who send garbage, part of a greeting or nothing are cut off and counted once, and streams begin all the same", async () => {
    await using world = await World.open({ handle: async () => ({ body }) });
    const part = streamGreetingFrame(
      { rid: RID, term: TERM, ticket: 0, nonce: new Uint8Array(32) },
      { identity: rightful.identity, cryptography: world.ports.cryptography },
      new Uint8Array(32),
      new Uint8Array(0),
    ).subarray(0, -1);
    let endsCount = 0;
    const handlers = { data() {}, closed: () => (endsCount += 1), drained() {} };
    for (const bytes of [new Uint8Array(500).fill(0x41), part]) {
      const stream = await world.ports.transport.dial(world.server.address);
      stream.start(handlers);
      stream.write(bytes);
      await world.ports.clock.advance(5);
    }
    for (let count = 0; count < 300; count += 1)
      (await world.ports.transport.dial(world.server.address)).start(handlers);

    await world.ports.clock.advance(5000);

    expect(endsCount).toBe(302);
    const { cut, cutMalformedCount, refusedCount, ended } = world.server.stats();
    expect(cut.garbage).toBe(1);
    expect([cutMalformedCount, refusedCount]).toEqual([1, 0]);
    // The part of a greeting was the oldest when places ran out.
    expect(ended.crowded).toBe(301 - GREETING_CONNECTIONS_MAX);
    expect(ended["slow-greeter"]).toBe(GREETING_CONNECTIONS_MAX);
    expect([...(await world.run(world.client.requestStream(COMMAND, body))).body]).toEqual([1, 2, 3]);
  });

  test("streams that go on take no place of those who greet", async () => {
    await using world = await World.open({ handle: async () => ({ body, stream: waitingForever() }) });

    await world.run(Promise.all([1, 2, 3].map(() => world.client.requestStream(COMMAND, body))));

    expect(world.server.stats()).toMatchObject({
      greetingCount: 0,
      sessionsCount: 1,
      streams: { activeCount: 3 },
    });
  });
});

describe("limits", () => {
  test("of all streams and of one peer's are kept, and a place that becomes free is given", async () => {
    for (const limits of [{ streamsMax: 3 }, { streamsPerPeerMax: 3 }]) {
      await using world = await World.open({
        limits,
        handle: async () => ({ body, stream: waitingForever() }),
      });
      const open = await world.run(
        Promise.all([1, 2, 3].map(() => world.client.requestStream(COMMAND, body))),
      );

      await expect(world.run(world.client.requestStream(COMMAND, body))).rejects.toMatchObject({
        code: "ERR_HOLDFAST_STREAM_LIMIT",
        category: "retry",
      });
      await open[0]?.stream.return?.();
      await world.ports.clock.advance(10);

      await world.run(world.client.requestStream(COMMAND, body));
    }
  });

  test("of members that are asked to come are kept, too: who does not come holds a place until the time-out", async () => {
    await using world = await World.open({ limits: { streamsMax: 3 } }, async () => ({ body }));
    world.ports.network.isSilent = true;
    const asked = [1, 2, 3].map(() =>
      world.server.requestStream(RID, COMMAND, body).catch((error: unknown) => error),
    );

    await expect(world.server.requestStream(RID, COMMAND, body)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_STREAM_LIMIT",
      category: "retry",
    });
    for (const outcome of asked)
      expect(await world.run(outcome)).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
    world.ports.network.isSilent = false;
    await world.ports.clock.advance(1000);

    expect([...(await world.run(world.server.requestStream(RID, COMMAND, body))).body]).toEqual([...body]);
    await world.expectNothingLeft({});
  });

  test("fifty streams at once do not mix", async () => {
    await using world = await World.open({
      limits: { windowBytes: 32, streamsPerPeerMax: 50 },
      handle: async ({ body: asking, stream }) => ({ body: asking, stream }),
    });

    const answers = await world.run(
      Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          const answer = await world.client.requestStream(COMMAND, new Uint8Array([index]), {
            source: counting(30 + index),
          });
          return { index: answer.body[0], count: (await all(answer.stream)).length };
        }),
      ),
    );

    expect(answers).toEqual(answers.map((_, index) => ({ index, count: 30 + index })));
    await world.expectNothingLeft({ completedCount: 50 });
  });
});
