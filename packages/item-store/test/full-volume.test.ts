import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  FLUSH_FAILURES_MAX,
  ItemStore,
  ItemTable,
  SpaceFragmentedError,
  StoreClosedError,
  TABLE_SEGMENTS_MAX,
  datasetRange,
  lockRangeOf,
  writeSegments,
} from "../src/index.ts";
import {
  DATASET,
  EvictedForTest,
  FSID,
  FullForTest,
  Server,
  contents,
  fromText,
  key,
  openMember,
  text,
} from "./world.ts";

const BLOCK = "x".repeat(4000);

function put(name: string, value: string): { key: Uint8Array; value: Uint8Array } {
  return { key: key(name), value: text(value) };
}

/** Puts one value after the other until one finds no room; gives the names of those that were acknowledged. */
async function fill(store: ItemStore, prefix: string): Promise<string[]> {
  const written: string[] = [];
  for (;;) {
    const name = `${prefix}${written.length}`;
    try {
      await store.transact([put(name, BLOCK)]);
    } catch (error) {
      if (error instanceof FullForTest) return written;
      throw error;
    }
    written.push(name);
  }
}

async function names(store: ItemStore): Promise<string[]> {
  return (await contents(store, datasetRange(DATASET))).map(([name]) => name);
}

test("on a full volume writes that find no room are refused, and all that was acknowledged is read", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;

  const written = await fill(store, "a");

  expect(written.length).toBeGreaterThan(40);
  expect(await names(store)).toEqual(written.toSorted());
  expect(fromText(await store.get(key("a0")))).toBe(BLOCK);
  await expect(store.transaction(async (tx) => tx.put(key("b"), text(BLOCK)))).rejects.toThrow(FullForTest);
  expect(store.stats().recordedEpoch).toBe(0n);
});

test("once there is space again, the flush that waited ends and writes go on by themselves", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;
  const before = await fill(store, "a");
  server.isFull = false;

  await store.flush();
  await store.transact([put("b", BLOCK)]);

  expect(await names(store)).toEqual([...before.toSorted(), "b"]);
  expect(store.stats().recordedEpoch).toBe(2n);
});

test("a full volume takes deletions from the reserve of the journal, and they hold", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;
  const written = await fill(store, "a");

  for (const name of written.slice(0, 7)) await store.transact([{ key: key(name) }]);

  expect(await names(store)).toEqual(written.slice(7).toSorted());
  server.isFull = false;
  await store.flush();
  expect(await names(store)).toEqual(written.slice(7).toSorted());
});

test("when the reserve is used up deletions are refused like writes, and accepted again after a flush", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 16 });
  server.isFull = true;
  const [first = ""] = await fill(store, "a");
  const deleteUntilRefused = async (): Promise<void> => {
    for (let count = 0; count < 16; count += 1) await store.transact([{ key: key(first) }]);
  };

  await expect(deleteUntilRefused()).rejects.toThrow(FullForTest);

  server.isFull = false;
  await store.flush();
  await deleteUntilRefused();
});

test("a refused write lets those behind it pass that fit", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;
  const [first = ""] = await fill(store, "a");

  const [large, deletion] = await Promise.allSettled([
    store.transact([put("b", BLOCK)]),
    store.transact([{ key: key(first) }]),
  ]);

  expect(large).toMatchObject({ status: "rejected", reason: { code: "ERR_HOLDFAST_NO_SPACE" } });
  expect(deletion).toMatchObject({ status: "fulfilled" });
});

test("where the quarantine holds the space, writes are refused as on a full volume, and the store goes on", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.fullCode = "ERR_HOLDFAST_SPACE_QUARANTINED";
  server.isFull = true;
  const written = await fill(store, "a");
  await expect(store.transact([put("b", BLOCK)])).rejects.toMatchObject({
    code: "ERR_HOLDFAST_SPACE_QUARANTINED",
  });
  server.isFull = false;

  await store.flush();
  await store.transact([put("c", "1")]);

  expect(await names(store)).toEqual([...written, "c"].toSorted());
});

test("an invalidation on a full volume waits, and ends once its items are recorded", async () => {
  const server = new Server();
  const [one, two] = [openMember(server, 11n), openMember(server, 12n)];
  await one.store.transact([put("a", "1")]);
  server.isFull = true;
  let isInvalidated = false;
  const invalidated = one.store.invalidate(lockRangeOf(key("a")), "null").then(() => {
    isInvalidated = true;
  });
  for (let turn = 0; turn < 200; turn += 1) await server.clock.yield();
  expect(isInvalidated).toBe(false);
  expect(server.takeCount).toBeGreaterThan(FLUSH_FAILURES_MAX);

  server.isFull = false;
  await invalidated;

  expect(fromText(await two.store.get(key("a")))).toBe("1");
});

test("a flush on a full volume says so after a number of attempts, and goes on without its caller", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);
  await store.transact([put("a", "1")]);
  server.isFull = true;
  const takenBefore = server.takeCount;

  await expect(store.flush()).rejects.toThrow(FullForTest);
  expect(server.takeCount - takenBefore).toBeGreaterThanOrEqual(FLUSH_FAILURES_MAX);

  await store.transact([put("b", "2")]);
  server.isFull = false;
  await store.flush();
  expect(store.stats()).toMatchObject({ memtableBytes: 0, recordedEpoch: 2n });
});

test("closing on a full volume ends with that error, and a replay of the journal finds everything", async () => {
  const server = new Server();
  const member = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;
  const written = await fill(member.store, "a");

  await expect(member.store.close()).rejects.toThrow(FullForTest);
  await expect(member.store.get(key("a0"))).rejects.toThrow(FullForTest);
  const takenBefore = server.takeCount;
  for (let turn = 0; turn < 50; turn += 1) await server.clock.yield();
  expect(server.takeCount).toBe(takenBefore);

  server.isFull = false;
  await server.bury(11n, member.journal);
  expect(await names(openMember(server, 12n).store)).toEqual(written.toSorted());
});

test("a store that ends while its flush waits for space tells everybody who waits", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);
  await store.transact([put("a", "1")]);
  server.isFull = true;
  const waiting = store.invalidate(lockRangeOf(key("a")), "null");
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();

  store.fail(new EvictedForTest("evicted"));

  await expect(waiting).rejects.toThrow(EvictedForTest);
});

test("a server without space for its own records is asked again, with the same segments", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  await member.store.transact([put("a", "1")]);
  let refusalCount = 0;
  member.beforeRecord = async () => {
    refusalCount += 1;
    if (refusalCount < 3) throw new FullForTest("ERR_HOLDFAST_NO_SPACE");
  };
  const freeBefore = server.freeBlocks;

  await member.store.flush();

  const [ref] = server.manifest.refs;
  expect(server.manifest.refs).toHaveLength(1);
  expect(freeBefore - server.freeBlocks).toBe(ref?.extent.lengthBlocks);
});

test("closing while there is space leaves nothing behind, a full volume before it or not", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 64 });
  server.isFull = true;
  await fill(store, "a");
  server.isFull = false;

  await store.close();

  await expect(store.get(key("a0"))).rejects.toThrow(StoreClosedError);
  expect(store.stats().memtableBytes).toBe(0);
});

test("blocks are asked for before a value is accepted, so a volume that fills up can still be flushed", async () => {
  const server = new Server();
  const one = openMember(server, 11n, { halfBlocks: 256, pledgedBlocks: 0 });
  const two = openMember(server, 12n, { pledgedBlocks: 0 });
  for (let n = 0; n < 20; n += 1) await one.store.transact([put(`k${n}`, BLOCK)]);
  server.isFull = true;

  const written = await fill(one.store, "a");
  expect(written.length).toBeLessThan(40);
  await one.store.transact([{ key: key("k0") }]);
  const [invalidated] = await Promise.allSettled([two.store.get(key("k1"))]);
  await one.store.flush();

  expect(invalidated).toMatchObject({ value: text(BLOCK) });
  expect(await names(two.store)).toHaveLength(19 + written.length);
  expect(one.store.stats().memtableBytes).toBe(0);
  await one.store.close();
});

test("values are accepted again by themselves once blocks can be had", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { pledgedBlocks: 0 });
  server.isFull = true;
  expect(await fill(store, "a")).toEqual([]);
  await expect(store.transact([put("b", BLOCK)])).rejects.toThrow(FullForTest);

  server.isFull = false;
  for (let turn = 0; turn < 20; turn += 1) await server.clock.yield();

  await store.transact([put("b", BLOCK)]);
});

test("a closed store asks for no more blocks", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { pledgedBlocks: 0 });
  server.isFull = true;
  await fill(store, "a");

  await store.close();

  await expect(store.transact([put("b", BLOCK)])).rejects.toThrow(StoreClosedError);
});

function writeTable(server: Server, table: ItemTable): ReturnType<typeof writeSegments> {
  return writeSegments(table, {
    device: server.device,
    fsid: FSID,
    rid: 1n,
    clock: server.clock,
    space: { take: async (blocks) => server.take(blocks), put: (extent) => server.put(extent) },
    term: () => 1n,
    nextSegmentId: () => server.nextSegmentId(),
  });
}

test("an extent that just holds one value is enough for a segment of it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 65_536 }), async (lengthBytes) => {
      const server = new Server(1024 * 1024);
      // Its data block with header and row, the tail, the footer.
      server.runBlocksMax = Math.ceil((lengthBytes + 64) / 4096) + 2;
      const table = new ItemTable();
      table.put(key("a"), 1n, new Uint8Array(lengthBytes));

      const segments = await writeTable(server, table);

      expect(segments.map(({ itemCount }) => itemCount)).toEqual([1]);
    }),
    { numRuns: 40 },
  );
});

test("short extents make several smaller segments, and nothing is lost on the way", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n, { halfBlocks: 128 });
  for (let n = 10; n < 40; n += 1) await store.transact([put(`k${n}`, BLOCK)]);
  server.runBlocksMax = 6;

  await store.flush();

  expect(server.manifest.refs.length).toBeGreaterThan(5);
  expect(await contents(store, datasetRange(DATASET))).toHaveLength(30);
});

test("extents too short for the next item, or too many of them, are given back and reported", async () => {
  const server = new Server();
  const freeBefore = server.freeBlocks;
  const [large, many] = [new ItemTable(), new ItemTable()];
  large.put(key("a"), 1n, new Uint8Array(9000));
  for (let n = 0; n <= TABLE_SEGMENTS_MAX; n += 1) many.put(key(`k${n}`), 1n, new Uint8Array(4000));
  server.runBlocksMax = 3;

  await expect(writeTable(server, large)).rejects.toThrow(SpaceFragmentedError);
  await expect(writeTable(server, many)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_SPACE_FRAGMENTED",
    category: "retry",
  });

  expect(server.freeBlocks).toBe(freeBefore);
});
