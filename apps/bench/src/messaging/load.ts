/*
 * What a client does: one request at a time, or so many always under way, for a given time.
 */
import { median } from "../contest.ts";
import type { Bodies } from "./bodies.ts";
import type { EchoClient } from "./echo.ts";

/** Answers between two looks at the clock; a rate counts whole groups. */
const GROUP = 32;

/** Median time from asking to being told, in microseconds, with one request at a time. */
export function roundTripUs(client: EchoClient, bodies: Bodies, durationMs: number): Promise<number> {
  const tookUs: number[] = [];
  const endMs = performance.now() + durationMs;
  return new Promise((resolve) => {
    let sentMs = performance.now();
    client.replied = (body) => {
      bodies.check(body);
      const now = performance.now();
      tookUs.push((now - sentMs) * 1000);
      if (now >= endMs) {
        resolve(median(tookUs));
        return;
      }
      sentMs = performance.now();
      client.send(bodies.next());
    };
    client.send(bodies.next());
  });
}

/** What is asked of a client. */
export interface Load {
  /** Requests always under way. */
  readonly outstanding: number;
  /** How long they go before the rate counts them. */
  readonly rampMs: number;
  /** How long it counts them. */
  readonly durationMs: number;
}

/** Answers per second, of whole groups. */
export function requestsPerSecond(
  client: EchoClient,
  bodies: Bodies,
  { outstanding, rampMs, durationMs }: Load,
): Promise<number> {
  const rampEndMs = performance.now() + rampMs;
  return new Promise((resolve) => {
    let [underWay, done, startMs] = [0, 0, Number.POSITIVE_INFINITY];
    let rate: number | undefined;
    const look = (nowMs: number): void => {
      if (nowMs >= startMs + durationMs) rate = (done / (nowMs - startMs)) * 1000;
      else if (startMs > nowMs && nowMs >= rampEndMs) [done, startMs] = [0, nowMs];
    };
    client.replied = (body) => {
      bodies.check(body);
      done += 1;
      if (rate === undefined && done % GROUP === 0) look(performance.now());
      if (rate === undefined) client.send(bodies.next());
      else {
        underWay -= 1;
        if (underWay === 0) resolve(rate);
      }
    };
    for (; underWay < outstanding; underWay += 1) client.send(bodies.next());
  });
}
