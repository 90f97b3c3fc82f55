import { deferred } from "@holdfast/environment";
import { LOCK_REFUSALS, termOfWriteSeq } from "@holdfast/lock-protocol";
import { CALL_OVERLOADED } from "@holdfast/net-reliable";
import { LAST_KEY } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { quiet, rangeOf, Wiring } from "./lock-wiring.ts";

const A = 0xan;
const B = 0xbn;
const range = rangeOf(1);

test("a lock that was held once is acquired again without a message", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  expect(a.tryAcquire(range, "write")).toBeUndefined();
  (await a.acquire(range, "write")).release();

  const holds = [a.tryAcquire(range, "write"), a.tryAcquire(range, "read"), await a.acquire(range, "write")];

  for (const hold of holds) hold?.release();
  expect(holds.map((hold) => hold?.mode)).toEqual(["write", "read", "write"]);
  expect(a.stats()).toEqual({
    lockCount: 1,
    idleCount: 1,
    userCount: 0,
    waiterCount: 0,
    cachedTotal: 3,
    requestsTotal: 1,
    invalidationsTotal: 0,
  });
});

test("a range need not be prepared, and one with the same start and another end is not the same lock", async () => {
  const a = new Wiring().join(A);
  (await a.acquire(range, "write")).release();

  expect(a.tryAcquire({ start: range.start, end: range.end }, "read")).toBeDefined();
  expect(a.tryAcquire({ start: range.start, end: LAST_KEY }, "read")).toBeUndefined();
  await expect(a.acquire({ start: range.start, end: LAST_KEY }, "read")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_LOCK_OVERLAP",
  });
});

test("a second member gets the lock after the first has released and flushed it, with a greater token", async () => {
  const wiring = new Wiring();
  const order: string[] = [];
  const a = wiring.join(A, { flush: async (_, to) => void order.push(`flush to ${to}`) });
  const b = wiring.join(B);
  const first = await a.acquire(range, "write");
  const waiting = b.acquire(range, "write").then((hold) => {
    order.push("granted");
    return hold;
  });
  await quiet();
  expect(order).toEqual([]);

  first.release();
  const second = await waiting;

  expect(order).toEqual(["flush to null", "granted"]);
  expect(second.writeSeq).toBeGreaterThan(first.writeSeq);
  expect(termOfWriteSeq(second.writeSeq)).toBe(1n);
  expect(a.tryAcquire(range, "read")).toBeUndefined();
});

test("a demand is not answered while the flush runs", async () => {
  const wiring = new Wiring();
  const flush = deferred<void>();
  const a = wiring.join(A, { flush: () => flush.promise });
  const b = wiring.join(B);
  (await a.acquire(range, "write")).release();
  let isGranted = false;
  const waiting = b.acquire(range, "read").then((hold) => {
    isGranted = true;
    return hold;
  });

  await quiet();
  expect(isGranted).toBe(false);
  expect(a.report()).toMatchObject([{ mode: "write" }]);
  flush.resolve();

  (await waiting).release();
  expect(a.report()).toMatchObject([{ mode: "read" }]);
});

test("members that fight for one lock all get it, again and again", async () => {
  const wiring = new Wiring();
  const clients = [1n, 2n, 3n, 4n].map((rid) => wiring.join(rid));
  let inside = 0;
  const tokens: bigint[] = [];

  await Promise.all(
    clients.map(async (client) => {
      for (let round = 0; round < 25; round += 1) {
        const hold = await client.acquire(range, "write");
        inside += 1;
        expect(inside).toBe(1);
        tokens.push(hold.writeSeq);
        await Promise.resolve();
        inside -= 1;
        hold.release();
      }
    }),
  );

  expect(tokens).toHaveLength(100);
  expect(tokens).toEqual([...tokens].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0)));
});

test("waiters of a grant run after the owner has made use of it, and it learns the manifest's version", async () => {
  const wiring = new Wiring();
  wiring.manifestVersion = 77n;
  const refresh = deferred<void>();
  const versions: bigint[] = [];
  const a = wiring.join(A, {
    onGrant(_range, _mode, version) {
      versions.push(version);
      return refresh.promise;
    },
  });
  let isRunning = false;
  const waiting = a.acquire(range, "read").then((hold) => {
    isRunning = true;
    return hold;
  });

  await quiet();
  expect([versions, isRunning]).toEqual([[77n], false]);
  refresh.resolve();

  (await waiting).release();
});

test("when the owner cannot use a grant its waiters fail with the same error, and the lock is given back", async () => {
  const wiring = new Wiring();
  const error = new Error("no manifest");
  const a = wiring.join(A, { onGrant: () => Promise.reject(error) });

  await expect(a.acquire(range, "read")).rejects.toBe(error);
  await quiet();
  expect(wiring.server.stats().lockCount).toBe(0);
});

test("a cancelled wait rejects at once; the late grant lies idle and harms nobody", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  const b = wiring.join(B);
  const hold = await a.acquire(range, "write");
  const abort = new AbortController();
  const waiting = b.acquire(range, "write", abort.signal);
  await quiet();

  abort.abort("no longer wanted");

  await expect(waiting).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED", cause: "no longer wanted" });
  hold.release();
  await quiet();
  expect(b.stats()).toMatchObject({ idleCount: 1, userCount: 0, waiterCount: 0 });
  (await a.acquire(range, "write")).release();
});

test("a wait that is cancelled before it begins sends nothing", async () => {
  const a = new Wiring().join(A);

  await expect(a.acquire(range, "read", AbortSignal.abort())).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CANCELLED",
  });
  expect(a.stats().requestsTotal).toBe(0);
});

test("a hold is released exactly once", async () => {
  const a = new Wiring().join(A);
  const hold = await a.acquire(range, "read");
  hold.release();

  expect(() => hold.release()).toThrow("a lock is released exactly once");
});

test("a loop of cached acquires lets the event loop have its turn every thousand, or every millisecond", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);

  for (let round = 0; round < 5000; round += 1) (await a.acquire(range, "write")).release();
  expect(wiring.clock.yieldCount).toBe(5);

  for (let round = 0; round < 640; round += 1) {
    wiring.clock.timeMs += 0.02;
    (await a.acquire(range, "write")).release();
  }
  expect(wiring.clock.yieldCount).toBe(5 + 10);
});

test("above the idle limit each acquire gives back the lock that lay idle longest", async () => {
  const wiring = new Wiring();
  const flushed: number[] = [];
  const a = wiring.join(A, { idleLimit: 2, flush: async ({ start }) => void flushed.push(start[0] ?? -1) });
  for (const start of [1, 2, 3, 4, 5]) (await a.acquire(rangeOf(start), "read")).release();
  await quiet();

  expect(flushed).toEqual([1, 2]);
  expect(wiring.server.stats().holderCount).toBe(3);
  a.tryAcquire(rangeOf(5), "read")?.release();
  a.tryAcquire(rangeOf(3), "read")?.release();
  await quiet();
  expect(a.stats()).toMatchObject({ lockCount: 3, idleCount: 3 });
});

test("a flush that fails leaves the demand unanswered and is told to the member", async () => {
  const wiring = new Wiring();
  const error = new Error("device gone");
  const a = wiring.join(A, { flush: () => Promise.reject(error) });
  const b = wiring.join(B);
  (await a.acquire(range, "write")).release();
  const waiting = b.acquire(range, "read");
  await quiet();

  expect(wiring.errors).toEqual([error]);
  expect(b.stats().waiterCount).toBe(1);
  wiring.server.remove(A);
  (await waiting).release();
});

test("after shut-down acquires fail, and demands are still answered", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  const b = wiring.join(B);
  (await a.acquire(range, "write")).release();
  a.shutDown();

  await expect(a.acquire(range, "write")).rejects.toMatchObject({ code: "ERR_HOLDFAST_LOCK_CLOSED" });
  (await b.acquire(range, "write")).release();
});

test("an evicted member fails every wait with the eviction's error and answers no demand", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  const b = wiring.join(B);
  const eviction = new Error("evicted");
  const hold = await a.acquire(range, "write");
  const waiting = a.acquire(rangeOf(2), "write");
  const demanded = b.acquire(range, "read");
  await quiet();
  (await waiting).release();
  const late = a.acquire(rangeOf(3), "write");

  a.loseAll(eviction);

  await expect(late).rejects.toBe(eviction);
  await expect(a.acquire(range, "read")).rejects.toBe(eviction);
  hold.release();
  await quiet();
  expect(b.stats().waiterCount).toBe(1);
  wiring.server.remove(A);
  (await demanded).release();
  expect(wiring.badPeers).toEqual([]);
});

test("a malformed invalidation is answered as such and changes nothing", async () => {
  const a = new Wiring().join(A);
  (await a.acquire(range, "write")).release();
  const answers: number[] = [];

  a.handleInvalidate(new Uint8Array(3), (error) => answers.push(error));

  expect(answers).toEqual([LOCK_REFUSALS.malformed]);
  expect(a.tryAcquire(range, "write")).toBeDefined();
});

test("a malformed grant fails its waiter as a refusal", async () => {
  const a = new Wiring().join(A, {
    call(_command, _body, done) {
      done(0, new Uint8Array(5));
      return () => {};
    },
  });

  await expect(a.acquire(range, "read")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_LOCK_REFUSED",
    facts: { refusal: LOCK_REFUSALS.malformed },
  });
});

test("a session that closes fails its waiters as closed", async () => {
  const a = new Wiring().join(A, {
    call(_command, _body, done) {
      done(0xff01, new Uint8Array(0));
      return () => {};
    },
  });

  await expect(a.acquire(range, "read")).rejects.toMatchObject({ code: "ERR_HOLDFAST_LOCK_CLOSED" });
});

test("a request that finds no room in the session fails as one to try again", async () => {
  const a = new Wiring().join(A, {
    call(_command, _body, done) {
      done(CALL_OVERLOADED, new Uint8Array(0));
      return () => {};
    },
  });

  await expect(a.acquire(range, "read")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_REQUEST",
    category: "retry",
  });
});
