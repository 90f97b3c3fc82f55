/*
 * What becomes of requests while connections break: the reason to have sessions at all.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { startChild } from "../child.ts";
import type { Row } from "../contest.ts";
import type { MessagingSizes } from "../sizes.ts";
import type { ContestantName } from "./contestants.ts";
import { startResetProxy } from "./reset-proxy.ts";

/** Time between two resets: each finds a connection that is at work again. */
const BETWEEN_MS = 100;

const PEERS: readonly ContestantName[] = ["bare echo", "ws", "grpc-js"];

/** Measures the row of resets: requests that got no answer, or were done more than once. One run says it. */
export async function measureResets({ resets }: MessagingSizes): Promise<Row> {
  const ours = await harmedRequests("session", resets);
  const peers: Record<string, number> = {};
  for (const name of PEERS) peers[name] = await harmedRequests(name, resets);
  const ratios = Object.fromEntries(Object.entries(peers).map(([name, theirs]) => [name, theirs / ours]));
  return {
    row: `TCP, 64 outstanding, ${resets} resets: lost or done twice`,
    unit: "requests",
    ours,
    peers,
    ratio: Math.min(...Object.values(ratios)),
    ratios,
    goals: {},
    runs: 1,
    spread: 1,
  };
}

async function harmedRequests(name: ContestantName, resets: number): Promise<number> {
  const server = await startChild("messaging/echo-process.js", [name, "counted"]);
  const proxy = await startResetProxy(Number(/\d+$/.exec(server.greeting)?.[0]));
  const address = server.greeting.replace(/\d+$/, String(proxy.port));
  const load = await startChild("messaging/reset-load-process.js", [name, address]);
  try {
    for (let count = 0; count < resets; count += 1) {
      await sleep(BETWEEN_MS);
      proxy.reset();
    }
    await sleep(BETWEEN_MS);
    return Number(await load.child.ask("finish"));
  } finally {
    await load.child.stop();
    await proxy.stop();
    await server.child.stop();
  }
}
