/*
 * What every `Clock` owes its users, as vitest tests. Time is moved by the fixture; nothing here sleeps.
 */
import type { Clock } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { type Fixture, type FixtureFactory, withFixture } from "./fixture.ts";

/** A clock whose time the test moves. */
export interface ClockFixture extends Fixture {
  readonly clock: Clock;
  /** Lets `ms` milliseconds of the clock pass and runs what falls due, in its order. */
  readonly advance: (ms: number) => Promise<void>;
}

/** Registers the suite of {@link Clock} under `name`. */
export function clockSuite(name: string, factory: FixtureFactory<ClockFixture>): void {
  describe(`${name} as a clock`, () => {
    describeTime(factory);
    describeTimers(factory);
  });
}

function describeTime(factory: FixtureFactory<ClockFixture>): void {
  test("time moves on and never back", () =>
    withFixture(factory, async ({ clock, advance }) => {
      const start = clock.now();
      await advance(250);
      const later = clock.now();

      expect(later - start).toBeGreaterThanOrEqual(250);
      expect(clock.now()).toBeGreaterThanOrEqual(later);
    }));

  test("the wall clock tells milliseconds since 1970", () =>
    withFixture(factory, async ({ clock }) => {
      expect(clock.wallMs()).toBeGreaterThanOrEqual(0);
      expect(clock.wallMs()).toBeLessThan(8.64e15);
    }));

  test("a yield resolves, and not before the caller has gone on", () =>
    withFixture(factory, async ({ clock, settle }) => {
      const order: string[] = [];

      const yielded = clock.yield().then(() => order.push("yielded"));
      order.push("caller");
      await settle(yielded);

      expect(order).toEqual(["caller", "yielded"]);
    }));
}

function describeTimers(factory: FixtureFactory<ClockFixture>): void {
  test("an action runs once, when its time has come and not before", () =>
    withFixture(factory, async ({ clock, advance }) => {
      const ranAt: number[] = [];
      const deadline = clock.now() + 100;
      clock.at(deadline, () => ranAt.push(clock.now()));

      await advance(90);
      expect(ranAt).toEqual([]);
      await advance(20);
      expect(ranAt).toHaveLength(1);
      expect(ranAt[0]).toBeGreaterThanOrEqual(deadline);
      await advance(500);
      expect(ranAt).toHaveLength(1);
    }));

  test("an action whose time is past runs soon, but never inside the call", () =>
    withFixture(factory, async ({ clock, advance }) => {
      let runs = 0;

      clock.at(clock.now() - 1000, () => (runs += 1));
      clock.at(clock.now(), () => (runs += 1));

      expect(runs).toBe(0);
      await advance(10);
      expect(runs).toBe(2);
    }));

  test("a fraction of a millisecond is not rounded down", () =>
    withFixture(factory, async ({ clock, advance }) => {
      const deadline = clock.now() + 10.4;
      let ranAt = 0;
      clock.at(deadline, () => (ranAt = clock.now()));

      await advance(20);

      expect(ranAt).toBeGreaterThanOrEqual(deadline);
    }));

  test("actions run in the order of their times", () =>
    withFixture(factory, async ({ clock, advance }) => {
      const order: string[] = [];
      const start = clock.now();
      clock.at(start + 300, () => order.push("third"));
      clock.at(start + 100, () => order.push("first"));
      clock.at(start + 200, () => order.push("second"));

      await advance(400);

      expect(order).toEqual(["first", "second", "third"]);
    }));

  test("a cancelled action never runs, and cancelling again or late does nothing", () =>
    withFixture(factory, async ({ clock, advance }) => {
      let runs = 0;
      const cancelled = clock.at(clock.now() + 50, () => (runs += 100));
      const done = clock.at(clock.now() + 50, () => (runs += 1));

      cancelled();
      cancelled();
      await advance(100);
      done();
      cancelled();
      await advance(100);

      expect(runs).toBe(1);
    }));

  test("an action may arm the next one", () =>
    withFixture(factory, async ({ clock, advance }) => {
      let ticks = 0;
      const tick = (): void => {
        ticks += 1;
        clock.at(clock.now() + 50, tick);
      };
      clock.at(clock.now() + 50, tick);

      await advance(60);
      await advance(60);
      await advance(60);

      expect(ticks).toBe(3);
    }));

  test("a deadline beyond 2^31 milliseconds is waited for, one at infinity never comes", () =>
    withFixture(factory, async ({ clock, advance }) => {
      let runs = 0;
      clock.at(clock.now() + 2 ** 31 + 1000, () => (runs += 1));
      const cancelNever = clock.at(Number.POSITIVE_INFINITY, () => (runs += 100));

      await advance(2 ** 31 - 1000);
      expect(runs).toBe(0);
      await advance(3000);
      expect(runs).toBe(1);

      cancelNever();
    }));
}
