import { expect, test } from "vitest";
import { type Row, type Sizes, SUITE_NAMES, SUITES, type SuiteName } from "../src/index.ts";

const MIB = 1024n * 1024n;

/** Enough to go through every line, too little to say anything. */
const TINY: Sizes = {
  runs: 1,
  messaging: { durationMs: 5, rounds: 1 },
  items: { items: 300, batchItems: 100, gets: 300, singlePuts: 10, volumeBytes: 64n * MIB },
  locks: { cachedUses: 1000, firstUses: 4, handovers: 2, volumeBytes: 160n * MIB },
  segments: { itemsPerSegment: 500, gets: 500 },
};

const PEERS: Readonly<Record<SuiteName, readonly string[]>> = {
  messaging: ["bare echo", "ws", "grpc-js"],
  locks: [],
  items: ["classic-level"],
  segments: ["plain merge in memory"],
};

test.each(SUITE_NAMES)(
  "the suite %s measures every row and every peer",
  async (name) => {
    const rows = await SUITES[name](TINY);

    expect(rows.length).toBeGreaterThan(2);
    for (const row of rows) expectShape(row);
    const peers = new Set(rows.flatMap((row) => Object.keys(row.peers)));
    expect([...peers]).toEqual(PEERS[name]);
  },
  60_000,
);

function expectShape(row: Row): void {
  expect(row.row).not.toBe("");
  expect(row.unit).toMatch(/^(µs|\w+\/s)$/);
  expect(row.runs).toBe(1);
  expect(row.spread).toBe(1);
  for (const figure of [row.ours, ...Object.values(row.peers)]) expect(figure).toBeGreaterThan(0);
  expect(row.ratio !== undefined).toBe(Object.keys(row.peers).length > 0);
  expect(Object.keys(row.ratios)).toEqual(Object.keys(row.peers));
}
