/*
 * What sessions cost while nobody uses them: memory and processor time of a server with many, of the clients, and of
 * members of a volume. Heartbeats go at their default times.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeVolume } from "holdfast";
import { type Child, startChild } from "../child.ts";
import { median, type Row } from "../contest.ts";
import type { ContestantName } from "../messaging/contestants.ts";
import { withDirectory } from "../scratch.ts";
import type { SessionsSizes } from "../sizes.ts";
import type { Memory } from "./idle-costs.ts";

/** The peer: sockets on which nothing is ever sent. */
const PEER = "bare echo";

/** Measures the sessions rows. */
export async function measureSessions(sizes: SessionsSizes): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const count of sizes.counts) rows.push(...(await rowsOfCrowd(count, sizes)));
  rows.push(...(await withDirectory((directory) => rowsOfMembers(directory, sizes))));
  return rows;
}

async function rowsOfCrowd(count: number, sizes: SessionsSizes): Promise<readonly Row[]> {
  const ours = await crowdCosts("session", count, sizes);
  const bare = await crowdCosts(PEER, count, sizes);
  const server = `server with ${count} sessions`;
  const clients = `${count} clients in a process`;
  return [
    beside(`${server}, resident, each`, "KiB", ours.server.residentKib, bare.server.residentKib),
    beside(`${server}, heap and buffers, each`, "KiB", ours.server.heapKib, bare.server.heapKib),
    alone(`${server}, processor`, "% of a core", ours.server.percents),
    beside(`${clients}, heap and buffers, each`, "KiB", ours.clients.heapKib, bare.clients.heapKib),
    alone(`${clients}, processor`, "% of a core", ours.clients.percents),
  ];
}

/** Costs of one process, those of memory for each connection. */
interface Costs {
  readonly residentKib: number;
  readonly heapKib: number;
  readonly percents: readonly number[];
}

async function crowdCosts(
  name: ContestantName,
  count: number,
  { windows, windowMs, settleMs }: SessionsSizes,
): Promise<{ readonly server: Costs; readonly clients: Costs }> {
  const server = await startChild("sessions/crowded-process.js", [name]);
  const clients = await startChild("sessions/crowd-process.js", [name, server.greeting]);
  const both = [server.child, clients.child];
  try {
    const before = await Promise.all(both.map(memoryOf));
    await clients.child.ask(`connect ${count}`);
    await sleep(settleMs);
    const percents = await percentsOf(both, windows, windowMs);
    const after = await Promise.all(both.map(memoryOf));
    const [ofServer, ofClients] = both.map((_, index) => ({
      residentKib: kib(after[index]?.residentBytes, before[index]?.residentBytes) / count,
      heapKib: kib(after[index]?.heapBytes, before[index]?.heapBytes) / count,
      percents: percents[index] ?? [],
    }));
    if (ofServer === undefined || ofClients === undefined) throw new Error("two processes have two costs");
    return { server: ofServer, clients: ofClients };
  } finally {
    await clients.child.stop();
    await server.child.stop();
  }
}

async function rowsOfMembers(directory: string, sizes: SessionsSizes): Promise<readonly Row[]> {
  const url = join(directory, "volume.hf");
  await makeVolume(url, { sizeBytes: sizes.volumeBytes });
  const serving = await startChild("sessions/idle-member-process.js", [url]);
  const member = await startChild("sessions/idle-member-process.js", [url]);
  const both = [serving.child, member.child];
  try {
    await sleep(sizes.settleMs);
    const percents = await percentsOf(both, sizes.windows, sizes.windowMs);
    const memory = await Promise.all(both.map(memoryOf));
    return ["idle member that serves one other", "idle member"].flatMap((name, index) => [
      alone(`${name}, heap and buffers`, "KiB", [kib(memory[index]?.heapBytes, 0)]),
      alone(`${name}, processor`, "% of a core", percents[index] ?? []),
    ]);
  } finally {
    await member.child.stop();
    await serving.child.stop();
  }
}

/** Shares of a core in some windows of time, of each child. */
async function percentsOf(
  children: readonly Child[],
  windows: number,
  windowMs: number,
): Promise<readonly (readonly number[])[]> {
  const percents = children.map((): number[] => []);
  for (let window = 0; window < windows; window += 1) {
    const answers = await Promise.all(children.map((child) => child.ask(`processor ${windowMs}`)));
    for (const [index, answer] of answers.entries()) percents[index]?.push(Number(answer));
  }
  return percents;
}

async function memoryOf(child: Child): Promise<Memory> {
  // Our own child says it.
  return JSON.parse(await child.ask("memory")) as Memory;
}

function kib(bytes = Number.NaN, before = Number.NaN): number {
  return (bytes - before) / 1024;
}

function alone(row: string, unit: string, values: readonly number[]): Row {
  const spread = Math.max(...values) / Math.min(...values);
  return { row, unit, ours: median(values), peers: {}, ratios: {}, goals: {}, runs: values.length, spread };
}

function beside(row: string, unit: string, ours: number, theirs: number): Row {
  const ratio = theirs / ours;
  return { ...alone(row, unit, [ours]), peers: { [PEER]: theirs }, ratio, ratios: { [PEER]: ratio } };
}
