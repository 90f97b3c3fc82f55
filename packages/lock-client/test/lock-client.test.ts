import { LOCK_REFUSALS } from "@holdfast/lock-protocol";
import { describe, expect, test } from "vitest";
import type { LockClientEffect } from "../src/index.ts";
import {
  TERM,
  acquire,
  flushed,
  granted,
  hold,
  holding,
  invalidate,
  newClient,
  range,
  rangeOf,
  request,
  settled,
  taken,
} from "./client-fixture.ts";

describe("using", () => {
  test("the first user sends a request, the grant is settled, and then the user runs", () => {
    const client = newClient();

    expect(acquire(client, 1, "write")).toEqual([request("write", "null")]);
    expect(granted(client, "write")).toEqual([
      { type: "settle", range, mode: "write", manifestVersion: 40n },
    ]);
    expect(settled(client)).toMatchObject([{ type: "admit", waiter: 1, mode: "write" }]);
  });

  test("a cached mode is taken without an event, and released without an effect", () => {
    const client = holding("write");

    const lock = taken(client, "write");

    expect(lock.writeSeq).toBe(100n);
    expect(client.counts()).toMatchObject({ userCount: 1, idleCount: 0 });
    expect(client.release(lock, "write")).toEqual([]);
    expect(client.counts()).toMatchObject({ userCount: 0, idleCount: 1 });
  });

  test("several users of one member share a WRITE lock, readers among them", () => {
    const client = holding("write");

    const locks = [taken(client, "write"), taken(client, "write"), taken(client, "read")];

    expect(new Set(locks).size).toBe(1);
    expect(client.counts().userCount).toBe(3);
  });

  test("users that come while a request is in flight send no other, and one grant serves them all", () => {
    const client = newClient();
    acquire(client, 1, "write");

    expect(acquire(client, 2, "read")).toEqual([]);
    expect(acquire(client, 3, "write")).toEqual([]);
    granted(client, "write");
    expect(settled(client).map((effect) => (effect.type === "admit" ? effect.waiter : 0))).toEqual([1, 2, 3]);
  });

  test("a reader that wants to write asks for WRITE and goes on reading meanwhile", () => {
    const client = holding("read");

    expect(acquire(client, 1, "write")).toEqual([request("write", "read")]);
    expect(client.take(range.id, "read")).toBeDefined();
  });

  test("users that a grant does not serve have a stronger mode asked for", () => {
    const client = newClient();
    acquire(client, 1, "read");
    acquire(client, 2, "write");
    granted(client, "read");

    expect(settled(client)).toMatchObject([{ type: "admit", waiter: 1 }, request("write", "read")]);
  });

  test("nobody uses a grant before it is settled, and new users wait with the others", () => {
    const client = newClient();
    acquire(client, 1, "read");
    granted(client, "read");

    expect(client.take(range.id, "read")).toBeUndefined();
    expect(acquire(client, 2, "read")).toEqual([]);
    expect(settled(client)).toMatchObject([
      { type: "admit", waiter: 1 },
      { type: "admit", waiter: 2 },
    ]);
  });

  test("a grant that cannot be settled fails its users and is given back", () => {
    const client = newClient();
    const error = new Error("no manifest");
    acquire(client, 1, "read");
    granted(client, "read");

    expect(client.handle({ type: "settle-failed", range, error })).toEqual([
      { type: "fail", waiter: 1, cause: "unsettled", error },
      { type: "flush", range, to: "null" },
    ]);
    expect(flushed(client)).toEqual([request("null", "null")]);
    granted(client, "null");
    expect(client.counts().lockCount).toBe(0);
  });

  test("C13: a range that overlaps another lock, or has its start and another end, is refused at home", () => {
    const client = holding("read");

    for (const other of [rangeOf(5, 10), rangeOf(19, 30), rangeOf(10, 11)])
      expect(client.handle({ type: "acquire", waiter: 9, range: other, mode: "read" })).toEqual([
        { type: "fail", waiter: 9, cause: "overlap" },
      ]);
  });

  test("C17: a second release of one use is a broken invariant", () => {
    const client = holding("read");
    const lock = taken(client, "read");
    client.release(lock, "read");

    expect(() => client.release(lock, "read")).toThrow("a lock is released once per use");
  });

  test("C21: after thousands of uses the counts are back at zero", () => {
    const client = holding("write");
    for (let round = 0; round < 5000; round += 1) {
      const lock = taken(client, round % 2 === 0 ? "read" : "write");
      client.release(lock, round % 2 === 0 ? "read" : "write");
    }

    expect(client.counts()).toEqual({ lockCount: 1, idleCount: 1, userCount: 0, waiterCount: 0 });
  });
});

describe("giving up on demand", () => {
  test("a demand is answered after the flush has ended, not before", () => {
    const client = holding("write");

    expect(invalidate(client, 1, "null")).toEqual([{ type: "flush", range, to: "null" }]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 1, mode: "null" }]);
    expect(client.counts().lockCount).toBe(0);
  });

  test("with the rule invalidate-before-commit broken the answer goes out before the flush", () => {
    const client = holding("write", new Set(["invalidate-before-commit"]));

    expect(invalidate(client, 1, "null")).toEqual([
      { type: "answer", invalidation: 1, mode: "null" },
      { type: "flush", range, to: "null" },
    ]);
    expect(client.report()).toEqual([]);
  });

  test("a demand waits for the users in its way, and only for those", () => {
    const client = holding("write");
    const writer = taken(client, "write");
    const reader = taken(client, "read");

    expect(invalidate(client, 1, "read")).toEqual([]);
    expect(client.release(writer, "write")).toEqual([{ type: "flush", range, to: "read" }]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 1, mode: "read" }]);
    expect(client.release(reader, "read")).toEqual([]);
  });

  test("during a demand new users get what it leaves; the others wait and ask again after the answer", () => {
    const client = holding("write");
    invalidate(client, 1, "read");

    expect(client.take(range.id, "write")).toBeUndefined();
    expect(acquire(client, 2, "write")).toEqual([]);
    expect(acquire(client, 3, "read")).toMatchObject([{ type: "admit", waiter: 3 }]);
    expect(flushed(client)).toEqual([
      { type: "answer", invalidation: 1, mode: "read" },
      request("write", "read"),
    ]);
  });

  test("C8: the loss of READ has caches dropped too", () => {
    const client = holding("read");

    expect(invalidate(client, 1, "null")).toEqual([{ type: "flush", range, to: "null" }]);
  });

  test("C9: those a grant was given to use it before a demand that is already here is served", () => {
    const client = newClient();
    acquire(client, 1, "write");
    granted(client, "write");

    expect(invalidate(client, 1, "null")).toEqual([]);
    const [admission] = settled(client);
    expect(admission).toMatchObject({ type: "admit", waiter: 1 });
    expect(client.release((admission as LockClientEffect & { type: "admit" }).lock, "write")).toEqual([
      { type: "flush", range, to: "null" },
    ]);
  });

  test("C2: a second demand before the first is answered is served by what remains to be done", () => {
    const client = holding("write");
    invalidate(client, 1, "read");

    expect(invalidate(client, 2, "null")).toEqual([]);
    expect(flushed(client)).toEqual([
      { type: "answer", invalidation: 1, mode: "read" },
      { type: "flush", range, to: "null" },
    ]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 2, mode: "null" }]);
  });

  test("C5: a demand for a lock that is not held, or held no stronger, is answered at once", () => {
    const client = holding("read");

    expect(
      client.handle({ type: "invalidate", invalidation: 1, id: rangeOf(20, 29).id, to: "null", term: TERM }),
    ).toEqual([{ type: "answer", invalidation: 1, mode: "null" }]);
    expect(invalidate(client, 2, "read")).toEqual([{ type: "answer", invalidation: 2, mode: "read" }]);
  });

  test("a demand while an upgrade is in flight takes the old mode; the upgrade stays asked for", () => {
    const client = holding("read");
    acquire(client, 1, "write");

    expect(invalidate(client, 1, "null")).toEqual([{ type: "flush", range, to: "null" }]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 1, mode: "null" }]);
    expect(granted(client, "write").map(({ type }) => type)).toEqual(["settle"]);
  });
});

describe("cancelling and refusing", () => {
  test("a cancelled wait leaves its request in flight, and the late grant lies idle", () => {
    const client = newClient();
    acquire(client, 1, "write");

    expect(client.handle({ type: "cancel", waiter: 1, range })).toEqual([]);
    granted(client, "write");
    expect(settled(client)).toEqual([]);
    expect(client.counts()).toEqual({ lockCount: 1, idleCount: 1, userCount: 0, waiterCount: 0 });
  });

  test("a cancelled wait whose request is refused leaves nothing", () => {
    const client = newClient();
    acquire(client, 1, "write");
    client.handle({ type: "cancel", waiter: 1, range });

    expect(client.handle({ type: "refused", range, refusal: 3 })).toEqual([]);
    expect(client.counts().lockCount).toBe(0);
  });

  test("a refusal fails those it was asked for, and the next user asks again", () => {
    const client = newClient();
    acquire(client, 1, "read");
    acquire(client, 2, "write");

    expect(client.handle({ type: "refused", range, refusal: LOCK_REFUSALS.tableFull })).toEqual([
      { type: "fail", waiter: 1, cause: LOCK_REFUSALS.tableFull },
      request("write", "null"),
    ]);
  });

  test("C20: a grant of a mode that was not asked for is the server's fault and crashes nobody", () => {
    const client = newClient();
    acquire(client, 1, "read");

    expect(granted(client, "write")).toEqual([
      { type: "reject-server", reason: "a grant of a mode that was not asked for" },
      { type: "fail", waiter: 1, cause: "protocol" },
    ]);
    expect(client.report()).toEqual([]);
  });
});

describe("idle locks", () => {
  test("C16: above the limit each shrink gives back the one that fell idle first, and no more", () => {
    const client = newClient(2);
    for (const start of [20, 30, 40]) hold(client, rangeOf(start, start), "read");

    expect(client.isOverIdleLimit).toBe(true);
    expect(client.handle({ type: "shrink" })).toEqual([
      { type: "flush", range: rangeOf(20, 20), to: "null" },
    ]);
    expect(client.isOverIdleLimit).toBe(false);
    expect(client.handle({ type: "shrink" })).toEqual([]);
  });

  test("a lock is given back after its flush, by a NULL request, and is reported until then", () => {
    const client = holding("write", undefined, 0);
    client.handle({ type: "shrink" });

    expect(client.report()).toHaveLength(1);
    expect(flushed(client)).toEqual([request("null", "null")]);
    expect(client.report()).toEqual([]);
    expect(granted(client, "null")).toEqual([]);
    expect(client.counts().lockCount).toBe(0);
  });

  test("a user that comes while a lock is given back has it asked for instead", () => {
    const client = holding("write", undefined, 0);
    client.handle({ type: "shrink" });

    expect(acquire(client, 1, "read")).toEqual([]);
    expect(flushed(client)).toEqual([request("read", "null")]);
  });

  test("a user that comes after the NULL request waits for its answer and then asks", () => {
    const client = holding("write", undefined, 0);
    client.handle({ type: "shrink" });
    flushed(client);

    expect(acquire(client, 1, "read")).toEqual([]);
    expect(granted(client, "null")).toEqual([request("read", "null")]);
  });

  test("a demand that meets a lock being given back is its answer: no NULL request follows", () => {
    const client = holding("write", undefined, 0);
    client.handle({ type: "shrink" });

    expect(invalidate(client, 1, "read")).toEqual([]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 1, mode: "null" }]);
    expect(client.counts().lockCount).toBe(0);
  });
});
