import { expect, test } from "vitest";
import { Medium, RandomStream, type LandingWrite } from "../src/index.ts";
import { simulate, type Simulated } from "./simulated.ts";

const BLOCK = 4096;

function filled(value: number, length: number = BLOCK): Uint8Array {
  return new Uint8Array(length).fill(value);
}

async function readBlock({ start, settle }: Simulated, block: number): Promise<Uint8Array> {
  const into = new Uint8Array(BLOCK);
  await settle(start("reader").ports.device.read(BigInt(block * BLOCK), into));
  return into;
}

/** The distinct values that the sectors of a block hold. */
function sectorValues(bytes: Uint8Array): Set<number> {
  const values = new Set<number>();
  for (let at = 0; at < bytes.length; at += 512) {
    expect(new Set(bytes.subarray(at, at + 512)).size).toBe(1);
    values.add(bytes[at] ?? -1);
  }
  return values;
}

/** The same in one word, least first. */
function sectorText(bytes: Uint8Array): string {
  return [...sectorValues(bytes)].sort((a, b) => a - b).join();
}

test("a completed write that was not flushed may be lost or torn by a loss of power, a sector stays whole", async () => {
  const fates = new Set<string>();
  for (let seed = 1n; seed <= 30n; seed++) {
    const simulated = simulate(seed);
    const { device } = simulated.start("writer").ports;
    await simulated.settle(device.write(0n, filled(1), { isDurable: true }));
    await simulated.settle(device.write(0n, filled(2), { isDurable: false }));

    simulated.disk.losePower();

    fates.add(sectorText(await readBlock(simulated, 0)));
  }

  expect(fates).toEqual(new Set(["1", "2", "1,2"]));
});

test("a durable write and a flushed write survive every loss of power", async () => {
  for (let seed = 1n; seed <= 20n; seed++) {
    const simulated = simulate(seed);
    const { device } = simulated.start("writer").ports;
    await simulated.settle(device.write(0n, filled(1), { isDurable: true }));
    await simulated.settle(device.write(4096n, filled(2), { isDurable: false }));
    await simulated.settle(device.flush());

    simulated.disk.losePower();

    expect(sectorValues(await readBlock(simulated, 0))).toEqual(new Set([1]));
    expect(sectorValues(await readBlock(simulated, 1))).toEqual(new Set([2]));
  }
});

test("a flush makes durable what it saw, not what was written after it", () => {
  const medium = new Medium();
  medium.write(0, filled(1), false);
  const mark = medium.beginFlush();
  medium.write(0, filled(2), false);

  medium.completeFlush(mark);

  expect(medium.dirtyPageCount).toBe(1);
  const survivors = new Set<number>();
  medium.losePower(new RandomStream(3n, "power"));
  const read = filled(0);
  medium.read(0, read);
  for (const value of read) survivors.add(value);
  expect(survivors.has(0)).toBe(false);
});

test("a flush that a loss of power overtook makes nothing durable", () => {
  const medium = new Medium();
  medium.write(0, filled(1), false);
  const mark = medium.beginFlush();
  medium.losePower(new RandomStream(1n, "power"));
  medium.write(0, filled(2), false);

  medium.completeFlush(mark);

  expect(medium.dirtyPageCount).toBe(1);
});

test("what a killed process had submitted lands at once, late, in pieces, or never", async () => {
  const fates = new Set<string>();
  for (let seed = 1n; seed <= 60n; seed++) {
    const simulated = simulate(seed);
    const { process, ports } = simulated.start("victim");
    void ports.device.write(0n, filled(7), { isDurable: true });
    process.kill();
    await simulated.advance(2);
    const early = sectorText(await readBlock(simulated, 0));
    await simulated.advance(25_000);
    const final = sectorText(await readBlock(simulated, 0));
    fates.add(`${early} then ${final}`);
  }

  expect(fates).toContain("7 then 7");
  expect(fates).toContain("0 then 7");
  expect(fates).toContain("0 then 0");
  expect(fates).toContain("0,7 then 0,7");
  expect(fates).toContain("0,7 then 7");
});

test("what a paused process had submitted lands sooner or later, and completes once it resumes", async () => {
  for (let seed = 1n; seed <= 10n; seed++) {
    const simulated = simulate(seed);
    const { process, ports } = simulated.start("sleeper");
    let isDone = false;
    void ports.device.write(0n, filled(7), { isDurable: true }).then(() => {
      isDone = true;
    });
    process.pause();

    await simulated.advance(25_000);
    expect(sectorValues(await readBlock(simulated, 0))).toEqual(new Set([7]));
    expect(isDone).toBe(false);
    process.resume();
    await simulated.advance(10);

    expect(isDone).toBe(true);
  }
});

test("held writes land after their time, whatever was written meanwhile", async () => {
  const simulated = simulate();
  const slow = simulated.start("slow");
  const fast = simulated.start("fast");
  simulated.disk.holdWrites(slow.process, 5000);
  void slow.ports.device.write(0n, filled(1), { isDurable: true });
  await simulated.settle(fast.ports.device.write(0n, filled(2), { isDurable: true }));

  expect(sectorValues(await readBlock(simulated, 0))).toEqual(new Set([2]));
  await simulated.advance(6000);

  expect(sectorValues(await readBlock(simulated, 0))).toEqual(new Set([1]));
});

test("an injected error rejects the request, and a failed write may land all the same", async () => {
  const simulated = simulate();
  const { device } = simulated.start("writer").ports;
  simulated.disk.setErrors({ write: 1, read: 1, flush: 1 });
  const { settle } = simulated;

  const write = device.write(0n, filled(9), { isDurable: true });
  await expect(settle(write)).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_WRITE", category: "io" });
  await expect(settle(device.flush())).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_FLUSH" });
  await expect(settle(device.read(0n, filled(0)))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_READ",
  });
  simulated.disk.heal();
  await simulated.advance(100);

  expect(sectorValues(await readBlock(simulated, 0))).toEqual(new Set([9]));
});

test("a stalled disk answers nobody until the stall is over", async () => {
  const { disk, start, settle, world } = simulate();
  disk.stall(3000);

  await settle(start("reader").ports.device.read(0n, filled(0)));

  expect(world.nowMs).toBeGreaterThanOrEqual(3000);
});

test("the judge sees every landing write with its writer, also that of a dead one, and its verdict is kept", async () => {
  const { disk, start, advance } = simulate(2n);
  const seen: LandingWrite[] = [];
  disk.setJudge((write) => {
    seen.push(write);
    return write.firstBlock === 5n ? "not yours" : undefined;
  });
  const { process, ports } = start("writer");
  process.rid = 77n;
  void ports.device.write(4096n, filled(1, 8192), { isDurable: false });
  await advance(100);
  disk.holdWrites(process, 1000);
  void ports.device.write(5n * 4096n, filled(1), { isDurable: true });
  await advance(2000);

  expect(seen).toMatchObject([
    { firstBlock: 1n, blockCount: 2, processId: "writer#1", rid: 77n },
    { firstBlock: 5n, blockCount: 1, rid: 77n },
  ]);
  expect(disk.landings.violations).toMatchObject([
    { processId: "writer#1", firstBlock: 5n, complaint: "not yours" },
  ]);
});
