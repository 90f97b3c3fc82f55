/*
 * A process that asks while its connection breaks again and again: `reset-load-process CONTESTANT ADDRESS`, then
 * `finish`, which is answered with the number of requests that were lost or done more than once.
 *
 * A contestant that tells of a broken connection is connected anew, and asks on. Requests that were under way stay
 * lost: who sends them again does some of them twice, because nobody knows which arrived.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parentGone, say } from "../child.ts";
import { countOf, numbered, numberOf } from "./bodies.ts";
import { contestantOf } from "./contestants.ts";
import type { EchoClient } from "./echo.ts";

const OUTSTANDING = 64;

/** Longest wait for the answers that are still due; those of a broken connection never come. */
const LAST_ANSWERS_MS = 1000;

/** Before another attempt to connect. */
const RECONNECT_MS = 10;

const [name = "", address = ""] = process.argv.slice(2);
const contestant = await contestantOf(name);
const unanswered = new Set<number>();
let asked = 0;
let twice = 0;
let underWay = 0;
let isFinishing = false;
process.on("message", () => {
  isFinishing = true;
  void lastAnswers().then(() => say(String(unanswered.size + twice)));
});
await run();
say("ready");
await parentGone();
process.exit();

/** Connects, and once that breaks, again. */
async function run(): Promise<void> {
  try {
    const client = await contestant.connect(address);
    client.replied = (body) => take(client, body);
    client.broken = () => void again();
    underWay = 0;
    fill(client);
  } catch {
    // The connection broke while it was made.
    await again();
  }
}

async function again(): Promise<void> {
  if (isFinishing) return;
  await sleep(RECONNECT_MS);
  await run();
}

function fill(client: EchoClient): void {
  if (isFinishing) return;
  for (; underWay < OUTSTANDING; underWay += 1) {
    asked += 1;
    unanswered.add(asked);
    client.send(numbered(asked));
  }
}

function take(client: EchoClient, body: Uint8Array): void {
  if (!unanswered.delete(numberOf(body)) || countOf(body) > 1) twice += 1;
  underWay -= 1;
  fill(client);
}

async function lastAnswers(): Promise<void> {
  const endMs = performance.now() + LAST_ANSWERS_MS;
  while (unanswered.size > 0 && performance.now() < endMs) await sleep(RECONNECT_MS);
}
