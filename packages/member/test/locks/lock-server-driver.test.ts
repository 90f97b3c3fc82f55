import { deferred, SILENT_LOGGER } from "@holdfast/environment";
import {
  InvalidateDone,
  LOCK_REFUSALS,
  LockGrant,
  type LockMode,
  LockRequest,
  ReclaimRequest,
  writeSeqOf,
} from "@holdfast/lock-protocol";
import { ManualClock } from "@holdfast/memory-ports";
import { CALL_OVERLOADED } from "@holdfast/net-reliable";
import { expect, test } from "vitest";
import { createLockServer, type LockServerDriver } from "../../src/locks/lock-server-driver.ts";
import { quiet, rangeOf, Wiring } from "./lock-wiring.ts";

const A = 0xan;
const B = 0xbn;
const range = rangeOf(1);

test("E8: an answer leaves only after a gate that began after the request came; one gate serves a batch", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  await quiet();
  const gates: ReturnType<typeof deferred<void>>[] = [];
  wiring.gate = () => {
    const gate = deferred<void>();
    gates.push(gate);
    return gate.promise;
  };
  const done: number[] = [];
  for (const start of [1, 2, 3]) void a.acquire(rangeOf(start), "read").then(() => done.push(start));
  await quiet();
  void a.acquire(rangeOf(4), "read").then(() => done.push(4));
  await quiet();
  expect([gates.length, done]).toEqual([1, []]);

  gates[0]?.resolve();
  await quiet();
  expect([gates.length, done]).toEqual([2, [1, 2, 3]]);

  gates[1]?.resolve();
  await quiet();
  expect([gates.length, done]).toEqual([2, [1, 2, 3, 4]]);
});

test("a server whose gate fails is deposed: nothing leaves any more", async () => {
  const wiring = new Wiring();
  const a = wiring.join(A);
  (await a.acquire(range, "read")).release();
  wiring.gate = () => Promise.reject(new Error("deposed"));
  let isGranted = false;
  void a.acquire(rangeOf(2), "read").then(() => (isGranted = true));
  await quiet();
  wiring.gate = () => Promise.resolve();
  void a.acquire(rangeOf(3), "read").then(() => (isGranted = true));
  await quiet();

  expect(isGranted).toBe(false);
});

test("a grant carries the manifest's version of the moment it leaves", async () => {
  const wiring = new Wiring();
  const gate = deferred<void>();
  await quiet();
  wiring.gate = () => gate.promise;
  const versions: bigint[] = [];
  const a = wiring.join(A, { onGrant: (_range, _mode, version) => void versions.push(version) });
  const waiting = a.acquire(range, "read");
  await quiet();
  wiring.manifestVersion = 9n;
  gate.resolve();
  (await waiting).release();

  expect(versions).toEqual([9n]);
});

test("a malformed request is answered as such and its sender is rejected", async () => {
  const wiring = new Wiring();
  const answers: number[] = [];
  const backwards = { start: rangeOf(2).start, end: rangeOf(1).start };
  const bodies = [
    new Uint8Array(7),
    LockRequest.encode({ ...backwards, mode: "read", held: "null" }),
    LockRequest.encode({ start: range.start, end: range.end, mode: "read", held: "write" }),
  ];

  for (const body of bodies) wiring.server.handleRequest(A, body, (error) => answers.push(error));

  expect(answers).toEqual([LOCK_REFUSALS.malformed, LOCK_REFUSALS.malformed, LOCK_REFUSALS.malformed]);
  expect(wiring.badPeers.map(({ rid }) => rid)).toEqual([A, A, A]);
});

test("a full table is told to the user as worth another try", async () => {
  const a = new Wiring({ locksMax: 1 }).join(A);
  (await a.acquire(range, "read")).release();

  await expect(a.acquire(rangeOf(2), "read")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_LOCK_TABLE_FULL",
    category: "retry",
  });
});

test("a new server waits for reports, keeps their tokens, and gives greater ones", async () => {
  const { server, granted } = bareServer([A]);
  const oldToken = writeSeqOf(4n, 12n);
  ask(server, B, "write", granted);
  const report = { start: range.start, end: range.end, mode: "write", writeSeq: oldToken } as const;

  const outcome = server.handleReclaim(A, ReclaimRequest.encode({ locks: [report], isLast: true }));
  await quiet();

  expect(outcome).toEqual({ error: 0, isLast: true });
  expect(server.pendingRecovery()).toEqual([A]);
  server.reclaimed(A);
  await quiet();
  server.remove(A);
  await quiet();
  expect(granted).toEqual([writeSeqOf(5n, 1n)]);
  expect(writeSeqOf(5n, 1n)).toBeGreaterThan(oldToken);
});

test("a report that comes late, or is malformed, is refused", () => {
  const { server, badPeers } = bareServer([A]);
  const empty = ReclaimRequest.encode({ locks: [], isLast: true });
  const nothing = { start: range.start, end: range.end, mode: "null", writeSeq: 0n } as const;

  expect(server.handleReclaim(B, empty)).toEqual({ error: LOCK_REFUSALS.noGrace, isLast: true });
  expect(server.handleReclaim(A, new Uint8Array(2)).error).toBe(LOCK_REFUSALS.malformed);
  expect(server.handleReclaim(A, ReclaimRequest.encode({ locks: [nothing], isLast: true })).error).toBe(
    LOCK_REFUSALS.malformed,
  );
  expect(badPeers).toEqual([A, A]);
});

test("L3: a member whose session is gone keeps its locks until it is removed, and stops nobody else", async () => {
  const { server, granted, answer, badPeers } = bareServer([]);
  ask(server, A, "write", granted);
  await quiet();
  ask(server, B, "write", granted);
  ask(server, B, "write", granted, 2);
  await quiet();

  answer(0xff01, new Uint8Array(0));
  await quiet();

  expect([granted.length, badPeers]).toEqual([2, []]);
  server.remove(A);
  await quiet();
  expect(granted).toHaveLength(3);
});

test("L11: a malformed answer to an invalidation rejects its sender", async () => {
  const { server, granted, answer, badPeers } = bareServer([]);
  ask(server, A, "write", granted);
  await quiet();
  ask(server, B, "write", granted);
  await quiet();

  answer(0, InvalidateDone.encode({ start: rangeOf(9).start, to: "null" }));

  expect(badPeers).toEqual([A]);
  expect(server.stats()).toMatchObject({ invalidationCount: 1, requestCount: 1 });
});

test("an invalidation that finds no room in its member's session is sent again, behind a gate", async () => {
  const { server, granted, answer, badPeers, clock } = bareServer([]);
  ask(server, A, "write", granted);
  await quiet();
  ask(server, B, "write", granted);
  await quiet();

  answer(CALL_OVERLOADED, new Uint8Array(0));
  await clock.advance(5);
  answer(0, InvalidateDone.encode({ start: range.start, to: "null" }));
  await quiet();

  expect([granted.length, badPeers]).toEqual([2, []]);
});

/** A server of term 5 whose members are the test itself. */
function bareServer(members: readonly bigint[]): {
  server: LockServerDriver;
  granted: bigint[];
  badPeers: bigint[];
  answer: (error: number, body: Uint8Array) => void;
  clock: ManualClock;
} {
  const clock = new ManualClock();
  const badPeers: bigint[] = [];
  const calls: ((error: number, body: Uint8Array) => void)[] = [];
  const server = createLockServer({
    term: 5n,
    commandInvalidate: 2,
    call(_rid, _command, _body, done) {
      calls.push(done);
      return () => {};
    },
    gate: () => Promise.resolve(),
    manifestVersion: () => 0n,
    onBadPeer: (rid) => badPeers.push(rid),
    clock,
    log: SILENT_LOGGER,
  });
  server.beginRecovery(members);
  return { server, granted: [], badPeers, answer: (error, body) => calls.shift()?.(error, body), clock };
}

function ask(server: LockServerDriver, rid: bigint, mode: LockMode, granted: bigint[], start = 1): void {
  const { start: first, end } = rangeOf(start);
  server.handleRequest(rid, LockRequest.encode({ start: first, end, mode, held: "null" }), (error, body) => {
    if (error === 0) granted.push(LockGrant.decode(body).writeSeq);
  });
}
