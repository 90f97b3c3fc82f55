import { ManualClock } from "@holdfast/memory-ports";
import { expect, test } from "vitest";
import { FormerServer } from "../../src/server/former-server.ts";

function fixture(): {
  clock: ManualClock;
  former: FormerServer;
  state: { isInTheWay: boolean; toldAtMs: number[] };
} {
  const clock = new ManualClock();
  const state = { isInTheWay: true, toldAtMs: [] as number[] };
  const former = new FormerServer({
    clock,
    ownLeaseMs: 100,
    isInTheWay: () => state.isInTheWay,
    onInTheWay: () => state.toldAtMs.push(clock.now()),
  });
  return { clock, former, state };
}

test("who waits for a former server waits until its lease is over by any clock, and no longer", async () => {
  const { clock, former, state } = fixture();
  await clock.advance(20);
  former.await();
  former.lockIsAwaited();

  await clock.advance(80);
  expect(state.toldAtMs).toEqual([]);
  await clock.advance(1000);

  expect(state.toldAtMs).toEqual([101]);
});

test("a former server is in the way once somebody waits, and once nobody else is", async () => {
  const { clock, former, state } = fixture();
  former.await();
  await clock.advance(200);
  expect(state.toldAtMs).toEqual([]);
  state.isInTheWay = false;
  former.lockIsAwaited();
  expect(state.toldAtMs).toEqual([]);

  state.isInTheWay = true;
  former.look();
  former.look();

  expect(state.toldAtMs).toEqual([200]);
});

test("when the reign is over nobody is in the way any more, and no timer is left", async () => {
  const { clock, former, state } = fixture();
  former.await();
  former.lockIsAwaited();

  former.close();
  await clock.advance(1000);
  former.look();

  expect(state.toldAtMs).toEqual([]);
  expect(clock.timersCount).toBe(0);
});
