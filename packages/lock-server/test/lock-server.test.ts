import { LOCK_REFUSALS, type LockMode, LockRange, writeSeqOf } from "@holdfast/lock-protocol";
import { KEY_BYTES } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import { LockServer, type LockServerEffect } from "../src/index.ts";

const TERM = 7n;
const A = 0xan;
const B = 0xbn;
const C = 0xcn;
const range = rangeOf(10, 19);

describe("granting", () => {
  test("a lock that nobody holds is granted at once, with a token of this term", () => {
    const server = openServer();

    expect(ask(server, A, 1, "write")).toEqual([grant(A, 1, "write", writeSeqOf(TERM, 1n))]);
  });

  test("many members read together", () => {
    const server = openServer();

    expect(ask(server, A, 1, "read")).toEqual([grant(A, 1, "read", 0n)]);
    expect(ask(server, B, 2, "read")).toEqual([grant(B, 2, "read", 0n)]);
  });

  test("a reader has a writer fall to READ, and gets the writer's token", () => {
    const server = openServer();
    ask(server, A, 1, "write");

    expect(ask(server, B, 2, "read")).toEqual([invalidate(A, "read", writeSeqOf(TERM, 1n))]);
    expect(answer(server, A, "read")).toEqual([grant(B, 2, "read", writeSeqOf(TERM, 1n))]);
    expect(server.counts().holderCount).toBe(2);
  });

  test("a writer has every other holder fall to NULL, and waits for all of them", () => {
    const server = openServer();
    ask(server, A, 1, "read");
    ask(server, B, 2, "read");

    expect(ask(server, C, 3, "write")).toEqual([invalidate(A, "null", 0n), invalidate(B, "null", 0n)]);
    expect(answer(server, A, "null")).toEqual([]);
    expect(answer(server, B, "null")).toEqual([grant(C, 3, "write", writeSeqOf(TERM, 1n))]);
  });

  test("a member that holds READ alone is upgraded without giving it up", () => {
    const server = openServer();
    ask(server, A, 1, "read");

    expect(ask(server, A, 2, "write")).toEqual([grant(A, 2, "write", writeSeqOf(TERM, 1n))]);
    expect(server.counts().holderCount).toBe(1);
  });

  test("two readers that both want to write get it one after the other", () => {
    const server = openServer();
    ask(server, A, 1, "read");
    ask(server, B, 2, "read");

    expect(ask(server, A, 3, "write")).toEqual([invalidate(B, "null", 0n)]);
    expect(ask(server, B, 4, "write")).toEqual([]);
    expect(answer(server, B, "null")).toEqual([
      grant(A, 3, "write", writeSeqOf(TERM, 1n)),
      invalidate(A, "null", writeSeqOf(TERM, 1n)),
    ]);
    expect(answer(server, A, "null")).toEqual([grant(B, 4, "write", writeSeqOf(TERM, 2n))]);
  });

  test("requests are granted in the order they came: readers do not overtake a waiting writer", () => {
    const server = openServer();
    ask(server, A, 1, "read");
    ask(server, B, 2, "write");

    expect(ask(server, C, 3, "read")).toEqual([]);
    expect(answer(server, A, "null")).toEqual([
      grant(B, 2, "write", writeSeqOf(TERM, 1n)),
      invalidate(B, "read", writeSeqOf(TERM, 1n)),
    ]);
  });

  test("L10: a grant and the invalidation of that grant leave in this order", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "write");
    ask(server, C, 3, "write");

    expect(answer(server, A, "null").map(({ type }) => type)).toEqual(["grant", "invalidate"]);
  });

  test("one invalidation per lock and member is outstanding at a time", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "read");

    expect(ask(server, C, 3, "write")).toEqual([]);
    expect(answer(server, A, "read")).toEqual([
      grant(B, 2, "read", writeSeqOf(TERM, 1n)),
      invalidate(A, "null", writeSeqOf(TERM, 1n)),
      invalidate(B, "null", writeSeqOf(TERM, 1n)),
    ]);
  });

  test("tokens of write grants rise, over all locks", () => {
    const server = openServer();
    const other = rangeOf(20, 29);

    const effects = [...ask(server, A, 1, "write"), ...ask(server, A, 2, "write", other)];

    expect(effects.map((effect) => (effect.type === "grant" ? effect.writeSeq : 0n))).toEqual([
      writeSeqOf(TERM, 1n),
      writeSeqOf(TERM, 2n),
    ]);
  });
});

describe("giving back", () => {
  test("L2: a NULL request gives back its own grant and revokes nobody else", () => {
    const server = openServer();
    ask(server, A, 1, "read");
    ask(server, B, 2, "read");

    expect(ask(server, A, 3, "null")).toEqual([grant(A, 3, "null", 0n)]);
    expect(server.counts().holderCount).toBe(1);
  });

  test("L1: a lock that nobody holds or awaits leaves the table, and comes back whole", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, A, 2, "null");

    expect(server.counts().lockCount).toBe(0);
    expect(ask(server, B, 3, "write")).toEqual([grant(B, 3, "write", writeSeqOf(TERM, 2n))]);
  });

  test("a NULL request that crosses an invalidation waits for its answer, and is then granted", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "write");

    expect(ask(server, A, 3, "null")).toEqual([]);
    expect(answer(server, A, "null")).toEqual([
      grant(B, 2, "write", writeSeqOf(TERM, 2n)),
      grant(A, 3, "null", 0n),
    ]);
  });

  test("a member may fall lower than it was asked", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "read");

    expect(answer(server, A, "null")).toEqual([grant(B, 2, "read", writeSeqOf(TERM, 1n))]);
    expect(server.counts().holderCount).toBe(1);
  });
});

describe("refusing", () => {
  test("C13: a range that overlaps a lock of another start is refused", () => {
    const server = openServer();
    ask(server, A, 1, "read");

    for (const other of [rangeOf(5, 10), rangeOf(15, 16), rangeOf(19, 30)])
      expect(ask(server, B, 2, "read", other)).toEqual([refuse(B, 2, LOCK_REFUSALS.overlap)]);
  });

  test("C13: a range with the start of a lock and another end is refused", () => {
    const server = openServer();
    ask(server, A, 1, "read");

    expect(ask(server, B, 2, "read", rangeOf(10, 18))).toEqual([refuse(B, 2, LOCK_REFUSALS.overlap)]);
  });

  test("a full table refuses new locks and goes on granting those it has", () => {
    const server = openServer(1);
    ask(server, A, 1, "read");

    expect(ask(server, B, 2, "read", rangeOf(20, 29))).toEqual([refuse(B, 2, LOCK_REFUSALS.tableFull)]);
    expect(ask(server, B, 3, "read")).toEqual([grant(B, 3, "read", 0n)]);
  });

  test("L11: a second request of a member for one lock while the first waits is its fault alone", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "write");

    expect(ask(server, B, 3, "read")).toEqual([
      refuse(B, 3, LOCK_REFUSALS.malformed),
      { type: "reject-peer", rid: B, reason: "two requests for one lock at a time" },
    ]);
    expect(answer(server, A, "null")).toEqual([grant(B, 2, "write", writeSeqOf(TERM, 2n))]);
  });

  test("L11: an answer that fits no invalidation is its sender's fault alone", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    const fault = { type: "reject-peer", rid: A, reason: "an answer that fits no invalidation" };

    expect(answer(server, A, "null")).toEqual([fault]);
    ask(server, B, 2, "read");
    expect(answer(server, A, "write")).toEqual([fault]);
    expect(answer(server, A, "read").map(({ type }) => type)).toEqual(["grant"]);
  });
});

describe("members that leave", () => {
  test("a removed member's locks go to those who wait, and its own requests are answered", () => {
    const server = openServer();
    const other = rangeOf(20, 29);
    ask(server, A, 1, "write");
    ask(server, B, 2, "write");
    ask(server, B, 3, "write", other);
    ask(server, A, 4, "read", other);

    expect(server.handle({ type: "remove", rid: A })).toEqual([
      grant(B, 2, "write", writeSeqOf(TERM, 3n)),
      refuse(A, 4, LOCK_REFUSALS.memberGone),
    ]);
  });

  test("removal while an invalidation is outstanding counts as its answer", () => {
    const server = openServer();
    ask(server, A, 1, "read");
    ask(server, B, 2, "read");
    ask(server, C, 3, "write");
    answer(server, B, "null");

    expect(server.handle({ type: "remove", rid: A })).toEqual([grant(C, 3, "write", writeSeqOf(TERM, 1n))]);
  });

  test("an answer of a member that was removed while it was on its way is no fault: its farewell overtook it", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    ask(server, B, 2, "write");
    server.handle({ type: "remove", rid: A });

    expect(answer(server, A, "null")).toEqual([]);
    expect(answer(server, B, "null").map(({ type }) => type)).toEqual(["reject-peer"]);
  });

  test("removal may be repeated", () => {
    const server = openServer();
    ask(server, A, 1, "write");
    server.handle({ type: "remove", rid: A });

    expect(server.handle({ type: "remove", rid: A })).toEqual([]);
    expect(server.counts().lockCount).toBe(0);
  });
});

function openServer(locksMax = 100): LockServer {
  const server = new LockServer({ term: TERM, locksMax });
  server.handle({ type: "begin-recovery", members: [] });
  return server;
}

function ask(
  server: LockServer,
  rid: bigint,
  request: number,
  mode: LockMode,
  of: LockRange = range,
): readonly LockServerEffect[] {
  return server.handle({ type: "request", rid, request, range: of, mode });
}

function answer(server: LockServer, rid: bigint, mode: LockMode): readonly LockServerEffect[] {
  return server.handle({ type: "invalidated", rid, range, mode });
}

function grant(rid: bigint, request: number, mode: LockMode, writeSeq: bigint): LockServerEffect {
  return { type: "grant", rid, request, range, mode, writeSeq };
}

function refuse(rid: bigint, request: number, refusal: number): LockServerEffect {
  return { type: "refuse", rid, request, refusal };
}

function invalidate(rid: bigint, to: LockMode, writeSeq: bigint): LockServerEffect {
  return { type: "invalidate", rid, range, to, writeSeq };
}

function rangeOf(start: number, end: number): LockRange {
  const first = new Uint8Array(KEY_BYTES);
  const last = new Uint8Array(KEY_BYTES);
  first[0] = start;
  last[0] = end;
  return new LockRange({ start: first, end: last });
}
