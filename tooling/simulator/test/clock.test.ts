import { expect, test } from "vitest";
import { SimulatedWorld } from "../src/index.ts";
import { simulate } from "./simulated.ts";

test("a hidden stop stops the monotonic clock as well: timers come as much later", async () => {
  const simulated = simulate();
  const { process, ports } = simulated.start("guest");
  const { clock } = ports;
  const startMs = clock.now();
  let firedAtMs = 0;
  clock.at(startMs + 100, () => {
    firedAtMs = simulated.world.nowMs;
  });
  await simulated.advance(50);

  process.pause(true);
  await simulated.advance(10_000);
  process.resume();
  await simulated.advance(1000);

  expect(firedAtMs).toBeGreaterThan(10_090);
  expect(firedAtMs).toBeLessThan(10_110);
  expect(clock.now() - startMs).toBeLessThan(1100);
});

test("an ordinary stop does not stop the monotonic clock: timers that fell due come at once", async () => {
  const simulated = simulate();
  const { process, ports } = simulated.start("sleeper");
  const startMs = ports.clock.now();
  let firedAtMs = 0;
  ports.clock.at(startMs + 100, () => {
    firedAtMs = simulated.world.nowMs;
  });

  process.pause();
  await simulated.advance(10_000);
  process.resume();
  await simulated.advance(1);

  expect(firedAtMs).toBe(10_000);
});

test("a wall clock that jumps leaves the monotonic one alone", async () => {
  const simulated = simulate();
  const { process, ports } = simulated.start("host");
  const [monotonicMs, wallMs] = [ports.clock.now(), ports.clock.wallMs()];

  process.wallJumpMs -= 1e12;

  expect(ports.clock.now()).toBe(monotonicMs);
  expect(ports.clock.wallMs()).toBe(wallMs - 1e12);
  await simulated.advance(1);
});

test("clocks drift within the bounds of their world", () => {
  expect(new SimulatedWorld({ seed: 1n }).driftPpmMax).toBe(200);
  expect(new SimulatedWorld({ seed: 1n, driftPpmMax: 1000 }).driftPpmMax).toBe(1000);
});
