/*
 * How long writes stand still when the server fails, beside three nodes of etcd whose leader is killed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { median, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import type { FailoverSizes } from "../sizes.ts";
import { Cluster } from "./cluster.ts";
import { EtcdCluster, hasEtcd } from "./etcd.ts";
import { type Fault, FAULTS, type PreparedFault } from "./faults.ts";
import type { Waits } from "./member-process.ts";

/** Load before a fault. */
const LOAD_MS = 400;

/** Our median is to be at most half of etcd's. */
const GOAL = 2;

/** The rows' kinds of writes, and what they wait for. */
const KINDS: readonly { readonly name: string; readonly of: (waits: Waits) => number }[] = [
  { name: "a write that needs a new lock", of: ({ grantedMs }) => grantedMs },
  { name: "a write under a lock the server's member held", of: ({ heldMs }) => heldMs },
  { name: "a write under a lock another member held", of: ({ keptMs }) => keptMs },
  { name: "a write under a cached lock", of: ({ cachedMs }) => cachedMs },
];

/** The peer's column. */
const ETCD = "etcd, leader killed";

/** What happened under one kind of fault. */
interface FaultReport {
  readonly fault: string;
  readonly waits: readonly Waits[];
  /** Members that ended by themselves. */
  readonly endedCount: number;
}

/** Measures each fault; etcd's runs are spread between them, since a machine changes its pace. */
export async function measureFailover({ runs }: FailoverSizes): Promise<readonly Row[]> {
  const etcdMs: number[] = [];
  const reports: FaultReport[] = [];
  for (const [index, fault] of FAULTS.entries()) {
    const dueCount = Math.ceil((runs * (index + 1)) / FAULTS.length) - etcdMs.length;
    if (dueCount > 0 && hasEtcd())
      etcdMs.push(...(await withDirectory((directory) => measureEtcd(directory, dueCount))));
    const reason = fault.missing();
    if (reason === undefined)
      reports.push(await withDirectory((directory) => measureFault(fault, directory, runs)));
    else process.stderr.write(`${fault.name} is not measured: ${reason}\n`);
  }
  if (etcdMs.length === 0) process.stderr.write("no peer: etcd is not installed (Debian: etcd-server)\n");
  return reports.flatMap((report) => rowsOfFault(report, etcdMs));
}

async function measureFault(fault: Fault, directory: string, runs: number): Promise<FaultReport> {
  const prepared = await fault.prepare(directory);
  try {
    const cluster = await Cluster.start(prepared.places);
    try {
      const waits: Waits[] = [];
      for (let run = 0; run < runs; run += 1) waits.push(await measureRun(cluster, prepared, run));
      return { fault: fault.name, waits, endedCount: cluster.endedCount };
    } finally {
      await cluster.end();
    }
  } finally {
    await prepared.remove();
  }
}

async function measureRun(cluster: Cluster, fault: PreparedFault, run: number): Promise<Waits> {
  const { server, others } = await cluster.roles();
  const writer = others[run % others.length];
  const keeper = others[(run + 1) % others.length];
  if (writer === undefined || keeper === undefined) throw new Error("nobody is left to write");
  // Keys with different first bytes have different locks.
  const [heldKey, keptKey] = [`held ${run}`, `kept ${run}`];
  await server.ask({ kind: "hold", key: heldKey });
  await keeper.ask({ kind: "hold", key: keptKey });
  await writer.ask({ kind: "write" });
  await sleep(LOAD_MS);
  const beganMs = now();
  await fault.strike(server);
  const waits = await writer.ask<Waits>({ kind: "fault", beganMs, doneMs: now(), heldKey, keptKey });
  await fault.undo(server);
  await cluster.replace(server);
  return waits;
}

function rowsOfFault({ fault, waits, endedCount }: FaultReport, etcdMs: readonly number[]): readonly Row[] {
  const ended: Row = {
    row: `${fault}: members that ended by themselves`,
    unit: "processes",
    ours: endedCount,
    peers: {},
    ratios: {},
    goals: {},
    runs: waits.length,
    spread: 1,
  };
  return [...KINDS.flatMap(({ name, of }) => rowsOf(`${fault}: ${name}`, waits.map(of), etcdMs)), ended];
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
    const peers: Record<string, number> = etcd.length === 0 ? {} : { [ETCD]: of(etcd) };
    const ratios = Object.fromEntries(Object.entries(peers).map(([peer, value]) => [peer, value / figure]));
    return {
      row: `${name}, ${what}`,
      unit: "ms",
      ours: figure,
      peers,
      ...(etcd.length === 0 ? {} : { ratio: Math.min(...Object.values(ratios)) }),
      ratios,
      goals: goal === undefined ? {} : { [ETCD]: goal },
      runs: ours.length,
      spread: Math.max(...ours) / Math.min(...ours),
      values: { ours, peers: etcd.length === 0 ? {} : { [ETCD]: etcd } },
    };
  };
  return [row("median", median, GOAL), row("worst", (values) => Math.max(...values), undefined)];
}
