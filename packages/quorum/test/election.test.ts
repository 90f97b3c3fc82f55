import { NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  CorruptionError,
  Election,
  type ElectionEffect,
  READ_ATTEMPTS_MAX,
  readSlot,
  recordBlock,
  sealMark,
  SplitterWriteError,
  splitterBlock,
  TermsExhaustedError,
} from "../src/index.ts";
import { Disk, FIRST_PAYLOAD, recordOf, regionOf } from "./disk.ts";

const region = regionOf(64);
const X2 = splitterBlock(region, 2n);
const Y2 = X2 + 1n;
const MINE = { claim: 5n, isVoid: false };

function newElection(fromTerm = 1n, claim = 5n): Election {
  return new Election({
    region,
    rid: 42n,
    claim,
    fromTerm,
    yieldAbove: undefined,
    brokenRules: NO_BROKEN_RULES,
  });
}

function elect(disk: Disk, fromTerm = 1n): Exclude<ElectionEffect, { type: "read-blocks" | "write-block" }> {
  const election = newElection(fromTerm);
  return disk.run(election, election.handle({ type: "start" }));
}

function markOf(disk: Disk, address: bigint): ReturnType<typeof readSlot> {
  return readSlot(region, address, disk.at(address));
}

describe("an election on an idle device", () => {
  test("walks, claims, looks, announces, confirms and reads the records below, in this order", () => {
    const disk = new Disk(region);
    const election = newElection();
    const [r1, r1Copy] = [recordBlock(region, 1n, 0), recordBlock(region, 1n, 1)];

    const walk = election.handle({ type: "start" });
    expect(walk).toEqual([
      {
        type: "read-blocks",
        id: 1,
        attempt: 1,
        ranges: [
          { address: splitterBlock(region, 1n), count: 16 },
          { address: r1, count: 16 },
          { address: r1Copy, count: 16 },
        ],
      },
    ]);
    const claim = election.handle(disk.answer(walk[0] as Extract<ElectionEffect, { type: "read-blocks" }>));
    expect(claim).toEqual([
      {
        type: "write-block",
        id: 2,
        address: X2,
        block: sealMark(region, { address: X2, writer: 42n, mark: MINE }),
      },
    ]);
    disk.perform(claim[0] as Extract<ElectionEffect, { type: "write-block" }>);
    const look = election.handle({ type: "block-written", id: 2 });
    expect(look).toEqual([{ type: "read-blocks", id: 3, attempt: 1, ranges: [{ address: Y2, count: 1 }] }]);
    const announce = election.handle({ type: "blocks-read", id: 3, blocks: [disk.at(Y2)] });
    expect(announce).toEqual([
      {
        type: "write-block",
        id: 4,
        address: Y2,
        block: sealMark(region, { address: Y2, writer: 42n, mark: MINE }),
      },
    ]);
    disk.perform(announce[0] as Extract<ElectionEffect, { type: "write-block" }>);
    const confirm = election.handle({ type: "block-written", id: 4 });
    expect(confirm).toEqual([
      { type: "read-blocks", id: 5, attempt: 1, ranges: [{ address: X2, count: 2 }] },
    ]);
    const adopt = election.handle({ type: "blocks-read", id: 5, blocks: [disk.at(X2), disk.at(Y2)] });
    expect(adopt).toEqual([
      {
        type: "read-blocks",
        id: 6,
        attempt: 1,
        ranges: [
          { address: r1, count: 2 },
          { address: r1Copy, count: 2 },
        ],
      },
    ]);
    const first = { term: 1n, seq: 1n, writer: 0n, address: "", payload: FIRST_PAYLOAD };
    expect(
      election.handle(disk.answer(adopt[0] as Extract<ElectionEffect, { type: "read-blocks" }>)),
    ).toEqual([{ type: "elected", term: 2n, adopted: first }]);
  });

  test("takes two writes and four rounds of reads when the last term is known", () => {
    const disk = new Disk(region);
    disk.touchUpTo(40n);
    disk.putRecord(recordOf(40n, 9n), { half: 0n, copies: [0, 1] });

    expect(elect(disk, 40n)).toMatchObject({ type: "elected", term: 41n, adopted: { term: 40n, seq: 9n } });

    expect(disk.log).toHaveLength(6);
  });

  test("finds the last term by a few probes when it is not known (Q9)", () => {
    const big = regionOf(4096);
    const disk = new Disk(big);
    disk.touchUpTo(2999n);
    disk.putRecord(recordOf(2999n, 1n), { half: 0n, copies: [0, 1] });
    const election = new Election({
      region: big,
      rid: 42n,
      claim: 5n,
      fromTerm: 1n,
      yieldAbove: undefined,
      brokenRules: NO_BROKEN_RULES,
    });

    expect(disk.run(election, election.handle({ type: "start" }))).toMatchObject({
      type: "elected",
      term: 3000n,
    });

    expect(disk.log.length).toBeLessThanOrEqual(11);
  });

  test("starts over at term 1 when the term it was told to begin at was never touched", () => {
    expect(elect(new Disk(region), 30n)).toMatchObject({ type: "elected", term: 2n });
  });
});

test("a candidate yields to one that has taken a term it did not know of, without touching anything", () => {
  const disk = new Disk(region);
  disk.touchUpTo(3n);
  const election = new Election({
    region,
    rid: 42n,
    claim: 5n,
    fromTerm: 2n,
    yieldAbove: 2n,
    brokenRules: NO_BROKEN_RULES,
  });

  expect(disk.run(election, election.handle({ type: "start" }))).toEqual({ type: "lost", term: 3n });
  expect(disk.log.some((line) => line.startsWith("write"))).toBe(false);
});

describe("the splitter", () => {
  test("a candidate that finds Y set after its claim has lost", () => {
    const disk = new Disk(region);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    effects = election.handle(disk.perform(effects[0] as never));
    effects = election.handle(disk.perform(effects[0] as never));
    disk.touch(2n);

    expect(election.handle(disk.perform(effects[0] as never))).toEqual([{ type: "lost", term: 2n }]);
  });

  test("a candidate whose claim was overwritten before it confirmed has lost, though it announced", () => {
    const disk = new Disk(region);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    for (let step = 0; step < 4; step += 1) effects = election.handle(disk.perform(effects[0] as never));
    disk.touch(2n, { withY: false });

    expect(election.handle(disk.perform(effects[0] as never))).toEqual([{ type: "lost", term: 2n }]);
  });

  test("a late write of an earlier attempt of the same member is not taken for its claim", () => {
    const disk = new Disk(region);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    for (let step = 0; step < 4; step += 1) effects = election.handle(disk.perform(effects[0] as never));
    disk.blocks.set(X2, sealMark(region, { address: X2, writer: 42n, mark: { claim: 4n, isVoid: false } }));

    expect(election.handle(disk.perform(effects[0] as never))).toEqual([{ type: "lost", term: 2n }]);
  });

  test("an announcement that cannot be read counts as somebody else's", () => {
    const disk = new Disk(region);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    for (let step = 0; step < 2; step += 1) effects = election.handle(disk.perform(effects[0] as never));
    disk.damage(Y2);

    expect(disk.run(election, effects)).toEqual({ type: "lost", term: 2n });
    expect(disk.log.filter((line) => line === `read ${Y2}+1`)).toHaveLength(READ_ATTEMPTS_MAX);
  });

  test("a device that swallowed the announcement ends elections", () => {
    const disk = new Disk(region);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    const pristine = disk.at(Y2);
    for (let step = 0; step < 4; step += 1) effects = election.handle(disk.perform(effects[0] as never));
    disk.blocks.set(Y2, pristine);

    const outcome = disk.run(election, effects);

    expect(outcome).toMatchObject({ type: "failed", error: { code: "ERR_HOLDFAST_ANNOUNCEMENT_LOST" } });
  });

  test("a claim that could not be written is an error worth another attempt", () => {
    const disk = new Disk(region);
    const election = newElection();
    const walk = election.handle({ type: "start" });
    const claim = election.handle(disk.perform(walk[0] as never));
    const cause = new Error("no");

    const [outcome] = election.handle({ type: "block-write-failed", id: 2, cause });

    expect(claim).toMatchObject([{ type: "write-block" }]);
    expect(outcome).toMatchObject({
      type: "failed",
      error: { code: "ERR_HOLDFAST_SPLITTER_WRITE", category: "retry" },
    });
    expect(outcome?.type === "failed" && outcome.error instanceof SplitterWriteError).toBe(true);
  });
});

describe("terms that cannot be read", () => {
  test("a term whose splitter is damaged is marked void before it is passed", () => {
    const disk = new Disk(region);
    disk.damage(X2);

    expect(elect(disk)).toMatchObject({ type: "elected", term: 3n });

    expect(markOf(disk, X2)).toMatchObject({ state: "mark", mark: { isVoid: true }, writer: 42n });
    expect(disk.log.indexOf(`write ${X2}`)).toBeLessThan(
      disk.log.indexOf(`write ${splitterBlock(region, 3n)}`),
    );
  });

  test("a term that has a record and no splitter is marked too, for a check reads the splitter only", () => {
    const disk = new Disk(region);
    disk.damage(recordBlock(region, 2n, 1) + 1n);

    const outcome = elect(disk);

    expect(outcome).toMatchObject({ type: "elected", term: 3n });
    expect(markOf(disk, X2)).toMatchObject({ state: "mark", mark: { isVoid: true } });
  });

  test("a mark that cannot be written ends the attempt: nothing is passed unmarked", () => {
    const disk = new Disk(region);
    disk.badBlocks.add(Y2);
    const election = newElection();
    let effects = election.handle({ type: "start" });
    while (effects[0]?.type === "read-blocks") effects = election.handle(disk.perform(effects[0]));
    expect(effects).toMatchObject([{ type: "write-block", address: X2 }]);

    expect(election.handle({ type: "block-write-failed", id: 9, cause: "eio" })).toMatchObject([
      { type: "failed", error: { code: "ERR_HOLDFAST_SPLITTER_WRITE" } },
    ]);
  });

  test("a run of unreadable terms longer than one window is passed, each marked", () => {
    const disk = new Disk(region);
    for (let term = 2n; term <= 20n; term += 1n) disk.damage(splitterBlock(region, term));

    expect(elect(disk)).toMatchObject({ type: "elected", term: 21n });
    for (let term = 2n; term <= 20n; term += 1n)
      expect(markOf(disk, splitterBlock(region, term))).toMatchObject({ mark: { isVoid: true } });
  });

  test("a torn read is no damage: the block is read again", () => {
    const disk = new Disk(region);
    const election = newElection();
    const walk = election.handle({ type: "start" });
    const answer = disk.answer(walk[0] as never);
    const torn = answer.blocks.map((block, index) => (index === 2 ? block?.slice().fill(1, 600) : block));

    const again = election.handle({ ...answer, blocks: torn });

    expect(again).toEqual([{ type: "read-blocks", id: 2, attempt: 2, ranges: [{ address: X2, count: 1 }] }]);
    expect(disk.run(election, again)).toMatchObject({ type: "elected", term: 2n });
  });
});

test("when every term is used the election refuses and names the command that renews them", () => {
  const disk = new Disk(region);
  disk.touchUpTo(64n);

  const outcome = elect(disk, 60n);

  expect(outcome.type === "failed" && outcome.error).toBeInstanceOf(TermsExhaustedError);
  expect(outcome).toMatchObject({ error: { message: expect.stringContaining("holdfast renew") as string } });
});

describe("adoption", () => {
  const [half0, half1] = [recordBlock(region, 2n, 0), recordBlock(region, 2n, 0) + 1n];
  const copyOf = (address: bigint): bigint => address - region.recordsBlock + region.recordsCopyBlock;

  function diskWithTwoRecords(): Disk {
    const disk = new Disk(region);
    disk.touchUpTo(2n);
    disk.putRecord(recordOf(2n, 1n), { half: 0n, copies: [0, 1] });
    disk.putRecord(recordOf(2n, 2n), { half: 1n, copies: [0, 1] });
    return disk;
  }

  test("the highest term wins over the highest number, and the highest number within the term", () => {
    const disk = diskWithTwoRecords();
    disk.touch(3n);
    disk.touch(4n);

    expect(elect(disk)).toMatchObject({ type: "elected", term: 5n, adopted: { term: 2n, seq: 2n } });
  });

  test("a record with one damaged copy is adopted from the other", () => {
    for (const damaged of [half1, copyOf(half1)]) {
      const disk = diskWithTwoRecords();
      disk.damage(damaged);

      expect(elect(disk)).toMatchObject({ type: "elected", adopted: { term: 2n, seq: 2n } });
    }
  });

  test("a first write that was torn is nothing, for its other copy was never written", () => {
    const disk = new Disk(region);
    disk.touchUpTo(2n);
    disk.damage(half0);

    expect(elect(disk)).toMatchObject({ type: "elected", adopted: { term: 1n, seq: 1n } });
  });

  test("a torn write and one rotten copy of the record before it lose nothing", () => {
    const disk = diskWithTwoRecords();
    disk.damage(half0);
    disk.damage(half1);

    expect(elect(disk)).toMatchObject({ type: "elected", adopted: { term: 2n, seq: 2n } });
  });

  test("two damaged copies of a half that may be the newest end elections, never bring back an older record", () => {
    const disk = diskWithTwoRecords();
    disk.damage(half1);
    disk.badBlocks.add(copyOf(half1));

    const outcome = elect(disk);

    expect(outcome.type === "failed" && outcome.error).toBeInstanceOf(CorruptionError);
    expect(outcome).toMatchObject({ error: { code: "ERR_HOLDFAST_RECORD_CORRUPT", facts: { term: 2n } } });
  });

  test("a record that a device wrote over its own other copy is adopted from there", () => {
    const disk = diskWithTwoRecords();
    disk.putRecord(recordOf(2n, 3n), { half: 0n, copies: [0, 1] });
    disk.putRecord(recordOf(2n, 4n), { half: 1n, copies: [0, 1] });
    disk.blocks.set(half1, disk.at(copyOf(half1)));
    disk.putRecord(recordOf(2n, 2n), { half: 1n, copies: [1] });

    expect(elect(disk)).toMatchObject({ type: "elected", adopted: { term: 2n, seq: 4n } });
  });

  test("a record in the place of its other copy, which is damaged itself, ends elections", () => {
    const disk = diskWithTwoRecords();
    disk.blocks.set(half1, disk.at(copyOf(half1)));
    disk.damage(copyOf(half1));

    expect(elect(disk)).toMatchObject({ type: "failed", error: { code: "ERR_HOLDFAST_RECORD_CORRUPT" } });
  });

  test("damage in a term that a later record supersedes does no harm", () => {
    const disk = diskWithTwoRecords();
    disk.damage(half1);
    disk.damage(copyOf(half1));
    disk.touch(3n);
    disk.putRecord(recordOf(3n, 1n), { half: 0n, copies: [0] });

    expect(elect(disk)).toMatchObject({ type: "elected", adopted: { term: 3n, seq: 1n } });
  });

  test("terms without a record are passed on the way down, however many", () => {
    const disk = diskWithTwoRecords();
    disk.touchUpTo(60n);

    expect(elect(disk, 50n)).toMatchObject({ type: "elected", term: 61n, adopted: { term: 2n, seq: 2n } });
  });

  test("a volume whose first record is gone is corrupt", () => {
    const disk = new Disk(region);
    for (const copy of [0, 1] as const)
      disk.blocks.set(recordBlock(region, 1n, copy), disk.at(recordBlock(region, 1n, copy) + 1n));
    for (const copy of [0, 1] as const) disk.damage(recordBlock(region, 1n, copy));

    expect(elect(disk)).toMatchObject({ type: "failed", error: { code: "ERR_HOLDFAST_RECORD_CORRUPT" } });
  });
});
