import { expect, test } from "vitest";
import { hasEtcd } from "../src/failover/etcd.ts";
import { type Row, type Sizes, SUITE_NAMES, SUITES, type SuiteName } from "../src/index.ts";

const MIB = 1024n * 1024n;

/** Enough to go through every line, too little to say anything. */
const TINY: Sizes = {
  runs: 1,
  messaging: { durationMs: 5, rounds: 1, resets: 1 },
  streams: { totalBytes: 8 << 20, rounds: 1 },
  items: { items: 300, batchItems: 100, gets: 300, singlePuts: 10, volumeBytes: 64n * MIB },
  locks: { cachedUses: 1000, firstUses: 4, handovers: 2, volumeBytes: 160n * MIB },
  segments: { itemsPerSegment: 500, gets: 500 },
  failover: { runs: 1 },
  sessions: { counts: [20], windows: 1, windowMs: 50, settleMs: 10, volumeBytes: 160n * MIB },
};

const PEERS: Readonly<Record<SuiteName, readonly string[]>> = {
  messaging: ["bare echo", "ws", "grpc-js", "session, sleeps"],
  streams: ["bare pipe", "bare pipe, CRC-32"],
  locks: [],
  items: ["classic-level"],
  segments: ["plain merge in memory"],
  sessions: ["bare echo"],
  failover: hasEtcd() ? ["etcd, leader killed"] : [],
};

test.each(SUITE_NAMES)(
  "the suite %s measures every row and every peer",
  async (name) => {
    const rows = await SUITES[name](TINY);

    expect(rows.length).toBeGreaterThan(2);
    for (const row of rows) expectShape(row);
    expect(
      rows.filter(({ unit, ours }) => (unit === "requests" || unit === "processes") && ours > 0),
    ).toEqual([]);
    const peers = new Set(rows.flatMap((row) => Object.keys(row.peers)));
    expect([...peers]).toEqual(PEERS[name]);
  },
  120_000,
);

/** Figures are greater than 0, but what memory a few connections take may drown in what was collected meanwhile. */
const LEAST: Readonly<Record<string, number>> = {
  KiB: Number.NEGATIVE_INFINITY,
  requests: -1,
  processes: -1,
};

function expectShape(row: Row): void {
  expect(row.row).not.toBe("");
  expect(row.unit).toMatch(/^(µs|ms|\w+\/s|KiB|ns\/KiB|% of a core|requests|processes)$/);
  expect(row.runs).toBe(1);
  expect(row.spread).toBe(1);
  const least = LEAST[row.unit] ?? 0;
  for (const figure of [row.ours, ...Object.values(row.peers)]) expect(figure).toBeGreaterThan(least);
  expect(row.ratio !== undefined).toBe(Object.keys(row.peers).length > 0);
  expect(Object.keys(row.ratios)).toEqual(Object.keys(row.peers));
}
