import { LOCK_REFUSALS, type LockMode, LockRange, writeSeqOf } from "@holdfast/lock-protocol";
import { KEY_BYTES, LAST_KEY } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { LockServer, type LockServerEffect } from "../src/index.ts";

const TERM = 7n;
const OLD = writeSeqOf(6n, 900n);
const A = 0xan;
const B = 0xbn;
const C = 0xcn;
const range = new LockRange({ start: new Uint8Array(KEY_BYTES), end: LAST_KEY });
const CONFLICT = "a reported lock that another member holds";

test("nothing is granted before the server knows who may hold locks", () => {
  const server = new LockServer({ term: TERM, locksMax: 9 });

  expect(ask(server, A, 1, "write")).toEqual([]);
  expect(server.handle({ type: "begin-recovery", members: [] })).toEqual([
    { type: "finish-recovery" },
    grant(A, 1, "write", writeSeqOf(TERM, 1n)),
  ]);
});

test("nothing is granted before every awaited member has reported or is removed", () => {
  const server = recovering([A, B]);
  ask(server, C, 1, "write");
  claim(server, A, "read", OLD);

  expect(server.handle({ type: "reclaimed", rid: A })).toEqual([]);
  expect(server.awaited).toEqual([B]);
  expect(server.handle({ type: "remove", rid: B })).toEqual([
    { type: "finish-recovery" },
    { type: "invalidate", rid: A, range, to: "null", writeSeq: OLD },
  ]);
});

test("a reported WRITE lock keeps its token, and the tokens of this term are greater", () => {
  const server = recovering([A]);
  claim(server, A, "write", OLD);
  server.handle({ type: "reclaimed", rid: A });

  expect(ask(server, B, 1, "read")).toEqual([
    { type: "invalidate", rid: A, range, to: "read", writeSeq: OLD },
  ]);
  expect(server.handle({ type: "invalidated", rid: A, range, mode: "read" })).toEqual([
    grant(B, 1, "read", OLD),
  ]);
  expect(writeSeqOf(TERM, 1n)).toBeGreaterThan(OLD);
});

test("a member asks again for what it reported: the grant replaces the report", () => {
  const server = recovering([A]);
  claim(server, A, "write", OLD);
  server.handle({ type: "reclaimed", rid: A });

  expect(ask(server, A, 1, "write")).toEqual([grant(A, 1, "write", writeSeqOf(TERM, 1n))]);
  expect(server.counts().holderCount).toBe(1);
});

test("L6: what a removed member had reported so far is swept", () => {
  const server = recovering([A, B]);
  claim(server, A, "write", OLD);
  ask(server, C, 1, "write");
  server.handle({ type: "remove", rid: A });

  expect(server.handle({ type: "reclaimed", rid: B })).toEqual([
    { type: "finish-recovery" },
    grant(C, 1, "write", writeSeqOf(TERM, 1n)),
  ]);
});

test("L7: requests that came during recovery are all looked at when it ends", () => {
  const server = recovering([A]);
  const other = new LockRange({ start: LAST_KEY, end: LAST_KEY });
  const first = new LockRange({ start: new Uint8Array(KEY_BYTES), end: new Uint8Array(KEY_BYTES) });
  server.handle({ type: "request", rid: B, request: 1, range: first, mode: "read" });
  server.handle({ type: "request", rid: B, request: 2, range: other, mode: "read" });

  expect(server.handle({ type: "reclaimed", rid: A }).map(({ type }) => type)).toEqual([
    "finish-recovery",
    "grant",
    "grant",
  ]);
});

test("L8: the recovery ends once, however often its end is told", () => {
  const server = recovering([A]);

  const effects = [
    ...server.handle({ type: "reclaimed", rid: A }),
    ...server.handle({ type: "reclaimed", rid: A }),
    ...server.handle({ type: "remove", rid: A }),
    ...server.handle({ type: "begin-recovery", members: [B] }),
  ];

  expect(effects).toEqual([{ type: "finish-recovery" }]);
});

test("a report of a member that is not awaited is refused: unknown, already complete, or too late", () => {
  const server = recovering([A, B]);
  server.handle({ type: "reclaimed", rid: A });

  expect(claim(server, C, "read", OLD)).toEqual([{ type: "refuse-reclaim", rid: C }]);
  expect(claim(server, A, "read", OLD)).toEqual([{ type: "refuse-reclaim", rid: A }]);
  server.handle({ type: "reclaimed", rid: B });
  expect(claim(server, B, "read", OLD)).toEqual([{ type: "refuse-reclaim", rid: B }]);
});

test("a lock reported twice by one member is held once", () => {
  const server = recovering([A]);
  claim(server, A, "read", OLD);
  claim(server, A, "read", OLD);

  expect(server.counts().holderCount).toBe(1);
});

test("of two claims that cannot both be true the later token wins, in either order of arrival", () => {
  for (const [first, second] of [
    [OLD, OLD + 1n],
    [OLD + 1n, OLD],
  ] as const) {
    const server = recovering([A, B]);
    claim(server, A, "write", first);
    const loser = first < second ? A : B;
    const winner = first < second ? B : A;

    expect(claim(server, B, "write", second)).toEqual([
      { type: "reject-peer", rid: loser, reason: CONFLICT },
    ]);
    server.handle({ type: "reclaimed", rid: A });
    server.handle({ type: "reclaimed", rid: B });
    expect(server.awaited).toEqual([loser]);
    server.handle({ type: "remove", rid: loser });
    expect(ask(server, C, 1, "read")).toEqual([
      { type: "invalidate", rid: winner, range, to: "read", writeSeq: OLD + 1n },
    ]);
  }
});

test("a reader that came after a writer is believed: it knows the writer's token", () => {
  const server = recovering([A, B]);
  claim(server, A, "write", OLD);

  expect(claim(server, B, "read", OLD)).toEqual([{ type: "reject-peer", rid: A, reason: CONFLICT }]);
});

test("a reported range that overlaps another one condemns its reporter", () => {
  const server = recovering([A, B]);
  claim(server, A, "read", OLD);
  const inside = new LockRange({ start: LAST_KEY, end: LAST_KEY });

  expect(
    server.handle({
      type: "reclaim",
      rid: B,
      claims: [{ range: inside, mode: "read", writeSeq: 0n }],
    }),
  ).toEqual([{ type: "reject-peer", rid: B, reason: "a reported range that is refused" }]);
});

test("reports are taken even by a full table, and requests that wait keep their place", () => {
  const server = new LockServer({ term: TERM, locksMax: 0 });
  server.handle({ type: "begin-recovery", members: [A] });

  expect(claim(server, A, "write", OLD)).toEqual([]);
  expect(ask(server, A, 1, "read", new LockRange({ start: LAST_KEY, end: LAST_KEY }))).toEqual([
    { type: "refuse", rid: A, request: 1, refusal: LOCK_REFUSALS.overlap },
  ]);
  expect(server.counts()).toMatchObject({ lockCount: 1, holderCount: 1 });
});

function recovering(members: readonly bigint[]): LockServer {
  const server = new LockServer({ term: TERM, locksMax: 100 });
  server.handle({ type: "begin-recovery", members });
  return server;
}

function claim(
  server: LockServer,
  rid: bigint,
  mode: LockMode,
  writeSeq: bigint,
): readonly LockServerEffect[] {
  return server.handle({ type: "reclaim", rid, claims: [{ range, mode, writeSeq }] });
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

function grant(rid: bigint, request: number, mode: LockMode, writeSeq: bigint): LockServerEffect {
  return { type: "grant", rid, request, range, mode, writeSeq };
}
