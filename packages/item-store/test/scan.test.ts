import { expect, test } from "vitest";
import { SCAN_PAGE_ITEMS_MAX, datasetRange, prefixRange } from "../src/index.ts";
import { DATASET, Server, contents, key, openMember, text } from "./world.ts";

const WHOLE = datasetRange(DATASET);

async function filled(): Promise<{ server: Server; member: ReturnType<typeof openMember> }> {
  const server = new Server();
  const member = openMember(server, 11n);
  const { store } = member;
  await store.transact(["a1", "a2", "b1", "c1"].map((name) => ({ key: key(name), value: text("deep") })));
  await store.flush();
  await server.compact();
  await store.transact([{ key: key("a2"), value: text("flushed") }, { key: key("b1") }]);
  await store.flush();
  await store.transact([{ key: key("a3"), value: text("fresh") }]);
  return { server, member };
}

test("a scan merges memtable, level 0 and deeper levels: the newest version of each key, in order", async () => {
  const { member } = await filled();

  expect(await contents(member.store, WHOLE)).toEqual([
    ["a1", "deep"],
    ["a2", "flushed"],
    ["a3", "fresh"],
    ["c1", "deep"],
  ]);
});

test("a reverse scan is the same backwards; a limit ends either", async () => {
  const { member } = await filled();
  const forward = await contents(member.store, WHOLE);

  expect(await contents(member.store, WHOLE, { isReverse: true })).toEqual(forward.toReversed());
  expect(await contents(member.store, WHOLE, { limit: 3 })).toEqual(forward.slice(0, 3));
  expect(await contents(member.store, WHOLE, { isReverse: true, limit: 2 })).toEqual(
    forward.toReversed().slice(0, 2),
  );
  expect(await contents(member.store, WHOLE, { limit: 0 })).toEqual([]);
});

test("a scan begins and ends inside lock ranges", async () => {
  const { member } = await filled();

  expect(await contents(member.store, { start: key("a2"), end: key("b9") })).toEqual([
    ["a2", "flushed"],
    ["a3", "fresh"],
  ]);
  expect(await contents(member.store, prefixRange(DATASET, text("c")))).toEqual([["c1", "deep"]]);
  expect(await contents(member.store, { start: key("b"), end: key("a") })).toEqual([]);
});

test("pages are bounded in items and in bytes", async () => {
  const { store } = openMember(new Server(), 11n, { halfBlocks: 1024 });
  const values = Array.from({ length: 3000 }, (_, n) => ({ key: key(`k${n}`), value: text("v") }));
  await store.transact(values);
  await store.transact(
    Array.from({ length: 20 }, (_, n) => ({ key: key(`l${n}`), value: new Uint8Array(60_000) })),
  );

  const pages = [];
  for await (const page of store.scan(WHOLE)) pages.push(page);

  expect(pages.flat()).toHaveLength(3020);
  for (const page of pages) {
    expect(page.length).toBeLessThanOrEqual(SCAN_PAGE_ITEMS_MAX);
    expect(page.reduce((sum, { value }) => sum + value.length, 0)).toBeLessThanOrEqual(262_144 + 65_536);
  }
});

test("a lock range is seen as of one moment: what is written between two pages does not show", async () => {
  const { store } = openMember(new Server(), 11n);
  await store.transact(["a1", "a2", "a3"].map((name) => ({ key: key(name), value: text("old") })));

  const seen: string[] = [];
  for await (const page of store.scan(WHOLE, { pageItemsMax: 1 })) {
    seen.push(...page.map(({ value }) => new TextDecoder().decode(value)));
    await store.transact(["a2", "a25", "a3"].map((name) => ({ key: key(name), value: text("new") })));
    await store.flush();
  }

  expect(seen).toEqual(["old", "old", "old"]);
});

test("a scan holds no lock while its consumer has a page", async () => {
  const server = new Server();
  const [one, two] = [openMember(server, 11n), openMember(server, 12n)];
  await one.store.transact([
    { key: key("a1"), value: text("1") },
    { key: key("b1"), value: text("1") },
  ]);

  const seen: string[] = [];
  for await (const page of one.store.scan(WHOLE, { pageItemsMax: 1 })) {
    seen.push(...page.map(({ value }) => new TextDecoder().decode(value)));
    await two.store.transact([{ key: key("b1"), value: text("2") }]);
  }

  expect(seen).toEqual(["1", "2"]);
});

test("a slow scan goes on where it was when the space of its segments is used again", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { readCacheBytesMax: 0, blockCacheBytesMax: 0 });
  const names = Array.from({ length: 400 }, (_, n) => `k${1000 + n}`);
  await store.transact(names.map((name) => ({ key: key(name), value: new Uint8Array(500) })));
  await store.flush();

  const seen: string[] = [];
  for await (const page of store.scan(WHOLE, { pageItemsMax: 50 })) {
    if (seen.length === 100) await server.compact();
    seen.push(...page.map((item) => new TextDecoder().decode(item.key.subarray(10, 15))));
  }

  expect(seen).toEqual(names);
});

test("after a scan the absence of keys in its lock ranges is known without a read", async () => {
  const { server, member } = await filled();
  const reader = openMember(server, 12n, { blockCacheBytesMax: 0 });
  await contents(reader.store, WHOLE);
  let readCount = 0;
  server.device.onRead = () => {
    readCount += 1;
  };

  expect(reader.store.tryGet(key("a0"))).toEqual({ value: undefined });
  expect(reader.store.tryGet(key("a1"))).toEqual({ value: text("deep") });
  expect(readCount).toBe(0);
  await member.store.close();
});

test("a consumer that stops early leaves no lock behind", async () => {
  const server = new Server();
  const [one, two] = [openMember(server, 11n), openMember(server, 12n)];
  await one.store.transact([
    { key: key("a1"), value: text("1") },
    { key: key("a2"), value: text("1") },
  ]);

  for await (const page of one.store.scan(WHOLE, { pageItemsMax: 1 })) if (page.length > 0) break;

  await two.store.transact([{ key: key("a1"), value: text("2") }]);
  expect(await contents(one.store, WHOLE)).toEqual([
    ["a1", "2"],
    ["a2", "1"],
  ]);
});

test("a scan does not push out of the cache what single reads asked for", async () => {
  const server = new Server();
  const writer = openMember(server, 11n, { halfBlocks: 1024 });
  const value = new Uint8Array(500);
  const letters = "abcdefghijklmnopqrst".split("");
  for (const letter of letters)
    await writer.store.transact(Array.from({ length: 40 }, (_, n) => ({ key: key(`${letter}${n}`), value })));
  await writer.store.flush();
  const { store } = openMember(server, 12n, { readCacheBytesMax: 300_000, blockCacheBytesMax: 0 });
  for (let n = 0; n < 40; n += 1) await store.get(key(`a${n}`));

  for (let round = 0; round < 3; round += 1) expect(await contents(store, WHOLE)).toHaveLength(800);

  expect(store.stats().readCacheBytes).toBeLessThan(200_000);
  for (let n = 0; n < 40; n += 1) expect(store.tryGet(key(`a${n}`))).toEqual({ value });
});
