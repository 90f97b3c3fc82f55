import { expect, test } from "vitest";
import { deferred } from "@holdfast/environment";
import { ConflictError, type ItemStore, TRANSACTION_ATTEMPTS_MAX, type Transaction } from "../src/index.ts";
import { SeededRandom } from "./simulated-ports.ts";
import { type Member, Server, fromText, key, openMember, text } from "./world.ts";

async function increment(store: ItemStore, name: string): Promise<void> {
  await store.transaction(async (tx) => {
    const count = Number(fromText(await tx.get(key(name))) ?? "0");
    tx.put(key(name), text(String(count + 1)));
  });
}

async function get(store: ItemStore, name: string): Promise<string | undefined> {
  return fromText(await store.get(key(name)));
}

test("a transaction reads its own writes, and nobody else does before it commits", async () => {
  const { store } = openMember(new Server(), 11n);
  await store.transact([{ key: key("a"), value: text("1") }]);

  const seen = await store.transaction(async (tx) => {
    tx.put(key("a"), text("2"));
    tx.put(key("b"), text("2"));
    tx.del(key("b"));
    return [fromText(await tx.get(key("a"))), await tx.get(key("b")), await get(store, "a")];
  });

  expect(seen).toEqual(["2", undefined, "1"]);
  expect(await get(store, "a")).toBe("2");
});

test("increments at the same time by one member are all counted", async () => {
  const { store } = openMember(new Server(), 11n);

  await Promise.all(Array.from({ length: 12 }, () => increment(store, "n")));

  expect(await get(store, "n")).toBe("12");
});

test("increments at the same time by three members are all counted", async () => {
  const server = new Server();
  const stores = [11n, 12n, 13n].map((rid) => openMember(server, rid).store);

  await Promise.all(
    stores.map(async (store) => {
      for (let n = 0; n < 10; n += 1) await increment(store, "n");
    }),
  );

  expect(await Promise.all(stores.map((store) => get(store, "n")))).toEqual(["30", "30", "30"]);
});

test("money moved at random by two members, under flushes and compactions, is never made nor lost", async () => {
  const server = new Server();
  const members = [openMember(server, 11n, { halfBlocks: 16 }), openMember(server, 12n, { halfBlocks: 16 })];
  const accounts = ["a1", "a2", "b1", "b2", "c1"];
  await members[0]?.store.transact(accounts.map((name) => ({ key: key(name), value: text("100") })));
  const random = new SeededRandom(Number(process.env["SEED"] ?? 7));
  const sums: number[] = [];
  const balance = async (tx: Transaction, name: string): Promise<number> =>
    Number(fromText(await tx.get(key(name))));
  const work = async ({ store }: Member): Promise<void> => {
    for (let n = 0; n < 12; n += 1) {
      const [from, to] = [accounts[random.u32() % 5] ?? "a1", accounts[random.u32() % 5] ?? "b1"];
      const amount = random.u32() % 50;
      if (random.u32() % 6 === 0) await store.flush();
      await store.transaction(async (tx) => {
        tx.put(key(from), text(String((await balance(tx, from)) - amount)));
        tx.put(key(to), text(String((await balance(tx, to)) + amount)));
      });
      const balances = await store.transaction((tx) =>
        Promise.all(accounts.map((name) => balance(tx, name))),
      );
      sums.push(balances.reduce((sum, each) => sum + each, 0));
    }
  };

  await Promise.all([...members, ...members].map(work));
  await server.compact();

  expect(new Set(sums)).toEqual(new Set([500]));
  expect(sums).toHaveLength(48);
});

test("two transactions that each read what the other writes do not both succeed on what they read", async () => {
  const server = new Server();
  const [one, two] = [openMember(server, 11n), openMember(server, 12n)];
  const claim = (store: ItemStore, own: string, other: string): Promise<void> =>
    store.transaction(async (tx) => {
      const taken = await tx.get(key(other));
      await server.clock.yield();
      if (taken === undefined) tx.put(key(own), text("mine"));
    });

  await Promise.all([claim(one.store, "x", "y"), claim(two.store, "y", "x"), claim(one.store, "y", "x")]);

  const claimed = [await get(one.store, "x"), await get(one.store, "y")].filter(
    (value) => value !== undefined,
  );
  expect(claimed).toEqual(["mine"]);
});

test("a transaction that was overtaken by a queued local write runs again", async () => {
  const server = new Server();
  const { store } = openMember(server, 11n);
  await store.transact([{ key: key("a"), value: text("1") }]);
  let runCount = 0;

  await store.transaction(async (tx) => {
    runCount += 1;
    const value = fromText(await tx.get(key("a"))) ?? "";
    if (runCount === 1) await store.transact([{ key: key("a"), value: text("2") }]);
    tx.put(key("b"), text(`saw ${value}`));
  });

  expect(runCount).toBe(2);
  expect(await get(store, "b")).toBe("saw 2");
});

test("a write that was queued, but not applied, before the read is seen at commit", async () => {
  const server = new Server();
  const member = openMember(server, 11n);
  const { store } = member;
  await store.transact([{ key: key("a"), value: text("1") }]);
  const check = deferred<void>();
  member.checkCommitted = () => check.promise;
  const pending = store.transact([{ key: key("a"), value: text("2") }]);
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  const counted = increment(store, "a");
  for (let turn = 0; turn < 5; turn += 1) await server.clock.yield();
  check.resolve();
  await Promise.all([pending, counted]);

  expect(await get(store, "a")).toBe("3");
});

test("a transaction that is overtaken every time gives up with a conflict and writes nothing", async () => {
  const { store } = openMember(new Server(), 11n);
  let runCount = 0;
  const hopeless = store.transaction(async (tx) => {
    runCount += 1;
    await tx.get(key("a"));
    await store.transact([{ key: key("a"), value: text(String(runCount)) }]);
    tx.put(key("b"), text("never"));
  });

  await expect(hopeless).rejects.toThrow(ConflictError);
  expect(runCount).toBe(TRANSACTION_ATTEMPTS_MAX);
  expect(await get(store, "b")).toBeUndefined();
});

test("a transaction that only reads may take longer than any lease: it waits for one and looks again", async () => {
  const member = openMember(new Server(), 11n);
  await member.store.transact([{ key: key("a"), value: text("1") }]);
  let runsCount = 0;

  const seen = await member.store.transaction(async (tx) => {
    runsCount += 1;
    const value = fromText(await tx.get(key("a")));
    member.isLeaseValid = false;
    return value;
  });

  expect([seen, runsCount]).toEqual(["1", 1]);
});

test("an error of the body is passed on and nothing is written, if what the body had read was true", async () => {
  const { store } = openMember(new Server(), 11n);
  const failing = store.transaction(async (tx) => {
    tx.put(key("a"), text("1"));
    throw new Error(`no: ${String(await tx.get(key("b")))}`);
  });

  await expect(failing).rejects.toThrow("no: undefined");
  expect(await get(store, "a")).toBeUndefined();
});

test("an error of a body that saw a mixture of two states is not passed on: the body runs again", async () => {
  const { store } = openMember(new Server(), 11n);
  await store.transact([
    { key: key("x"), value: text("0") },
    { key: key("y"), value: text("0") },
  ]);
  let isFirst = true;

  await store.transaction(async (tx) => {
    const x = fromText(await tx.get(key("x")));
    if (isFirst)
      await store.transact([
        { key: key("x"), value: text("1") },
        { key: key("y"), value: text("1") },
      ]);
    isFirst = false;
    const y = fromText(await tx.get(key("y")));
    if (x !== y) throw new Error("x and y differ");
  });

  expect(isFirst).toBe(false);
});

test("a transaction that has ended refuses further use", async () => {
  const { store } = openMember(new Server(), 11n);
  const kept = await store.transaction(async (tx) => ({ tx }));

  expect(() => kept.tx.put(key("a"), text("1"))).toThrow("the transaction has ended");
  await expect(kept.tx.get(key("a"))).rejects.toThrow("the transaction has ended");
});

test("a transaction can be cancelled while it waits between attempts", async () => {
  const { store } = openMember(new Server(), 11n);
  const abort = new AbortController();
  let runCount = 0;
  const running = store.transaction(async (tx) => {
    runCount += 1;
    await tx.get(key("a"));
    await store.transact([{ key: key("a"), value: text(String(runCount)) }]);
    if (runCount === 5) abort.abort();
  }, abort.signal);

  await expect(running).rejects.toThrow(/cancelled|aborted/u);
  expect(runCount).toBe(5);
});
