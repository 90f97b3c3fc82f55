import { NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  Check,
  Commit,
  type CommitEffect,
  type CommitOutcome,
  type CheckOutcome,
  countIds,
  RECORD_ADDRESS_BYTES_MAX,
  RECORD_PAYLOAD_BYTES_MAX,
  readSlot,
  recordBlock,
  splitterBlock,
} from "../src/index.ts";
import { Disk, regionOf } from "./disk.ts";

const region = regionOf(16);
const [H0, H0_COPY] = [recordBlock(region, 3n, 0), recordBlock(region, 3n, 1)];
const X4 = splitterBlock(region, 4n);
const PAYLOAD = new Uint8Array([1, 2, 3]);
const ADDRESS = "tcp://127.0.0.1:4000";

function newCommit(term = 3n, broken: ReadonlySet<string> = NO_BROKEN_RULES): Commit {
  return new Commit({ region, term, rid: 42n, brokenRules: broken });
}

function commitOnce(disk: Disk, commit: Commit): CommitOutcome {
  return disk.run(commit, commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS }));
}

function runCheck(disk: Disk, term: bigint): CheckOutcome {
  const check = new Check({ region, term, brokenRules: NO_BROKEN_RULES }, countIds());
  const machine = { handle: (event: Parameters<Commit["handle"]>[0]) => check.handle(event as never) };
  return disk.run<CheckOutcome>(machine, check.handle({ type: "start" }));
}

describe("a commit", () => {
  test("writes copy 0, then copy 1, then looks for a later term, and only then is one", () => {
    const disk = new Disk(region);
    const commit = newCommit();

    const first = commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS });
    expect(first).toMatchObject([{ type: "write-block", id: 1, address: H0 }]);
    disk.perform(first[0] as never);
    const second = commit.handle({ type: "block-written", id: 1 });
    expect(second).toMatchObject([{ type: "write-block", id: 2, address: H0_COPY }]);
    disk.perform(second[0] as never);
    const check = commit.handle({ type: "block-written", id: 2 });
    expect(check).toEqual([{ type: "read-blocks", id: 3, attempt: 1, ranges: [{ address: X4, count: 2 }] }]);
    expect(commit.handle(disk.perform(check[0] as never))).toEqual([{ type: "committed", seq: 1n }]);
    for (const address of [H0, H0_COPY])
      expect(readSlot(region, address, disk.at(address))).toEqual({
        state: "record",
        record: { term: 3n, seq: 1n, writer: 42n, address: ADDRESS, payload: PAYLOAD },
      });
  });

  test("halves alternate, so the record before the newest stays whole", () => {
    const disk = new Disk(region);
    const commit = newCommit();

    for (let count = 0; count < 3; count += 1) commitOnce(disk, commit);

    expect(disk.log.filter((line) => line.startsWith("write"))).toEqual([
      `write ${H0}`,
      `write ${H0_COPY}`,
      `write ${H0 + 1n}`,
      `write ${H0_COPY + 1n}`,
      `write ${H0}`,
      `write ${H0_COPY}`,
    ]);
  });

  test("a second record while one is in flight is a bug, and so is one after the last", () => {
    const commit = newCommit();
    commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS });

    expect(() => commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS })).toThrow("one record");
  });

  test("a write error is the end: the outcome is unknown and nothing more is written", () => {
    const commit = newCommit();
    commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS });

    expect(commit.handle({ type: "block-write-failed", id: 1, cause: "eio" })).toMatchObject([
      {
        type: "failed",
        error: { code: "ERR_HOLDFAST_RECORD_WRITE", facts: { term: 3n, seq: 1n, block: H0 } },
      },
    ]);
    expect(() => commit.handle({ type: "commit", payload: PAYLOAD, address: ADDRESS })).toThrow("none after");
  });

  test("a record fills its block exactly; one byte more is refused and changes nothing", () => {
    const disk = new Disk(region);
    const commit = newCommit();
    const [payload, address] = [
      new Uint8Array(RECORD_PAYLOAD_BYTES_MAX),
      "a".repeat(RECORD_ADDRESS_BYTES_MAX),
    ];
    const tooLong = new Uint8Array(RECORD_PAYLOAD_BYTES_MAX + 1);

    expect(RECORD_PAYLOAD_BYTES_MAX).toBeGreaterThanOrEqual(3600);
    expect(() => commit.handle({ type: "commit", payload: tooLong, address })).toThrow(RangeError);
    expect(() => commit.handle({ type: "commit", payload, address: `${address}a` })).toThrow(RangeError);
    const first: readonly CommitEffect[] = commit.handle({ type: "commit", payload, address });
    expect(disk.run<CommitOutcome>(commit, first)).toEqual({ type: "committed", seq: 1n });
  });
});

describe("the check", () => {
  test("an announced later term deposes", () => {
    const disk = new Disk(region);
    disk.touch(4n);

    expect(commitOnce(disk, newCommit())).toEqual({ type: "deposed", by: 4n });
    expect(runCheck(disk, 3n)).toEqual({ type: "deposed", by: 4n });
  });

  test("a term that is claimed and not announced does not depose, and does not end the walk", () => {
    const disk = new Disk(region);
    disk.touch(4n, { withY: false });
    expect(runCheck(disk, 3n)).toEqual({ type: "confirmed" });
    for (let term = 5n; term <= 14n; term += 1n) disk.touch(term, { withY: false });
    expect(runCheck(disk, 3n)).toEqual({ type: "confirmed" });

    disk.touch(15n);

    expect(runCheck(disk, 3n)).toEqual({ type: "deposed", by: 15n });
  });

  test("what cannot be read deposes, after it was read again in case the read was torn", () => {
    for (const address of [X4, X4 + 1n]) {
      const damaged = new Disk(region);
      damaged.damage(address);
      expect(runCheck(damaged, 3n)).toEqual({ type: "deposed", by: 4n });
      const bad = new Disk(region);
      bad.badBlocks.add(address);
      expect(runCheck(bad, 3n)).toEqual({ type: "deposed", by: 4n });
      expect(bad.log).toHaveLength(4);
    }
  });

  test("nothing can follow the last term", () => {
    const disk = new Disk(region);

    expect(runCheck(disk, 16n)).toEqual({ type: "confirmed" });
    expect(disk.log).toEqual([]);
  });

  test("an untouched successor costs one read of two blocks", () => {
    const disk = new Disk(region);

    runCheck(disk, 3n);

    expect(disk.log).toEqual([`read ${X4}+2`]);
  });
});
