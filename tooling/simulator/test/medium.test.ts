import { BLOCK_BYTES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { Medium, RandomStream } from "../src/index.ts";

function filled(value: number, bytes: number = BLOCK_BYTES): Uint8Array {
  return new Uint8Array(bytes).fill(value);
}

function shownAt(medium: Medium, block: number): number | undefined {
  const bytes = filled(255);
  medium.read(block * BLOCK_BYTES, bytes);
  return bytes[0];
}

function truthAt(medium: Medium, block: number): number | undefined {
  const bytes = filled(255);
  medium.readTruth(block * BLOCK_BYTES, bytes);
  return bytes[0];
}

describe("damage on a medium", () => {
  test("is shown to readers, not to judges, and ends with the next write of the block", () => {
    const medium = new Medium();
    medium.write(0, filled(1), true);

    medium.damageBlock(0, filled(9));

    expect([shownAt(medium, 0), truthAt(medium, 0), medium.isDamaged(0)]).toEqual([9, 1, true]);
    medium.write(0, filled(2), true);
    expect([shownAt(medium, 0), truthAt(medium, 0), medium.isDamaged(0)]).toEqual([2, 2, false]);
  });

  test("stays where a write changes only a part of the block", () => {
    const medium = new Medium();
    medium.write(0, filled(1), true);
    medium.damageBlock(0, filled(9));

    medium.write(512, filled(2, 512), true);

    const bytes = filled(255);
    medium.read(0, bytes);
    expect([bytes[0], bytes[512], bytes[1024]]).toEqual([9, 2, 9]);
    expect(medium.isDamaged(0)).toBe(true);
  });

  test("is what a lost write leaves: each of its blocks shows what it showed before", () => {
    const medium = new Medium();
    medium.write(0, filled(1), true);

    medium.loseWrite(0, filled(2, 2 * BLOCK_BYTES), true);

    expect([shownAt(medium, 0), shownAt(medium, 1)]).toEqual([1, 0]);
    expect([truthAt(medium, 0), truthAt(medium, 1)]).toEqual([2, 2]);
  });
});

test("a medium remembers what a block held before its newest write", () => {
  const medium = new Medium();
  medium.write(0, filled(1), true);
  expect(medium.formerBlock(0)).toBeUndefined();

  medium.write(0, filled(2), true);

  expect(medium.formerBlock(0)?.[0]).toBe(1);
  expect(medium.formerBlock(7)).toBeUndefined();
});

test("a medium goes back to an earlier content, and what was written since is gone", () => {
  const medium = new Medium();
  medium.write(0, filled(1), true);
  const image = medium.image();
  medium.write(0, filled(2), false);
  medium.write(BLOCK_BYTES, filled(3), false);

  medium.restore(image);

  expect([shownAt(medium, 0), shownAt(medium, 1)]).toEqual([1, 0]);
  expect(medium.dirtyPageCount).toBe(0);
});

test("reads cross blocks that were never written", () => {
  const medium = new Medium();
  medium.write(200 * BLOCK_BYTES, filled(1), true);
  const bytes = filled(255, 300 * BLOCK_BYTES);

  medium.read(0, bytes);

  const blocks = Array.from({ length: 300 }, (_, block) => bytes[block * BLOCK_BYTES]);
  expect(blocks.map((value, block) => (value === 0 ? "" : `${block}: ${value}`)).filter(Boolean)).toEqual([
    "200: 1",
  ]);
});

test("a device that tears at bytes cuts a page anywhere, not only between sectors", () => {
  const cuts = new Set<number>();
  for (let seed = 0n; seed < 40n; seed++) {
    const medium = new Medium();
    medium.write(0, filled(1), false);
    medium.losePower(new RandomStream(seed, "power"), "bytes");
    const bytes = filled(255);
    medium.read(0, bytes);
    cuts.add(bytes.indexOf(0) % 512);
  }

  expect([...cuts].some((cut) => cut > 0)).toBe(true);
});
