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
  newServer,
  range,
  rangeOf,
  request,
  settled,
  taken,
} from "./client-fixture.ts";

describe("a new server", () => {
  test("what is held is reported with its token, and nothing else", () => {
    const client = holding("write");
    hold(client, rangeOf(20, 29), "read");
    acquire(client, 9, "read", rangeOf(30, 39));

    expect(client.report()).toEqual([
      { start: range.start, end: range.end, mode: "write", writeSeq: 100n },
      { start: rangeOf(20, 29).start, end: rangeOf(20, 29).end, mode: "read", writeSeq: 100n },
    ]);
  });

  test("C6: while a demand is unanswered the old mode is reported", () => {
    const client = holding("write");
    invalidate(client, 1, "null");
    newServer(client);

    expect(client.report()).toMatchObject([{ mode: "write" }]);
  });

  test("demands of the old server are declined; what had begun is finished and corrected by a NULL request", () => {
    const client = holding("write");
    invalidate(client, 1, "null");

    expect(newServer(client)).toEqual([
      { type: "decline", invalidation: 1, refusal: LOCK_REFUSALS.staleTerm },
    ]);
    expect(flushed(client)).toEqual([request("null", "null")]);
  });

  test("a demand that had not begun is forgotten with its server", () => {
    const client = holding("write");
    const lock = taken(client, "write");
    invalidate(client, 1, "null");
    newServer(client);

    expect(client.release(lock, "write")).toEqual([]);
    expect(client.take(range.id, "write")).toBeDefined();
  });

  test("a grant of the new server during a flush for the old one is not lost with that flush", () => {
    const client = holding("read");
    acquire(client, 1, "write");
    invalidate(client, 1, "null");
    newServer(client);

    expect(granted(client, "write", TERM + 1n)).toEqual([]);
    expect(client.report()).toMatchObject([{ mode: "write" }]);
    expect(flushed(client).map(({ type }) => type)).toEqual(["settle"]);
    expect(settled(client)).toMatchObject([{ type: "admit", waiter: 1, mode: "write" }]);
  });

  test("a new server's demand behind such a grant is served by a flush of its own", () => {
    const client = holding("read");
    acquire(client, 1, "write");
    invalidate(client, 1, "null");
    newServer(client);
    granted(client, "write", TERM + 1n);

    expect(invalidate(client, 2, "null", TERM + 1n)).toEqual([]);
    flushed(client);
    const [admission] = settled(client);
    expect(client.release((admission as LockClientEffect & { type: "admit" }).lock, "write")).toEqual([
      { type: "flush", range, to: "null" },
    ]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 2, mode: "null" }]);
  });

  test("L1: a grant of an earlier term is ignored and asked for again", () => {
    const client = newClient();
    acquire(client, 1, "write");
    newServer(client);

    expect(granted(client, "write", TERM)).toEqual([request("write", "null")]);
    expect(client.report()).toEqual([]);
  });

  test("L1: a demand of an earlier term is declined and changes nothing", () => {
    const client = holding("write");
    newServer(client);

    expect(invalidate(client, 1, "null", TERM)).toEqual([
      { type: "decline", invalidation: 1, refusal: LOCK_REFUSALS.staleTerm },
    ]);
    expect(client.take(range.id, "write")).toBeDefined();
  });
});

describe("the end", () => {
  test("C19: after shut-down nobody acquires, and demands are still served", () => {
    const client = holding("write");
    acquire(client, 1, "write", rangeOf(20, 29));

    expect(client.handle({ type: "shut-down" })).toEqual([{ type: "fail", waiter: 1, cause: "closed" }]);
    expect(acquire(client, 2, "read")).toEqual([{ type: "fail", waiter: 2, cause: "closed" }]);
    expect(client.take(range.id, "write")).toBeUndefined();
    expect(invalidate(client, 1, "null")).toEqual([{ type: "flush", range, to: "null" }]);
    expect(flushed(client)).toEqual([{ type: "answer", invalidation: 1, mode: "null" }]);
  });

  test("C18: an evicted member holds nothing, whatever was under way, and late answers change nothing", () => {
    const client = holding("write");
    const lock = taken(client, "write");
    const other = rangeOf(20, 29);
    acquire(client, 1, "write", other);
    invalidate(client, 1, "null");

    expect(client.handle({ type: "lose-all" })).toEqual([
      { type: "decline", invalidation: 1, refusal: LOCK_REFUSALS.memberGone },
      { type: "fail", waiter: 1, cause: "lost" },
    ]);
    expect(client.release(lock, "write")).toEqual([]);
    expect(granted(client, "write", TERM, other)).toEqual([]);
    expect(flushed(client)).toEqual([]);
    expect(settled(client)).toEqual([]);
    expect(client.counts()).toEqual({ lockCount: 0, idleCount: 0, userCount: 0, waiterCount: 0 });
    expect(acquire(client, 2, "read")).toEqual([{ type: "fail", waiter: 2, cause: "lost" }]);
  });
});

test("an evicted member answers no demand: its locks are given on when its journal is replayed", () => {
  const client = holding("write");
  client.handle({ type: "lose-all" });

  expect(invalidate(client, 1, "null")).toEqual([
    { type: "decline", invalidation: 1, refusal: LOCK_REFUSALS.memberGone },
  ]);
});
