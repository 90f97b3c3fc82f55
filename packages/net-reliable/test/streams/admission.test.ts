/*
 * Who may open a stream, and how many there are.
 */
import { describe, expect, test } from "vitest";
import { COMMAND, RID, World, all, body, counting, identity, waitingForever } from "./stream-world.ts";

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
