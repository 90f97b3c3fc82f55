import { expect, test } from "vitest";
import { CancelledError, type Clock, sleep } from "../src/index.ts";

/** A clock that stands still until it is moved. */
class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers: { readonly atMs: number; readonly action: () => void }[] = [];

  get armedCount(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, action: () => void): () => void {
    const timer = { atMs, action };
    this.#timers.push(timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  yield(): Promise<void> {
    return Promise.resolve();
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      timer.action();
    }
  }
}

test("a sleep ends when the clock has reached its time and leaves no timer behind", async () => {
  const clock = new ManualClock();
  let isAwake = false;

  const sleeping = sleep(clock, 100).then(() => {
    isAwake = true;
  });
  clock.advance(99);
  await Promise.resolve();
  expect(isAwake).toBe(false);
  clock.advance(1);
  await sleeping;

  expect(clock.armedCount).toBe(0);
});

test("an aborted sleep rejects with the reason as its cause and disarms its timer", async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const reason = new Error("enough");

  const sleeping = sleep(clock, 100, controller.signal);
  controller.abort(reason);

  await expect(sleeping).rejects.toBeInstanceOf(CancelledError);
  await expect(sleeping).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED", cause: reason });
  expect(clock.armedCount).toBe(0);
});

test("a sleep whose signal is aborted already arms nothing", async () => {
  const clock = new ManualClock();

  await expect(sleep(clock, 100, AbortSignal.abort())).rejects.toBeInstanceOf(CancelledError);

  expect(clock.armedCount).toBe(0);
});
