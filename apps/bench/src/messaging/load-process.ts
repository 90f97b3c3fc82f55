/*
 * A process that asks: `load-process CONTESTANT BODIES ADDRESS`, then for each line `OUTSTANDING
 * MILLISECONDS [RAMP_MILLISECONDS]` the rate, or with 0 outstanding the median round trip in microseconds.
 *
 * Each contestant has its own, so that none runs in code or a heap that another one has shaped.
 */
import { parentGone, say } from "../child.ts";
import { bodiesOf, bodyNameOf } from "./bodies.ts";
import { contestantOf } from "./contestants.ts";
import { requestsPerSecond, roundTripUs } from "./load.ts";

const [name = "", bodyName, address = ""] = process.argv.slice(2);
const contestant = await contestantOf(name);
const bodies = bodiesOf(bodyNameOf(bodyName), contestant.isCopying);
const client = await contestant.connect(address);
process.on("message", (line) => {
  const [outstanding = 0, durationMs = 0, rampMs = 0] = String(line).split(" ").map(Number);
  const measured =
    outstanding === 0
      ? roundTripUs(client, bodies, durationMs)
      : requestsPerSecond(client, bodies, { outstanding, rampMs, durationMs });
  void measured.then((figure) => say(String(figure)));
});
say("ready");
await parentGone();
process.exit();
