import { expect, test } from "vitest";
import { Backoff, Liveness, checkSessionTiming } from "../src/index.ts";
import { Client, Link, Server, timing } from "./rig.ts";

test("N17: a silent side sends heartbeats, and a silent peer is dead after the time-out", () => {
  const liveness = new Liveness(timing, 0);
  const verdicts = [100, 200, 300, 400, 500, 600].map((now) => liveness.tick(now));

  expect(verdicts).toEqual(["beat", "beat", "beat", "beat", "beat", "dead"]);
});

test("whoever speaks needs no heartbeat", () => {
  const liveness = new Liveness(timing, 0);
  liveness.sent(80);

  expect(liveness.tick(100)).toBe("quiet");
});

test("a tick that comes late is this process's fault: the peer gets two more heartbeats", () => {
  const liveness = new Liveness(timing, 0);
  liveness.tick(100);

  expect(liveness.tick(60_000)).toBe("beat");
  expect(liveness.tick(60_100)).toBe("beat");
  expect(liveness.tick(60_200)).toBe("dead");
});

test("N17: a silent member's connection ends, its session stays, and it expires once per absence", () => {
  const server = new Server(1n);
  const client = new Client(5n);
  new Link(client, server, 0).pump(0);
  for (let now = 100; now <= timing.forgetMs + 1000; now += 100) server.machine.tick(now);

  expect(server.log).toEqual(["up 5", "end silent", "down 5", "expired 5"]);
  expect(server.machine.has(5n)).toBe(true);
});

test("N25: each member expires at its own time, whoever left last", () => {
  const server = new Server(1n);
  const links = [5n, 6n].map((rid) => new Link(new Client(rid), server).pump());
  links[0]?.cut(0);
  links[1]?.cut(5000);

  server.machine.tick(timing.forgetMs);
  expect(server.log.filter((line) => line.startsWith("expired"))).toEqual(["expired 5"]);
  server.machine.tick(timing.forgetMs + 5000);

  expect(server.log.filter((line) => line.startsWith("expired"))).toEqual(["expired 5", "expired 6"]);
});

test("N18: times under which a healthy member could be given up are refused", () => {
  expect(() => checkSessionTiming(timing, 10_000)).not.toThrow();
  expect(() => checkSessionTiming(timing, 2000)).toThrow(/recovery ends after 2000 ms/);
  expect(() => checkSessionTiming({ ...timing, forgetMs: 2000 }, 10_000)).toThrow(/expires after 2000 ms/);
  expect(() => checkSessionTiming({ ...timing, heartbeatMs: 400 }, 10_000)).toThrow(/two heartbeats/);
  expect(() => checkSessionTiming({ ...timing, reconnectMinMs: 900 }, 10_000)).toThrow(/exceeds/);
  expect(() => checkSessionTiming({ ...timing, heartbeatMs: 0 }, 10_000)).toThrow(/positive/);
});

test("N19: refused connections wait longer and longer, an accepted greeting makes the wait short again", () => {
  const backoff = new Backoff(timing);
  const highest = 2 ** 32 - 1;

  expect(Array.from({ length: 7 }, () => Math.round(backoff.next(highest)))).toEqual([
    20, 40, 80, 160, 320, 500, 500,
  ]);
  backoff.accepted();
  expect(backoff.next(0)).toBe(10);
});
