import { clockSuite, settleByWaiting } from "@holdfast/conformance";
import { afterEach, expect, test, vi } from "vitest";
import { nodeClock } from "../src/index.ts";

afterEach(() => {
  vi.useRealTimers();
});

clockSuite("the process's clock", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  return {
    clock: nodeClock,
    advance: async (ms) => {
      await vi.advanceTimersByTimeAsync(ms);
    },
    settle: settleByWaiting,
    dispose: async () => {
      vi.useRealTimers();
    },
  };
});

test("a timer that wakes early goes back to sleep until the deadline", async () => {
  // Only the timers are moved; the clock that is read stands still beside them.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let runs = 0;
  const cancel = nodeClock.at(nodeClock.now() + 3_600_000, () => (runs += 1));

  await vi.advanceTimersByTimeAsync(3_600_001);

  expect(runs).toBe(0);
  expect(vi.getTimerCount()).toBe(1);
  cancel();
  expect(vi.getTimerCount()).toBe(0);
});

test("a deadline that is not a number is a bug, not a timer", () => {
  expect(() => nodeClock.at(Number.NaN, () => {})).toThrow("a deadline is a number");
});

test("a yield lets a timer and an immediate that are due have their turn", async () => {
  const order: string[] = [];
  setImmediate(() => order.push("immediate"));

  await nodeClock.yield();

  expect(order).toEqual(["immediate"]);
});
