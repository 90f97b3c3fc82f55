/*
 * How long writes stand still when the server fails, beside three nodes of etcd whose leader is killed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { median, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import type { FailoverSizes } from "../sizes.ts";
import { Cluster } from "./cluster.ts";
import { EtcdCluster, hasEtcd } from "./etcd.ts";
import { type Fault, FAULTS } from "./faults.ts";
import type { Waits } from "./member-process.ts";

/** Load before a fault. */
const LOAD_MS = 400;

/** Our median is to be at most half of etcd's. */
const GOAL = 2;

/** The rows' kinds of writes, and what they wait for. */
const KINDS: readonly { readonly name: string; readonly of: (waits: Waits) => number }[] = [
  { name: "a write that needs a new lock", of: ({ grantedMs }) => grantedMs },
  { name: "a write under a lock the server's member held", of: ({ heldMs }) => heldMs },
  { name: "a write under a cached lock", of: ({ cachedMs }) => cachedMs },
];

/** Measures each fault, and etcd. */
export async function measureFailover({ runs }: FailoverSizes): Promise<readonly Row[]> {
  const etcdMs = hasEtcd() ? await withDirectory((directory) => measureEtcd(directory, runs)) : [];
  const rows: Row[] = [];
  for (const fault of FAULTS) {
    const reason = fault.missing();
    if (reason === undefined)
      rows.push(...(await withDirectory((directory) => measureFault(fault, directory, runs, etcdMs))));
    else process.stderr.write(`${fault.name} is not measured: ${reason}\n`);
  }
  if (etcdMs.length === 0) process.stderr.write("no peer: etcd is not installed (Debian: etcd-server)\n");
  return rows;
}

async function measureFault(
  fault: Fault,
  directory: string,
  runs: number,
  etcdMs: readonly number[],
): Promise<readonly Row[]> {
  const prepared = await fault.prepare(directory);
  try {
    const cluster = await Cluster.start(prepared.places);
    try {
      const waits: Waits[] = [];
      for (let run = 0; run < runs; run += 1) {
        const { server, others } = await cluster.roles();
        const writer = others[run % others.length];
        if (writer === undefined) throw new Error("nobody is left to write");
        const heldKey = `held ${run}`;
        await server.ask({ kind: "hold", key: heldKey });
        await writer.ask({ kind: "write" });
        await sleep(LOAD_MS);
        const beganMs = now();
        await prepared.strike(server);
        waits.push(await writer.ask<Waits>({ kind: "fault", beganMs, doneMs: now(), heldKey }));
        await prepared.undo(server);
        await cluster.replace(server);
      }
      return KINDS.flatMap(({ name, of }) => rowsOf(`${fault.name}: ${name}`, waits.map(of), etcdMs));
    } finally {
      await cluster.end();
    }
  } finally {
    await prepared.remove();
  }
}

/** A time that all processes of this host share. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

async function measureEtcd(directory: string, runs: number): Promise<readonly number[]> {
  const etcd = await EtcdCluster.start(directory);
  try {
    const waits: number[] = [];
    for (let run = 0; run < runs; run += 1) waits.push(await etcd.killLeader());
    return waits;
  } finally {
    await etcd.stop();
  }
}

/** A row of medians and one of the worst, since those who wait are not consoled by a median. */
function rowsOf(name: string, ours: readonly number[], etcd: readonly number[]): readonly Row[] {
  const row = (what: string, of: (values: readonly number[]) => number, goal: number | undefined): Row => {
    const figure = of(ours);
    const peers: Record<string, number> = etcd.length === 0 ? {} : { "etcd, leader killed": of(etcd) };
    const ratios = Object.fromEntries(Object.entries(peers).map(([peer, value]) => [peer, value / figure]));
    return {
      row: `${name}, ${what}`,
      unit: "ms",
      ours: figure,
      peers,
      ...(etcd.length === 0 ? {} : { ratio: Math.min(...Object.values(ratios)) }),
      ratios,
      goals: goal === undefined ? {} : { "etcd, leader killed": goal },
      runs: ours.length,
      spread: Math.max(...ours) / Math.min(...ours),
    };
  };
  return [row("median", median, GOAL), row("worst", (values) => Math.max(...values), undefined)];
}
