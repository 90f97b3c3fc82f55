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

/** Answers per second while so many requests are always under way; resolves when the last one is answered. */
export function requestsPerSecond(
  client: EchoClient,
  bodies: Bodies,
  { outstanding, durationMs }: { readonly outstanding: number; readonly durationMs: number },
): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  return new Promise((resolve) => {
    let [underWay, done] = [0, 0];
    let isOver = false;
    client.replied = (body) => {
      bodies.check(body);
      done += 1;
      if (done % GROUP === 0 && performance.now() >= endMs) isOver = true;
      if (!isOver) client.send(bodies.next());
      else {
        underWay -= 1;
        if (underWay === 0) resolve((done / (performance.now() - startMs)) * 1000);
      }
    };
    for (; underWay < outstanding; underWay += 1) client.send(bodies.next());
  });
}
