import { sleep } from "@holdfast/environment";
import { expect, test } from "vitest";
import { RandomStream, SimulatedClock, SimulatedWorld } from "../src/index.ts";
import { simulate } from "./simulated.ts";

/** Five processes that sleep, race and draw for two seconds; returns the trace hash. */
async function busyWorld(seed: bigint): Promise<string> {
  const { world, start, advance } = simulate(seed);
  for (let number = 0; number < 5; number++) {
    const { clock, random, device } = start(`host-${number}`).ports;
    void (async () => {
      while (true) {
        await Promise.race([sleep(clock, random.u32() % 20), sleep(clock, 7)]);
        await device.write(BigInt(random.u32() % 64) * 4096n, random.bytes(512), { isDurable: false });
        await Promise.all([device.flush(), clock.yield()]);
      }
    })();
  }
  await advance(2000);
  expect(world.eventCount).toBeGreaterThan(1000);
  return world.trace.hash();
}

test("one seed gives one trace hash, another seed another one", async () => {
  const first = await busyWorld(7n);
  const again = await busyWorld(7n);
  const other = await busyWorld(8n);

  expect(again).toBe(first);
  expect(other).not.toBe(first);
});

test("streams of different labels differ, and drawing from one does not shift another", () => {
  const one = new RandomStream(1n, "a");
  const undisturbed = new RandomStream(1n, "a").fork("b").u64();

  one.u32();

  expect(one.fork("b").u64()).toBe(undisturbed);
  expect(new RandomStream(1n, "c").u64()).not.toBe(new RandomStream(1n, "a").u64());
  expect(new RandomStream(1n << 40n, "a").u64()).not.toBe(new RandomStream(0n, "a").u64());
});

test("everything that waits on a promise has run before the next event happens", async () => {
  const world = new SimulatedWorld({ seed: 1n });
  const order: string[] = [];
  world.after(1, () => {
    void (async () => {
      for (let depth = 0; depth < 1000; depth++) await Promise.resolve();
      order.push("chain");
    })();
  });
  world.after(2, () => order.push("next"));

  await world.run();

  expect(order).toEqual(["chain", "next"]);
});

test("a run ends when nothing can happen, at its time, at its event limit, or when it is done", async () => {
  const world = new SimulatedWorld({ seed: 1n });
  for (let ms = 1; ms <= 10; ms++) world.after(ms, () => {});

  expect(await world.run({ untilMs: 3.5 })).toBe("time");
  expect(world.nowMs).toBe(3.5);
  expect(await world.run({ eventsMax: 5 })).toBe("events");
  expect(await world.run({ isDone: () => world.eventCount === 7 })).toBe("done");
  expect(await world.run()).toBe("idle");
  expect(world.nowMs).toBe(10);
});

test("a killed process gets no more timers, and what it awaited never settles", async () => {
  const { start, advance } = simulate();
  const { process, ports } = start("victim");
  const seen: string[] = [];
  ports.clock.at(ports.clock.now() + 10, () => seen.push("timer"));
  void ports.device.flush().then(() => seen.push("flush"));

  process.kill();
  await advance(100);

  expect(seen).toEqual([]);
});

test("a resumed process sees the messages that waited before the timers that fell due", async () => {
  const { world, start, advance } = simulate();
  const { process, ports } = start("sleeper");
  const seen: string[] = [];
  ports.clock.at(ports.clock.now() + 5, () => seen.push("timer"));
  process.pause();
  world.after(20, () => process.post("message", () => seen.push("message")));

  await advance(50);
  expect(seen).toEqual([]);
  process.resume();
  await advance(1);

  expect(seen).toEqual(["message", "timer"]);
});

test("a message that waited may still cancel a timer that fell due meanwhile", async () => {
  const { world, start, advance } = simulate();
  const { process, ports } = start("sleeper");
  let runs = 0;
  const cancel = ports.clock.at(ports.clock.now() + 5, () => (runs += 1));
  process.pause();
  world.after(20, () => process.post("message", cancel));

  await advance(50);
  process.resume();
  await advance(50);

  expect(runs).toBe(0);
});

test("an exception out of a callback ends its process and is reported with its name", async () => {
  const { world, start, advance } = simulate();
  const { process, ports } = start("faulty");
  const error = new Error("boom");
  ports.clock.at(0, () => {
    throw error;
  });

  await advance(10);

  expect(process.isDead).toBe(true);
  expect(world.failures).toMatchObject([{ process: "faulty#1", error }]);
});

test("a rejection that nobody handles ends its process and is reported with its name", async () => {
  const { world, start, advance } = simulate();
  const { process, ports } = start("faulty");
  ports.clock.at(0, () => {
    void Promise.reject(new Error("unheard"));
  });

  await advance(10);

  expect(process.isDead).toBe(true);
  expect(world.failures[0]?.error).toMatchObject({ message: "unheard" });
});

test.each([
  ["Date.now", () => Date.now()],
  ["Math.random", () => Math.random()],
  ["setTimeout", () => setTimeout(() => {}, 0)],
  ["performance.now", () => performance.now()],
])("the tripwire reports the use of %s while the world runs, and only then", async (name, use) => {
  const { world, start, advance } = simulate();
  const { clock } = start("cheat").ports;
  clock.at(0, () => {
    expect(use).toThrow(name);
  });

  await advance(10);

  expect(String(world.failures[0]?.error)).toContain(name);
  expect(use).not.toThrow();
});

test("clocks of two processes have other origins and rates, and both go on", async () => {
  const { start, advance } = simulate();
  const one = new SimulatedClock(start("one").process);
  const two = new SimulatedClock(start("two").process);
  const [oneBefore, twoBefore] = [one.now(), two.now()];

  await advance(1e6);

  const [oneMs, twoMs] = [one.now() - oneBefore, two.now() - twoBefore];
  expect(oneMs).not.toBe(twoMs);
  expect(Math.abs(oneMs - 1e6)).toBeLessThanOrEqual(200);
  expect(Math.abs(twoMs - 1e6)).toBeLessThanOrEqual(200);
  expect(oneBefore).not.toBe(twoBefore);
});
