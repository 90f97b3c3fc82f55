/*
 * What a process costs while it does nothing: told to the parent on request.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { say } from "../child.ts";

/** Memory of a process after its garbage was collected. */
export interface Memory {
  /** What the system counts as resident. */
  readonly residentBytes: number;
  /** Objects, and the buffers they hold. */
  readonly heapBytes: number;
}

/** How long buffers take to be freed that the collector has found. */
const SETTLE_MS = 100;

/** In the child: answers `memory` with a {@link Memory} in JSON, and `processor MS` with the share of a core, in percent. */
export function tellIdleCosts(): void {
  process.on("message", (line) => {
    const [question, durationMs] = String(line).split(" ");
    if (question === "memory") void memory().then((costs) => say(JSON.stringify(costs)));
    else if (question === "processor")
      void processorPercent(Number(durationMs)).then((share) => say(String(share)));
  });
}

async function memory(): Promise<Memory> {
  collectGarbage();
  await sleep(SETTLE_MS);
  collectGarbage();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { residentBytes: rss, heapBytes: heapUsed + arrayBuffers };
}

async function processorPercent(durationMs: number): Promise<number> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  await sleep(durationMs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (performance.now() - startMs) / 10;
}

/** The collector shows itself only to whoever asks for it. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node.js has no collector to call");
  collect();
}
