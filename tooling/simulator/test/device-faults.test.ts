import { BLOCK_BYTES, UNKNOWN_PROCESS } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { type Simulated, simulate } from "./simulated.ts";

function filled(value: number): Uint8Array {
  return new Uint8Array(BLOCK_BYTES).fill(value);
}

async function firstByte(simulated: Simulated, host: string, block: number): Promise<number | undefined> {
  const bytes = filled(255);
  const { device } = simulated.start(host).ports;
  await simulated.settle(device.read(BigInt(block * BLOCK_BYTES), bytes));
  return bytes[0];
}

test("a lost write is acknowledged, and readers go on seeing what stood there", async () => {
  const simulated = simulate();
  const { device } = simulated.start("writer").ports;
  await simulated.settle(device.write(0n, filled(1), { isDurable: true }));
  simulated.disk.setTrap({ moment: "landing", spring: () => ({ type: "lost" }) });

  await simulated.settle(device.write(0n, filled(2), { isDurable: true }));

  expect(await firstByte(simulated, "reader", 0)).toBe(1);
});

test("a misdirected write is seen at the other place only", async () => {
  const simulated = simulate();
  const { device } = simulated.start("writer").ports;
  simulated.disk.setTrap({ moment: "landing", spring: () => ({ type: "misdirected", toBlock: 5 }) });

  await simulated.settle(device.write(0n, filled(2), { isDurable: true }));

  expect(await firstByte(simulated, "one", 0)).toBe(0);
  expect(await firstByte(simulated, "other", 5)).toBe(2);
});

test("a filter changes what reads return until it is taken away", async () => {
  const simulated = simulate();
  const end = simulated.disk.filterReads((_offset, into) => into.fill(7));

  expect(await firstByte(simulated, "one", 0)).toBe(7);
  end();
  expect(await firstByte(simulated, "other", 0)).toBe(0);
});

test("a path that fails is one process's alone", async () => {
  const simulated = simulate();
  const unlucky = simulated.start("unlucky");
  const lucky = simulated.start("lucky");
  simulated.disk.setErrors({ write: 1 }, unlucky.process);

  const refused = simulated.settle(unlucky.ports.device.write(0n, filled(1), { isDurable: true }));

  await expect(refused).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_WRITE" });
  await simulated.settle(lucky.ports.device.write(0n, filled(1), { isDurable: true }));
});

test("a path that stalls is one process's alone, and what was asked meanwhile is answered after it", async () => {
  const simulated = simulate();
  const slow = simulated.start("slow");
  const fast = simulated.start("fast");
  simulated.disk.stall(3000, slow.process);

  await simulated.settle(fast.ports.device.read(0n, filled(0)));
  expect(simulated.world.nowMs).toBeLessThan(100);
  await simulated.settle(slow.ports.device.read(0n, filled(0)));

  expect(simulated.world.nowMs).toBeGreaterThanOrEqual(3000);
  expect(simulated.disk.lastStallMs).toBe(3000);
});

test("without a volatile cache a completed write survives a loss of power", async () => {
  for (let seed = 1n; seed <= 10n; seed++) {
    const simulated = simulate(seed, 8n * 1024n * 1024n, { isCacheVolatile: false });
    const { device } = simulated.start("writer").ports;
    await simulated.settle(device.write(0n, filled(2), { isDurable: false }));

    simulated.disk.losePower();

    expect(await firstByte(simulated, "reader", 0)).toBe(2);
  }
});

describe("a fence agent", () => {
  test("switches a member off, and confirms its end only when none of its writes is under way", async () => {
    const simulated = simulate();
    const victim = simulated.start("victim");
    const server = simulated.start("server");
    victim.process.rid = 9n;
    simulated.disk.holdWrites(victim.process, 1500);
    void victim.ports.device.write(0n, filled(1), { isDurable: true });
    const target = { rid: 9n, address: "", process: victim.ports.processes.own, reason: "silence" };

    const answer = await simulated.settle(server.ports.fenceAgent.fence(target).answer);

    expect(victim.process.isDead).toBe(true);
    expect(answer).toMatchObject({ rid: 9n });
    expect(simulated.disk.isGone(victim.process)).toBe(answer.isConfirmed);
  });

  test("confirms nothing of a member that nobody knows", async () => {
    const simulated = simulate();
    const server = simulated.start("server");
    const target = { rid: 9n, address: "", process: UNKNOWN_PROCESS, reason: "silence" };

    const answer = await simulated.settle(server.ports.fenceAgent.fence(target).answer);

    expect(answer.isConfirmed).toBe(false);
    expect(server.process.isDead).toBe(false);
  });

  test("finds a member that died before it knew its own identity by the process that had joined", async () => {
    const simulated = simulate();
    const victim = simulated.start("victim");
    const server = simulated.start("server");
    const target = { rid: 9n, address: "", process: victim.ports.processes.own, reason: "silence" };

    const answer = await simulated.settle(server.ports.fenceAgent.fence(target).answer);

    expect(answer.isConfirmed).toBe(true);
    expect(victim.process.isDead).toBe(true);
  });

  test("does not confirm while a write of a dead member is held back", async () => {
    const simulated = simulate();
    const victim = simulated.start("victim");
    const server = simulated.start("server");
    victim.process.rid = 9n;
    simulated.disk.setTrap({ moment: "submitted", spring: () => ({ type: "late", delayMs: 60_000 }) });
    void victim.ports.device.write(0n, filled(1), { isDurable: true });
    const target = { rid: 9n, address: "", process: victim.ports.processes.own, reason: "silence" };

    const answer = await simulated.settle(server.ports.fenceAgent.fence(target).answer);

    expect(answer.isConfirmed).toBe(false);
    expect(await server.ports.processes.isGone(victim.ports.processes.own)).toBe(false);
  });
});
