import { describe, expect, test } from "vitest";
import { Polling } from "../src/polling.ts";

/** One thread whose looks for events take a microsecond each, and which sleeps when nobody wants a look. */
class Loop {
  #nowUs = 0;
  #callback: (() => void) | undefined;
  looksCount = 0;

  nowUs = (): number => this.#nowUs;

  afterNextLook = (callback: () => void): void => {
    this.#callback = callback;
  };

  get isAwake(): boolean {
    return this.#callback !== undefined;
  }

  /** Microseconds pass; looks happen as they are asked for. */
  pass(durationUs: number): void {
    const endUs = this.#nowUs + durationUs;
    while (this.#callback !== undefined && this.#nowUs < endUs) {
      this.#nowUs += 1;
      this.looksCount += 1;
      const callback = this.#callback;
      this.#callback = undefined;
      callback();
    }
    this.#nowUs = endUs;
  }

  /** The thread is busy, and looks for nothing. */
  work(durationUs: number): void {
    this.#nowUs += durationUs;
  }
}

/** So many arrivals, and after each a wait. */
function arrive({ polling, loop }: { polling: Polling; loop: Loop }, count: number, waitUs: number): void {
  for (let turn = 0; turn < count; turn += 1) {
    polling.arrived();
    loop.pass(waitUs);
  }
}

function pollingOf(maxUs: number): { readonly loop: Loop; readonly polling: Polling } {
  const loop = new Loop();
  return { loop, polling: new Polling(maxUs, loop) };
}

describe("polling", () => {
  test("a first arrival, and any that comes after a long wait, is looked after once", () => {
    const { loop, polling } = pollingOf(200);
    arrive({ polling, loop }, 100, 10_000);
    expect(loop.looksCount).toBe(100);
    expect(loop.isAwake).toBe(false);
  });

  test("short waits in a row are soon watched whole", () => {
    const { loop, polling } = pollingOf(200);
    const sleptThrough: boolean[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      polling.arrived();
      loop.pass(70);
      sleptThrough.push(!loop.isAwake);
    }
    expect(sleptThrough).toEqual([true, true, true, true, false, false, false, false]);
  });

  test("one long wait ends watching, after the time that was watched in vain", () => {
    const { loop, polling } = pollingOf(200);
    arrive({ polling, loop }, 10, 150);
    polling.arrived();
    const before = loop.looksCount;
    loop.pass(5000);
    expect(loop.looksCount - before).toBeLessThanOrEqual(201);
    expect(loop.isAwake).toBe(false);
    arrive({ polling, loop }, 1, 150);
    expect(loop.isAwake).toBe(false);
  });

  test("a wait is never watched longer than the limit", () => {
    const { loop, polling } = pollingOf(50);
    arrive({ polling, loop }, 100, 49);
    const before = loop.looksCount;
    polling.arrived();
    loop.pass(1000);
    expect(loop.looksCount - before).toBeGreaterThan(49);
    expect(loop.looksCount - before).toBeLessThanOrEqual(51);
  });

  test("time that an arrival's work takes is no wait", () => {
    const { loop, polling } = pollingOf(200);
    for (let turn = 0; turn < 8; turn += 1) {
      polling.arrived();
      loop.work(3000);
      loop.pass(70);
    }
    expect(loop.isAwake).toBe(true);
  });

  test("many arrivals in one turn are one", () => {
    const { loop, polling } = pollingOf(200);
    for (let turn = 0; turn < 5; turn += 1) {
      for (let stream = 0; stream < 1000; stream += 1) polling.arrived();
      loop.pass(10_000);
    }
    expect(loop.looksCount).toBe(5);
  });

  test("a limit of 0 polls never", () => {
    const { loop, polling } = pollingOf(0);
    arrive({ polling, loop }, 8, 10);
    expect(loop.looksCount).toBe(0);
  });
});
