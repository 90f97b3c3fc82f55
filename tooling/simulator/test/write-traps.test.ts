import { expect, test } from "vitest";
import type { WriteTrap } from "../src/index.ts";
import { simulate } from "./simulated.ts";

const BLOCK = new Uint8Array(4096).fill(7);

/** How many sectors of the first block were written. */
function writtenSectors(read: (offset: number, into: Uint8Array) => void): number {
  const block = new Uint8Array(4096);
  read(0, block);
  return Array.from({ length: 8 }, (_, index) => block[index * 512]).filter((value) => value === 7).length;
}

test("a trap springs once, at the write it waits for", async () => {
  const { disk, start, settle } = simulate();
  const { device } = start("writer").ports;
  const caught: number[] = [];
  const trap: WriteTrap = {
    moment: "landing",
    spring: ({ offset }) => {
      if (offset !== 4096) return undefined;
      caught.push(offset);
      return { type: "unharmed" };
    },
  };
  disk.setTrap(trap);

  for (const offset of [0n, 4096n, 4096n]) await settle(device.write(offset, BLOCK, { isDurable: true }));

  expect(caught).toEqual([4096]);
});

test("a trapped write lands late, although its process was killed meanwhile", async () => {
  const { disk, start, advance } = simulate();
  const { process, ports } = start("writer");
  disk.setTrap({ moment: "submitted", spring: () => ({ type: "late", delayMs: 1000 }) });

  void ports.device.write(0n, BLOCK, { isDurable: true });
  process.kill();

  await advance(990);
  expect(writtenSectors((offset, into) => disk.medium.read(offset, into))).toBe(0);
  expect(disk.lastLandingMs).toBeCloseTo(1000);
  await advance(20);
  expect(writtenSectors((offset, into) => disk.medium.read(offset, into))).toBe(8);
});

test("a write that is torn as it lands leaves some sectors, and nobody is told", async () => {
  const counts = new Set<number>();
  for (let seed = 0n; seed < 20n; seed++) {
    const { disk, start, advance } = simulate(seed);
    disk.setTrap({ moment: "landing", spring: () => ({ type: "torn" }) });
    let isDone = false;
    void start("writer")
      .ports.device.write(0n, BLOCK, { isDurable: true })
      .then(() => {
        isDone = true;
      });

    await advance(100);

    expect(isDone).toBe(false);
    counts.add(writtenSectors((offset, into) => disk.medium.read(offset, into)));
  }

  expect(counts.size).toBeGreaterThan(3);
});

test("healing takes traps away", async () => {
  const { disk, start, settle } = simulate();
  const { device } = start("writer").ports;
  disk.setTrap({ moment: "landing", spring: () => ({ type: "torn" }) });

  disk.heal();
  await settle(device.write(0n, BLOCK, { isDurable: true }));

  expect(writtenSectors((offset, into) => disk.medium.read(offset, into))).toBe(8);
});
