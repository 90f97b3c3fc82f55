import { expect, test } from "vitest";
import { Roster } from "../../src/server/roster.ts";
import { ManualClock } from "@holdfast/memory-ports";

const OWN = 1n;
const MEMBER = 2n;

function fixture(): { clock: ManualClock; silent: bigint[]; roster: Roster } {
  const clock = new ManualClock();
  const silent: bigint[] = [];
  const onSilent = (rid: bigint): void => {
    silent.push(rid);
  };
  const options = { clock, own: OWN, memberTimeoutMs: 100, onSilent, onAwaited: () => {} };
  return { clock, silent, roster: new Roster(options) };
}

test("a member that reports in time and stays connected is never silent", async () => {
  const { clock, silent, roster } = fixture();
  roster.expect(MEMBER, 50);
  roster.connected(MEMBER);
  await clock.advance(49);

  roster.enter(MEMBER);
  await clock.advance(1000);

  expect(silent).toEqual([]);
  expect(roster.workers()).toEqual([MEMBER]);
});

test("a member that connects and does not report is silent at its deadline", async () => {
  const { clock, silent, roster } = fixture();
  roster.expect(MEMBER, 50);
  roster.connected(MEMBER);

  await clock.advance(50);

  expect(silent).toEqual([MEMBER]);
});

test("a member whose connection broke is waited for, and forgiven when it comes back", async () => {
  const { clock, silent, roster } = fixture();
  roster.connected(MEMBER);
  roster.enter(MEMBER);
  roster.disconnected(MEMBER);
  expect(roster.workers()).toEqual([]);
  await clock.advance(99);

  roster.connected(MEMBER);
  await clock.advance(1000);
  expect(silent).toEqual([]);

  roster.disconnected(MEMBER);
  await clock.advance(100);
  expect(silent).toEqual([MEMBER]);
});

test("a member whose connection broke before its join was committed is waited for too", async () => {
  const { clock, silent, roster } = fixture();
  roster.connected(MEMBER);
  roster.disconnected(MEMBER);

  roster.enter(MEMBER);
  await clock.advance(100);

  expect(silent).toEqual([MEMBER]);
});

test("the server's own member is never waited for", async () => {
  const { clock, silent, roster } = fixture();
  roster.expect(OWN, 50);
  roster.enter(OWN);
  roster.connected(OWN);
  roster.disconnected(OWN);

  await clock.advance(1000);

  expect(silent).toEqual([]);
  expect(clock.timersCount).toBe(0);
});

test("a member that left is not waited for", async () => {
  const { clock, silent, roster } = fixture();
  roster.enter(MEMBER);
  roster.leave(MEMBER);
  roster.disconnected(MEMBER);

  await clock.advance(1000);

  expect(silent).toEqual([]);
  expect(roster.isPresent(MEMBER)).toBe(false);
});

test("who is condemned is silent after one time-out, however often it comes back", async () => {
  const { clock, silent, roster } = fixture();
  roster.connected(MEMBER);
  roster.enter(MEMBER);

  expect(roster.condemn(MEMBER)).toBe(true);
  expect([roster.isBarred(MEMBER), roster.isPresent(MEMBER)]).toEqual([true, false]);
  await clock.advance(60);
  roster.connected(MEMBER);
  expect(roster.condemn(MEMBER)).toBe(false);
  await clock.advance(40);

  expect(silent).toEqual([MEMBER]);
});

test("closed, it waits for nobody", async () => {
  const { clock, silent, roster } = fixture();
  roster.enter(MEMBER);
  roster.close();
  roster.expect(MEMBER, 10);

  await clock.advance(1000);

  expect(silent).toEqual([]);
  expect(clock.timersCount).toBe(0);
});
