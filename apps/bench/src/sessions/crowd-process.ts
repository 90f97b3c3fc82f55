/*
 * A process that holds many connections to one server and lets them rest: `crowd-process CONTESTANT ADDRESS`, then
 * `connect COUNT`.
 */
import { parentGone, say } from "../child.ts";
import type { EchoClient } from "../messaging/echo.ts";
import { contestantOf } from "../messaging/contestants.ts";
import { tellIdleCosts } from "./idle-costs.ts";

const [name = "", address = ""] = process.argv.slice(2);
const contestant = await contestantOf(name);
const clients: EchoClient[] = [];
process.on("message", (line) => {
  const [order, count] = String(line).split(" ");
  if (order === "connect") void connectAll(Number(count)).then(() => say("connected"));
});
tellIdleCosts();
say("ready");
await parentGone();
process.exit();

/** One after the other; each has asked once, so that all it needs stands. */
async function connectAll(count: number): Promise<void> {
  while (clients.length < count) {
    const client = await contestant.connect(address);
    clients.push(client);
    await new Promise<void>((resolve) => {
      client.replied = () => resolve();
      client.send(new Uint8Array(1));
    });
  }
}
