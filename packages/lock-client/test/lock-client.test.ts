import { LOCK_REFUSALS, type LockMode, LockRange } from "@holdfast/lock-protocol";
import { FIRST_KEY, KEY_BYTES, LAST_KEY } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import { LockClient, type LockClientEffect, type LockState } from "../src/index.ts";

const TERM = 3n;
const range = rangeOf(10, 19);

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

function newClient(idleLimit = 100, brokenRules: ReadonlySet<string> = new Set()): LockClient {
  const client = new LockClient({ idleLimit, brokenRules });
  client.handle({ type: "new-server", term: TERM });
  return client;
}

function holding(mode: "read" | "write", brokenRules?: ReadonlySet<string>, idleLimit?: number): LockClient {
  const client = newClient(idleLimit, brokenRules);
  hold(client, range, mode);
  return client;
}

/** Has the client hold a lock that nobody uses. */
function hold(client: LockClient, of: LockRange, mode: "read" | "write"): void {
  acquire(client, 0, mode, of);
  client.handle({ type: "cancel", waiter: 0, range: of });
  granted(client, mode, TERM, of);
  client.handle({ type: "settled", range: of });
}

function taken(client: LockClient, mode: "read" | "write"): LockState {
  const lock = client.take(range.id, mode);
  if (lock === undefined) throw new Error("the lock is not cached");
  return lock;
}

function acquire(
  client: LockClient,
  waiter: number,
  mode: "read" | "write",
  of: LockRange = range,
): readonly LockClientEffect[] {
  return client.handle({ type: "acquire", waiter, range: of, mode });
}

function granted(
  client: LockClient,
  mode: LockMode,
  term: bigint = TERM,
  of: LockRange = range,
): readonly LockClientEffect[] {
  return client.handle({ type: "granted", range: of, mode, writeSeq: 100n, term, manifestVersion: 40n });
}

function settled(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "settled", range });
}

function invalidate(
  client: LockClient,
  invalidation: number,
  to: LockMode,
  term: bigint = TERM,
): readonly LockClientEffect[] {
  return client.handle({ type: "invalidate", invalidation, id: range.id, to, term });
}

function flushed(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "flushed", range });
}

function newServer(client: LockClient): readonly LockClientEffect[] {
  return client.handle({ type: "new-server", term: TERM + 1n });
}

function request(mode: LockMode, held: LockMode): LockClientEffect {
  return { type: "request", range, mode, held };
}

function rangeOf(start: number, end: number): LockRange {
  const first = FIRST_KEY.slice();
  const last = LAST_KEY.slice(0, KEY_BYTES);
  first[0] = start;
  last[0] = end;
  return new LockRange({ start: first, end: last });
}
