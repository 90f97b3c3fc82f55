import { NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  Commit,
  type CommitEffect,
  Election,
  type ElectionEffect,
  type IoEvent,
  nextGeneration,
  type QuorumRegion,
  recordBlock,
  splitterBlock,
} from "../src/index.ts";
import { Disk, recordOf, regionOf } from "./disk.ts";

const region = regionOf(64);

function newElection(fromTerm = 1n): Election {
  const yieldAbove = undefined;
  return new Election({
    region,
    rid: 42n,
    claim: 5n,
    fromTerm,
    yieldAbove,
    brokenRules: NO_BROKEN_RULES,
  });
}

function elect(disk: Disk, fromTerm = 1n): Exclude<ElectionEffect, { type: "read-blocks" | "write-block" }> {
  const election = newElection(fromTerm);
  return disk.run(election, election.handle({ type: "start" }));
}

function writesOf(disk: Disk): readonly string[] {
  return disk.log.filter((line) => line.startsWith("write"));
}

/** What a device holds on which mkfs has made another volume, or a renewal the next generation. */
function replaced(by: QuorumRegion): Disk {
  return new Disk(region, new Disk(by).blocks);
}

describe("a volume that is another one by now", () => {
  const another = { ...region, fsid: 0xbeefn };

  test.each([
    ["another volume", another],
    ["its own next generation", nextGeneration(region)],
  ])("is left alone: a candidate that finds the terms of %s writes nothing and ends", (_, by) => {
    for (const fromTerm of [1n, 30n, 64n]) {
      const disk = replaced(by);

      expect(elect(disk, fromTerm)).toMatchObject({
        type: "failed",
        error: { code: "ERR_HOLDFAST_TERMS_FOREIGN", category: "corruption" },
      });
      expect(writesOf(disk)).toEqual([]);
    }
  });

  test.each([8n, 29n])("is recognized while mkfs has come no further than term %i", (done) => {
    const disk = new Disk(region);
    disk.touchUpTo(30n);
    const made = new Disk(another);
    for (let term = 1n; term <= done; term += 1n)
      for (const address of [splitterBlock(region, term), splitterBlock(region, term) + 1n])
        disk.blocks.set(address, made.at(address));

    expect(elect(disk, 28n)).toMatchObject({ error: { code: "ERR_HOLDFAST_TERMS_FOREIGN" } });
    expect(writesOf(disk)).toEqual([]);
  });

  test("is recognized where whatever else stands on the device by now is no volume", () => {
    const disk = new Disk(region);
    for (const address of disk.blocks.keys()) disk.blocks.set(address, new Uint8Array(4096));

    expect(elect(disk, 30n)).toMatchObject({ error: { code: "ERR_HOLDFAST_TERMS_FOREIGN" } });
    expect(writesOf(disk)).toEqual([]);
  });

  test("is not suspected for one block that another volume's write has hit: its term is passed", () => {
    const disk = new Disk(region);
    const x2 = splitterBlock(region, 2n);
    disk.blocks.set(x2, new Disk(another).at(x2));

    expect(elect(disk)).toMatchObject({ type: "elected", term: 3n });
  });

  test("is not suspected where its first term is damaged, and those behind it are not", () => {
    const disk = new Disk(region);
    disk.touchUpTo(30n);
    for (const address of [splitterBlock(region, 1n), splitterBlock(region, 1n) + 1n]) disk.damage(address);

    expect(elect(disk, 30n)).toMatchObject({ type: "elected", term: 31n });
  });

  test("is not marked all over where the device gives out nothing of the terms that come next", () => {
    const disk = new Disk(region);
    disk.touchUpTo(30n);
    const [x30, r30, r30Copy] = [
      splitterBlock(region, 30n),
      recordBlock(region, 30n, 0),
      recordBlock(region, 30n, 1),
    ];
    for (const start of [x30, r30, r30Copy])
      for (let address = start; address < start + 16n; address += 1n) disk.badBlocks.add(address);

    expect(elect(disk, 30n)).toMatchObject({ error: { code: "ERR_HOLDFAST_SPLITTER_READ" } });
    expect(writesOf(disk)).toEqual([]);
  });

  test("is not suspected where the device refuses to read: the candidate tries again", () => {
    const disk = new Disk(region);
    disk.touchUpTo(30n);
    disk.damage(splitterBlock(region, 30n));
    for (let term = 1n; term <= 6n; term += 1n) {
      disk.badBlocks.add(splitterBlock(region, term));
      disk.badBlocks.add(splitterBlock(region, term) + 1n);
    }

    expect(elect(disk, 29n)).toMatchObject({ error: { code: "ERR_HOLDFAST_SPLITTER_READ" } });
    expect(writesOf(disk)).toEqual([]);
  });
});

describe("a volume whose newest record is damaged", () => {
  function halted(top: bigint): Disk {
    const disk = new Disk(region);
    disk.touchUpTo(top);
    disk.putRecord(recordOf(2n, 1n), { half: 0n, copies: [0, 1] });
    for (const copy of [0, 1] as const) disk.damage(recordBlock(region, 2n, copy));
    return disk;
  }

  test.each([
    ["in the terms that the walk reads", 2n, 2n],
    ["further down than that", 30n, 30n],
  ])("uses up no term by attempts, be the record %s", (_, top, fromTerm) => {
    const disk = halted(top);

    expect(elect(disk, fromTerm)).toMatchObject({
      type: "failed",
      error: { code: "ERR_HOLDFAST_RECORD_CORRUPT", facts: { term: 2n } },
    });
    expect(writesOf(disk)).toEqual([]);
  });

  test("is one only if a second look finds it damaged: a first one may fall into two writes", () => {
    const disk = halted(2n);
    const election = newElection(2n);
    let effects = election.handle({ type: "start" });
    for (let attempt = 1; attempt <= 4; attempt += 1)
      effects = election.handle(disk.perform(effects[0] as never));
    disk.putRecord(recordOf(2n, 1n), { half: 0n, copies: [0, 1] });

    expect(disk.run(election, effects)).toMatchObject({ type: "elected", term: 3n });
  });
});

test("a mark that the device swallowed ends elections: a server below would not see who comes above it", () => {
  const disk = new Disk(region);
  const x3 = splitterBlock(region, 3n);
  disk.touch(2n);
  const server = new Commit({ region, term: 2n, rid: 7n, brokenRules: NO_BROKEN_RULES });
  const commit = (): Extract<CommitEffect, { type: "committed" | "deposed" | "failed" }> =>
    disk.run(server, server.handle({ type: "commit", payload: new Uint8Array([1]), address: "a" }));
  expect(commit()).toMatchObject({ type: "committed" });
  disk.damage(recordBlock(region, 3n, 0));
  const election = newElection(2n);
  const swallowing = {
    handle: (event: IoEvent): readonly ElectionEffect[] => {
      if (event.type === "block-written" && writesOf(disk).at(-1) === `write ${x3}`)
        disk.blocks.set(x3, new Disk(region).at(x3));
      return election.handle(event);
    },
  };

  const outcome = disk.run(swallowing, election.handle({ type: "start" }));

  expect([outcome.type, commit().type]).not.toEqual(["elected", "committed"]);
  expect(outcome).toMatchObject({ type: "failed", error: { code: "ERR_HOLDFAST_ANNOUNCEMENT_LOST" } });
});
