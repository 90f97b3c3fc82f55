import { expect, test } from "vitest";
import { FlapHold } from "../src/index.ts";

const MAX_MS = 300_000;

function holdAfter(changes: number, everyMs: number): number {
  const hold = new FlapHold(MAX_MS, 0);
  let now = 0;
  for (let change = 0; change < changes; change += 1) {
    now += everyMs;
    hold.count(now);
  }
  return hold.until - now;
}

test("a server that changes once, or sixteen times in a row, is replaced without delay", () => {
  expect(holdAfter(1, 1000)).toBe(0);
  expect(holdAfter(16, 1000)).toBe(0);
});

test("behind that each change doubles the time to the next, up to five minutes", () => {
  const holds = [17, 18, 20, 24, 30, 200].map((changes) => Math.round(holdAfter(changes, 1)));

  expect(holds.slice(0, 4)).toEqual([200, 400, 1600, 25_596].map((ms) => expect.closeTo(ms, -2) as number));
  expect(holds.slice(4)).toEqual([MAX_MS, MAX_MS]);
});

test("changes every five minutes are never held, and after a calm time everything is as at first", () => {
  expect(holdAfter(1000, 300_000)).toBe(0);

  const hold = new FlapHold(MAX_MS, 0);
  for (let change = 0; change < 24; change += 1) hold.count(change);
  const calm = 24 * 300_000;
  hold.count(calm);
  expect(hold.until).toBe(calm);
});

test("4,096 terms last more than 13 days of leadership that flaps as fast as it can", () => {
  const hold = new FlapHold(MAX_MS, 0);
  let now = 0;
  for (let term = 0; term < 4096; term += 1) {
    now = Math.max(now + 1, hold.until);
    hold.count(now);
  }

  expect(now / 86_400_000).toBeGreaterThan(13);
});
