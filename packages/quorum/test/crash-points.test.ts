/*
 * Every write of a take-over, of the commits behind it and of a leaving, with every fate that a crash, a lying disk or rot can give it.
 */
import { describe, expect, test } from "vitest";
import { type WriteBlock, lastTerm, placeOf } from "../src/index.ts";
import { Disk, FIRST_PAYLOAD, regionOf } from "./disk.ts";
import { type Fate, type Reign, serve } from "./serving.ts";

const TERMS = 7;
const SECTOR_BYTES = 512;
const BLOCK_BYTES = 4096;
/** Takes over, commits twice, and leaves with a last record. */
const VICTIM = { rid: 2n, commits: [21, 22, 23], resigns: true };
/** X and Y, and two copies of each record. */
const VICTIM_WRITES = 2 + 2 * VICTIM.commits.length;
const WRITE_NAMES = [
  "X",
  "Y",
  ...VICTIM.commits.flatMap((_, index) => [0, 1].map((c) => `record ${index + 1} copy ${c}`)),
];

const SERVED = new Disk({ ...regionOf(TERMS), hintsCount: 0 });
const { acknowledged: SERVED_LOG } = serve(SERVED, { rid: 1n, commits: [11, 12] }, [...FIRST_PAYLOAD]);

/** A volume that has been served: two commits are acknowledged. */
function newDisk(): { readonly disk: Disk; readonly acknowledged: readonly number[] } {
  return { disk: new Disk(SERVED.region, SERVED.blocks), acknowledged: SERVED_LOG };
}

/** Each way a crash leaves a write: not landed, landed up to a sector, or from one on, or landed. */
function crashes(): readonly { readonly from: number; readonly to: number }[] {
  const parts = [];
  for (let at = 0; at <= BLOCK_BYTES; at += SECTOR_BYTES) {
    parts.push({ from: 0, to: at });
    if (at > 0 && at < BLOCK_BYTES) parts.push({ from: at, to: BLOCK_BYTES });
  }
  return parts;
}

function land(
  disk: Disk,
  write: WriteBlock,
  { from, to }: { readonly from: number; readonly to: number },
): void {
  const block = disk.at(write.address).slice();
  block.set(write.block.subarray(from, to), from);
  disk.blocks.set(write.address, block);
}

/** Does something else with one write; the others are done. */
function atWrite(wanted: number, fate: Fate): Fate {
  let count = -1;
  return (write, disk) => {
    count += 1;
    return count === wanted ? fate(write, disk) : "done";
  };
}

/** Nothing that was acknowledged is missing from what the next election goes on from. @throws Error */
function judge(acknowledged: readonly number[], next: Reign): void {
  if (next.election?.type !== "elected") throw new Error(`the next election ended ${next.election?.type}`);
  const adopted = [...next.election.adopted.payload];
  if (!acknowledged.every((entry, index) => adopted[index] === entry))
    throw new Error(`acknowledged ${acknowledged.join(" ")}, adopted ${adopted.join(" ")}`);
}

function termOf(reign: Reign): bigint {
  return reign.election?.type === "elected" ? reign.election.term : 0n;
}

describe("a crash", () => {
  test.each(WRITE_NAMES.map((name, index) => [name, index] as const))(
    "at the write of %s loses nothing, however it tears it and whenever the rest of it lands",
    (_name, index) => {
      for (const part of crashes()) {
        for (let ghostAt = 0; ghostAt <= 4; ghostAt += 1) {
          const { disk, acknowledged } = newDisk();
          const victim = serve(
            disk,
            VICTIM,
            acknowledged,
            atWrite(index, (write) => {
              land(disk, write, part);
              return "stop";
            }),
          );
          const ghost = victim.writes.at(-1);
          const landGhost = (done: number): void => {
            if (done === ghostAt && ghost !== undefined) disk.perform(ghost);
          };

          const successor = serve(
            disk,
            { rid: 3n, commits: [31, 32, 33], between: landGhost },
            victim.acknowledged,
          );
          judge(victim.acknowledged, successor);
          expect(successor.commit).toEqual({ type: "committed", seq: 3n });
          const third = serve(disk, { rid: 4n, commits: [41] }, successor.acknowledged);
          judge(successor.acknowledged, third);

          const terms = [victim, successor, third].map(termOf).filter((term) => term > 0n);
          expect(new Set(terms).size).toBe(terms.length);
          expect(third.commit).toEqual({ type: "committed", seq: 1n });
        }
      }
    },
    20_000,
  );

  test("never acknowledges a record whose writes did not both come back", () => {
    for (let index = 2; index < VICTIM_WRITES; index += 1) {
      const { disk, acknowledged } = newDisk();
      const victim = serve(
        disk,
        VICTIM,
        acknowledged,
        atWrite(index, () => "stop"),
      );
      const completeCommits = Math.floor((index - 2) / 2);

      expect(victim.acknowledged).toEqual(
        completeCommits === 0 ? acknowledged : [...acknowledged, ...VICTIM.commits.slice(0, completeCommits)],
      );
    }
  });
});

describe("a server that is paused with a record write under way", () => {
  test("changes nothing when the write lands behind its successor's commits, and its check deposes it (Q16)", () => {
    for (let index = 2; index < VICTIM_WRITES; index += 1) {
      const { disk, acknowledged } = newDisk();
      let successor: Reign | undefined;
      const old = serve(
        disk,
        VICTIM,
        acknowledged,
        atWrite(index, () => {
          successor = serve(disk, { rid: 3n, commits: [31, 32] }, acknowledged);
          return "done";
        }),
      );

      expect(old.commit).toEqual({ type: "deposed", by: 4n });
      expect(successor?.commit).toEqual({ type: "committed", seq: 2n });
      judge(successor?.acknowledged ?? [], serve(disk, { rid: 4n, commits: [] }, []));
    }
  });
});

describe("a device that acknowledges one write and does not do it", () => {
  const swallow: Fate = () => "acknowledged";

  test("the claim X: the attempt is lost", () => {
    const { disk, acknowledged } = newDisk();
    expect(serve(disk, VICTIM, acknowledged, atWrite(0, swallow)).election).toEqual({
      type: "lost",
      term: 3n,
    });
  });

  test("the announcement Y: its reading back stops the election", () => {
    const { disk, acknowledged } = newDisk();
    expect(serve(disk, VICTIM, acknowledged, atWrite(1, swallow)).election).toMatchObject({
      type: "failed",
      error: { code: "ERR_HOLDFAST_ANNOUNCEMENT_LOST" },
    });
  });

  test("one copy of a record: the other one serves", () => {
    for (let index = 2; index < VICTIM_WRITES; index += 1) {
      const { disk, acknowledged } = newDisk();
      const victim = serve(disk, VICTIM, acknowledged, atWrite(index, swallow));
      expect(victim.acknowledged).toHaveLength(acknowledged.length + 3);
      judge(victim.acknowledged, serve(disk, { rid: 3n, commits: [] }, []));
    }
  });
});

test("one block of a reign that rots hides nothing that was acknowledged", () => {
  for (let index = 0; index < VICTIM_WRITES; index += 1) {
    const { disk, acknowledged } = newDisk();
    const victim = serve(disk, VICTIM, acknowledged);
    disk.damage(victim.writes[index]?.address ?? 0n);

    const next = serve(disk, { rid: 3n, commits: [31] }, victim.acknowledged);

    judge(victim.acknowledged, next);
    expect(next.commit).toEqual({ type: "committed", seq: 1n });
    expect(termOf(next)).toBe(4n);
  }
});

describe("a write that the device sends to another block", () => {
  test("hides nothing that was acknowledged, whichever block it hits", () => {
    for (let index = 0; index < VICTIM_WRITES; index += 1) {
      for (const target of SERVED.blocks.keys()) {
        const { disk, acknowledged } = newDisk();
        const misdirect: Fate = (write) => {
          disk.blocks.set(target, write.block);
          return "acknowledged";
        };
        const victim = serve(disk, VICTIM, acknowledged, atWrite(index, misdirect));

        const next = serve(disk, { rid: 3n, commits: [] }, victim.acknowledged);
        judge(victim.acknowledged, next);
        expect(termOf(next)).toBeGreaterThan(termOf(victim));
      }
    }
  }, 20_000);

  test("counts as touched where it lands on a splitter: the term is passed over", () => {
    const { disk, acknowledged } = newDisk();
    const x5 = [...disk.blocks.keys()].find((block) => {
      const place = placeOf(disk.region, block);
      return place.kind === "x" && place.term === 5n;
    });
    const record = serve(disk, VICTIM, acknowledged).writes.at(-1);
    disk.blocks.set(x5 ?? 0n, record?.block ?? new Uint8Array(0));

    expect(termOf(serve(disk, { rid: 3n, commits: [] }, []))).toBe(4n);
    expect(termOf(serve(disk, { rid: 4n, commits: [] }, []))).toBe(6n);
    expect(lastTerm(disk.region)).toBe(7n);
  });
});
