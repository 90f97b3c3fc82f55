import { expect, test } from "vitest";
import { deferred } from "@holdfast/environment";
import {
  CommitQueueFullError,
  ItemStore,
  JournalWriteError,
  ManifestDamagedError,
  StoreClosedError,
  TransactionTooLargeError,
  ValueTooLongError,
  datasetRange,
  lockRangeOf,
} from "../src/index.ts";
import { DATASET, EvictedForTest, Server, contents, fromText, key, openMember, text } from "./world.ts";

function put(name: string, value: string): { key: Uint8Array; value: Uint8Array } {
  return { key: key(name), value: text(value) };
}

async function get(store: ItemStore, name: string): Promise<string | undefined> {
  return fromText(await store.get(key(name)));
}

test("what was written is read, by the writer, before and after a flush", async () => {
  const { store } = openMember(new Server(), 11n);
  await store.transact([put("a", "1"), put("b", "2"), { key: key("b") }]);

  expect(await get(store, "a")).toBe("1");
  await store.flush();

  expect([await get(store, "a"), await get(store, "b"), await get(store, "c")]).toEqual([
    "1",
    undefined,
    undefined,
  ]);
  expect(store.stats()).toMatchObject({ memtableBytes: 0, recordedEpoch: 1n, journalEpoch: 2n });
});

test("a warm read needs no promise; a cold one says so", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { readCacheBytesMax: 0 });
  expect(store.tryGet(key("a"))).toBeUndefined();
  await store.transact([put("a", "1")]);

  expect(store.tryGet(key("a"))).toEqual({ value: text("1") });

  await store.flush();
  expect(store.tryGet(key("a"))).toBeUndefined();
  await store.get(key("a"));
  expect(store.tryGet(key("a"))).toEqual({ value: text("1") });
  expect(store.tryGet(key("absent"))).toEqual({ value: undefined });
});

test("transactions that queue in the same breath share one journal write and one check", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  await member.store.transact([put("warm", "")]);
  const before = member.checkCount;

  await Promise.all(Array.from({ length: 50 }, (_, n) => member.store.transact([put(`w${n}`, "x")])));

  expect(member.checkCount - before).toBeLessThanOrEqual(2);
});

test("nobody reads a write before its check is done", async () => {
  const member = openMember(new Server(), 11n);
  const check = deferred<void>();
  member.checkCommitted = () => check.promise;
  const written = member.store.transact([put("a", "1")]);
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();

  expect(await get(member.store, "a")).toBeUndefined();

  check.resolve();
  await written;
  expect(await get(member.store, "a")).toBe("1");
});

test("a member that was evicted acknowledges nothing, and its store ends with that error", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  await member.store.transact([put("a", "1")]);
  server.evicted.add(11n);

  await expect(member.store.transact([put("a", "2")])).rejects.toThrow(EvictedForTest);
  await expect(member.store.get(key("a"))).rejects.toThrow(EvictedForTest);
  await expect(member.store.flush()).rejects.toThrow(EvictedForTest);
  expect(() => member.store.tryGet(key("a"))).toThrow(EvictedForTest);
});

test("with the rule journal-check broken, an evicted member does acknowledge: the simulator must notice", async () => {
  const server = new Server();
  const member = openMember(server, 11n, { brokenRules: new Set(["journal-check"]) });
  server.evicted.add(11n);

  await member.store.transact([put("a", "2")]);

  expect(member.checkCount).toBe(0);
});

test("a failed journal write ends the store; what queued behind it fails alike", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);
  await store.transact([put("a", "1")]);
  server.device.onWrite = () => {
    throw new Error("no such device");
  };

  const results = await Promise.allSettled([
    store.transact([put("a", "2")]),
    store.transact([put("b", "2")]),
  ]);

  for (const result of results) expect(result).toMatchObject({ reason: expect.any(JournalWriteError) });
  server.device.onWrite = () => {};
  await expect(store.get(key("a"))).rejects.toThrow(JournalWriteError);
  await expect(store.transact([put("c", "3")])).rejects.toThrow(JournalWriteError);
});

test("a full half of the journal turns to the other and waits until the flush is recorded", async () => {
  const server = new Server();
  const member = openMember(server, 11n, { halfBlocks: 16 });
  const recording = deferred<void>();
  member.beforeRecord = () => recording.promise;
  const value = "x".repeat(4000);
  let doneCount = 0;
  const writes = (async () => {
    for (let n = 0; n < 40; n += 1) {
      await member.store.transact([put(`k${n}`, value)]);
      doneCount += 1;
    }
  })();
  for (let turn = 0; turn < 50; turn += 1) await server.clock.yield();

  // One block more than a value: entries of two blocks, eight to a half, two halves.
  expect(doneCount).toBeLessThanOrEqual(16);
  expect(doneCount).toBeGreaterThan(8);
  expect(await get(member.store, "k0")).toBe(value);

  recording.resolve();
  await writes;
  expect(await contents(member.store, datasetRange(DATASET))).toHaveLength(40);
  expect(member.recordCount).toBeGreaterThan(2);
});

test("a memtable that is large enough is written out by itself", async () => {
  const server = new Server();
  const member = openMember(server, 11n, { halfBlocks: 1024, memtableBytesMax: 100_000 });
  for (let n = 0; n < 40; n += 1) await member.store.transact([put(`k${n}`, "x".repeat(5000))]);
  for (let turn = 0; turn < 20; turn += 1) await server.clock.yield();

  expect(member.recordCount).toBeGreaterThanOrEqual(1);
  expect(member.store.stats().memtableBytes).toBeLessThan(300_000);
});

test("invalidation waits for the flush of what is dirty under the range, and for no other", async () => {
  const member = openMember(new Server(), 11n);
  await member.store.transact([put("a", "1")]);

  await member.store.invalidate(lockRangeOf(key("b")), "null");
  expect(member.recordCount).toBe(0);

  await member.store.invalidate(lockRangeOf(key("a")), "read");
  expect(member.recordCount).toBe(1);
});

test("invalidation waits for a flush already under way that holds its items", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  const recording = deferred<void>();
  member.beforeRecord = () => recording.promise;
  await member.store.transact([put("a", "1")]);
  const flushed = member.store.flush();
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  let isInvalidated = false;
  const invalidated = member.store.invalidate(lockRangeOf(key("a")), "null").then(() => {
    isInvalidated = true;
  });
  for (let turn = 0; turn < 20; turn += 1) await server.clock.yield();

  expect(isInvalidated).toBe(false);

  recording.resolve();
  await Promise.all([flushed, invalidated]);
  expect(member.recordCount).toBe(1);
});

test("what another member wrote is read after the lock has moved, and never what was remembered", async () => {
  const server = new Server();
  const [one, two] = [openMember(server, 11n), openMember(server, 12n)];
  await one.store.transact([put("a", "1"), put("b", "1")]);
  expect(await get(two.store, "a")).toBe("1");
  await two.store.transact([put("a", "2")]);
  expect(await get(one.store, "a")).toBe("2");
  await one.store.transact([{ key: key("a") }]);

  expect(await get(two.store, "a")).toBeUndefined();
  expect(await get(two.store, "b")).toBe("1");
});

test("a read that meets space used again fetches the manifest and starts over", async () => {
  const server = new Server();
  const writer = openMember(server, 11n);
  await writer.store.transact([put("a", "1"), put("b", "2")]);
  await writer.store.flush();
  const reader = openMember(server, 12n, { readCacheBytesMax: 0, blockCacheBytesMax: 0 });
  expect(await get(reader.store, "a")).toBe("1");
  await server.compact();

  expect(await get(reader.store, "a")).toBe("1");
  expect(await get(reader.store, "b")).toBe("2");
  expect(reader.refreshCount).toBe(1);
});

test("a segment that is not there although the manifest is the newest is damage", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { readCacheBytesMax: 0, blockCacheBytesMax: 0 });
  await store.transact([put("a", "1")]);
  await store.flush();
  for (const { extent } of server.manifest.refs) {
    const offset = Number(extent.start) * 4096;
    server.device.bytes.fill(0, offset, offset + extent.lengthBlocks * 4096);
  }

  await expect(store.get(key("a"))).rejects.toThrow(ManifestDamagedError);
  await expect(contents(store, datasetRange(DATASET))).rejects.toThrow(ManifestDamagedError);
});

test("without a valid lease nothing is answered from cached locks: it is read again after the renewal", async () => {
  const member = openMember(new Server(), 11n);
  const { store } = member;
  await store.transact([put("a", "1")]);

  member.isLeaseValid = false;
  expect(store.tryGet(key("a"))).toBeUndefined();
  expect(await get(store, "a")).toBe("1");
  member.isLeaseValid = false;
  expect(await contents(store, datasetRange(DATASET))).toEqual([["a", "1"]]);
  member.isLeaseValid = false;
  expect(await store.transaction(async (tx) => fromText(await tx.get(key("a"))))).toBe("1");

  expect(member.renewalCount).toBe(3);
});

test("a read that raced with a delete and its flush does not bring the item back", async () => {
  const server = new Server();
  const writer = openMember(server, 11n);
  await writer.store.transact([put("a", "old"), put("b", "1")]);
  await writer.store.flush();
  await server.compact();
  const member = openMember(server, 12n);
  // It has the WRITE lock, so that reader and writer at this member do not exclude each other.
  await member.store.transact([put("a9", "2")]);
  const reading = deferred<void>();
  server.device.onRead = () => reading.promise;
  const racing = member.store.get(key("a"));
  await member.store.transact([{ key: key("a") }]);
  await member.store.flush();
  server.device.onRead = () => {};
  reading.resolve();

  // Memory is asked again after the wait for the device, so even the racing read has the newest answer.
  expect(await racing).toBeUndefined();
  expect(await get(member.store, "a")).toBeUndefined();
  expect(member.store.tryGet(key("a"))).toEqual({ value: undefined });
});

test("a cancelled write that is still queued is not written", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  await member.store.transact([put("z", "")]);
  const check = deferred<void>();
  member.checkCommitted = () => check.promise;
  const first = member.store.transact([put("a", "1")]);
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  const abort = new AbortController();
  const second = member.store.transact([put("b", "2")], abort.signal);
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  abort.abort();

  await expect(second).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
  check.resolve();
  await first;
  await member.store.transact([put("c", "3")]);
  expect(await get(member.store, "b")).toBeUndefined();
});

test("a cancelled write that is under way goes on, whatever happens to the caller's arrays", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  const check = deferred<void>();
  member.checkCommitted = () => check.promise;
  const abort = new AbortController();
  const operation = put("a", "1");
  const written = member.store.transact([operation], abort.signal);
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  abort.abort();
  await expect(written).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
  operation.value.fill(0);
  operation.key.fill(0);

  check.resolve();
  await member.store.transact([put("b", "2")]);

  expect(await get(member.store, "a")).toBe("1");
});

test("values, transactions and queues beyond their limits are refused", async () => {
  const member = openMember(new Server(), 11n, { queueBytesMax: 10_000 });
  const { store } = member;
  const check = deferred<void>();

  await expect(store.transact([{ key: key("a"), value: new Uint8Array(65_537) }])).rejects.toThrow(
    ValueTooLongError,
  );
  const many = Array.from({ length: 5 }, (_, n) => ({ key: key(`${n}`), value: new Uint8Array(60_000) }));
  await expect(store.transact(many)).rejects.toThrow(TransactionTooLargeError);

  member.checkCommitted = () => check.promise;
  const queued = store.transact([{ key: key("a"), value: new Uint8Array(9000) }]);
  await expect(store.transact([{ key: key("b"), value: new Uint8Array(9000) }])).rejects.toThrow(
    CommitQueueFullError,
  );
  check.resolve();
  await queued;
  await store.transact([{ key: key("b"), value: new Uint8Array(9000) }]);
});

test("closing writes everything out and refuses what comes after", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);
  const last = store.transact([put("a", "1")]);
  await last;
  await Promise.all([store.close(), store.close()]);

  expect(server.manifest.refs).toHaveLength(1);
  await expect(store.get(key("a"))).rejects.toThrow(StoreClosedError);
  await expect(store.transact([put("a", "2")])).rejects.toThrow(StoreClosedError);
});

test("a store that cannot record its segments ends with that error, and its waiting writers with it", async () => {
  const member = openMember(new Server(), 11n, { halfBlocks: 16 });
  member.beforeRecord = async () => {
    throw new EvictedForTest("evicted");
  };
  await member.store.transact([put("a", "1")]);

  await expect(member.store.flush()).rejects.toThrow(EvictedForTest);
  await expect(member.store.transact([put("a", "2")])).rejects.toThrow(EvictedForTest);
});

test("a put that waits for its lock while the store closes is refused, never acknowledged and lost", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);

  const pending = [
    store.transact([put("a", "1")]),
    store.transaction(async (tx) => tx.put(key("b"), text("1"))),
  ];
  const closing = store.close();
  const outcomes = await Promise.allSettled(pending);
  await closing;

  const { store: later } = openMember(server, 12n);
  const refused = { status: "rejected", reason: expect.any(StoreClosedError) };
  for (const [index, name] of ["a", "b"].entries()) {
    const isWritten = (await get(later, name)) === "1";
    expect(outcomes[index]).toMatchObject(isWritten ? { status: "fulfilled" } : refused);
  }
});
