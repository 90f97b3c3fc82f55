import { expect, test } from "vitest";
import { MemberWorld, textOf } from "../world/member-world.ts";

test("what one member writes, every other member reads, both ways", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];
  const [a, b] = [await first.member.dataset(), await second.member.dataset()];

  await world.finish(a.put("from a", "1"));
  expect(textOf(await world.finish(b.get("from a")))).toBe("1");
  await world.finish(b.put("from a", "2"));
  await world.finish(b.put("from b", "3"));

  expect(textOf(await world.finish(a.get("from a")))).toBe("2");
  expect(textOf(await world.finish(a.get("from b")))).toBe("3");
  expect(await world.finish(a.get("nothing"))).toBeUndefined();
});

test("one member serves, and every member says who and what it is", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];

  const reports = [first.member.report(), second.member.report()];

  expect(reports.map(({ isServing, isConnected, term }) => [isServing, isConnected, term])).toEqual([
    [true, true, 2n],
    [false, true, 2n],
  ]);
  expect(reports.map(({ rid }) => rid)).toEqual([first.member.rid, second.member.rid]);
  expect(reports[0]).toMatchObject({ label: "test", fsid: second.member.fsid });
  const status = await world.finish(second.member.status());
  expect(status).toMatchObject({ term: 2n, server: first.member.rid, termsMax: 16 });
  const seen = new Set(
    status.members.map(({ name, isConnected, isVoter }) => `${name} ${isConnected} ${isVoter}`),
  );
  expect(seen).toEqual(new Set(["host-1 true true", "host-2 true true"]));
  expect(status.totalBlocks).toBeGreaterThan(status.freeBlocks + status.quarantinedBlocks);
});

test("a member without an address joins, works, and never serves", async () => {
  const world = await MemberWorld.format();
  const server = await world.open();
  const { member } = await world.open({ listenAddress: undefined });
  const data = await member.dataset();
  await world.finish(data.put("k", "1"));

  await world.close(server);
  await world.clock.advance(3000);

  expect(member.report()).toMatchObject({ isServing: false, isConnected: false });
  const next = await world.open();
  await world.finish(data.put("k", "2"));
  expect(textOf(await world.finish((await next.member.dataset()).get("k")))).toBe("2");
});

test("everything outlives everybody: who opens the volume alone later finds it all", async () => {
  const world = await MemberWorld.format();
  const before = await world.open();
  const data = await before.member.dataset();
  await world.finish(data.batch([{ key: "a", value: "1" }, { key: "b", value: "2" }, { key: "c" }]));
  await world.finish(data.delete("a"));
  await world.close(before);

  const after = await world.open();
  const again = await after.member.dataset();

  expect(await world.finish(again.get("a"))).toBeUndefined();
  expect(textOf(await world.finish(again.get("b")))).toBe("2");
});

test("members that left leave nothing behind: no timer, no connection, no space, no session", async () => {
  const world = await MemberWorld.format();
  const [first, second, third] = [await world.open(), await world.open(), await world.open()];
  const start = await world.finish(first.member.status());
  await world.finish((await second.member.dataset()).put("k", "v".repeat(1000)));
  await world.close(third, second);
  const { members, quarantinedBlocks } = await world.finish(first.member.status());
  expect(members.length).toBe(1);
  expect(quarantinedBlocks).toBe(start.quarantinedBlocks);

  await world.close(first);
  await world.clock.advance(1000);

  expect(world.clock.timersCount).toBe(0);
  expect(world.network.streams.size).toBe(0);
  expect([first, second, third].flatMap(({ losses }) => losses)).toEqual([]);
  const again = await world.open({ listenAddress: "memory:1" });
  await world.close(again);
});

test("closing twice is closing once, and a closed member does nothing more", async () => {
  const world = await MemberWorld.format();
  const { member } = await world.open();
  const data = await member.dataset();
  const [first, second] = [member.close(), member.close()];
  expect(first).toBe(second);
  await world.finish(first);

  await expect(data.put("k", "v")).rejects.toMatchObject({ category: "usage" });
  await expect(data.get("k")).rejects.toMatchObject({ category: "usage" });
  await expect(member.status()).rejects.toMatchObject({ code: "ERR_HOLDFAST_CLOSED" });
});

test("the server hands its role on when it leaves, and calls only take longer", async () => {
  const world = await MemberWorld.format();
  const [first, second, third] = [await world.open(), await world.open(), await world.open()];
  const data = await second.member.dataset();
  await world.finish(data.put("k", "0"));
  const writes = Promise.all(
    Array.from({ length: 30 }, (_, index) => data.put(`key-${index}`, String(index))),
  );

  await world.close(first);
  await world.finish(writes);

  const reader = await third.member.dataset();
  for (let index = 0; index < 30; index += 1)
    expect(textOf(await world.finish(reader.get(`key-${index}`)))).toBe(String(index));
  expect([second, third].filter(({ member }) => member.report().isServing).length).toBe(1);
  expect([second, third].flatMap(({ losses }) => losses)).toEqual([]);
  const { members, quarantinedBlocks } = await world.finish(third.member.status());
  expect(members.length).toBe(2);
  expect(quarantinedBlocks).toBeLessThan(64n);
});

test("transactions of two members on one key happen one after the other", async () => {
  const world = await MemberWorld.format();
  const members = [await world.open(), await world.open()];
  const counters = await Promise.all(members.map(({ member }) => member.dataset()));
  const increments = counters.flatMap((data) =>
    Array.from({ length: 10 }, () =>
      data.transaction(async (transaction) => {
        const value = Number(textOf(await transaction.get("counter")) ?? "0");
        transaction.put("counter", String(value + 1));
        return value;
      }),
    ),
  );

  const seen = await world.finish(Promise.allSettled(increments));

  const values = seen.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const conflicts = seen.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
  expect(new Set(values).size).toBe(values.length);
  for (const conflict of conflicts) expect(conflict).toMatchObject({ code: "ERR_HOLDFAST_CONFLICT" });
  const [data] = counters;
  expect(textOf(await world.finish(data?.get("counter") ?? Promise.reject(new Error("none"))))).toBe(
    String(values.length),
  );
  expect(values.length).toBeGreaterThan(0);
});

test("a transaction whose reads others change in each of its attempts is given up as a conflict", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];
  const [a, b] = [await first.member.dataset(), await second.member.dataset()];
  let attempts = 0;

  const outcome = a.transaction(async (transaction) => {
    await transaction.get("k");
    attempts += 1;
    await b.put("k", String(attempts));
    transaction.put("other", "never");
  });

  await expect(world.finish(outcome)).rejects.toMatchObject({ code: "ERR_HOLDFAST_CONFLICT" });
  expect(attempts).toBeGreaterThan(1);
  expect(await world.finish(a.get("other"))).toBeUndefined();
});

test("a scan sees every item that stood before it and stays, in order and once, while others write", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];
  const [a, b] = [await first.member.dataset(), await second.member.dataset()];
  const names = Array.from(
    { length: 300 },
    (_, index) => `${String.fromCodePoint(97 + (index % 20))}${index}`,
  );
  await world.finish(a.batch(names.map((key) => ({ key, value: "old" }))));
  const state = { isScanning: true };
  const writing = (async (): Promise<void> => {
    for (let round = 0; state.isScanning; round += 1) {
      await a.put(names[(round * 37) % names.length] ?? "a0", "new");
      await a.put(`z-${round}`, "more");
    }
  })();

  const found: string[] = [];
  const scan = (async (): Promise<void> => {
    for await (const { key } of b.scan()) found.push(textOf(key) ?? "");
  })();
  await world.finish(scan);
  state.isScanning = false;
  await world.finish(writing);

  expect(found).toEqual(found.toSorted());
  expect(new Set(found).size).toBe(found.length);
  expect(names.filter((name) => !found.includes(name))).toEqual([]);
});

test("a status, and whatever needs the server, waits for one, and honours its signal", async () => {
  const world = await MemberWorld.format();
  const server = await world.open();
  const { member } = await world.open({ listenAddress: undefined });
  server.host.kill();
  await world.until(() => !member.report().isConnected);
  const abort = new AbortController();
  const given = [
    member.status(abort.signal),
    member.datasets(abort.signal),
    member.dataset("x", abort.signal),
    member.createDataset("y", abort.signal),
  ];
  const outcomes = Promise.allSettled(given);
  const kept = member.status();
  await world.clock.advance(5000);
  abort.abort();

  for (const outcome of await world.finish(outcomes))
    expect(outcome).toMatchObject({ reason: { code: "ERR_HOLDFAST_CANCELLED" } });
  const next = await world.open();
  await expect(world.finish(kept)).resolves.toMatchObject({ server: next.member.rid });
});
