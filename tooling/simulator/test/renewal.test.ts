/*
 * Terms that run out, and their renewal: a run has terms enough, so these members and their operator have a schedule of
 * their own.
 */
import { type FenceAgent, utf8 } from "@holdfast/environment";
import { formatVolume, type Member, openMember, renewVolume } from "@holdfast/member";
import { expect, test } from "vitest";
import type { SimulatedPorts, SimulatedProcess } from "../src/index.ts";
import { type Simulated, simulate } from "./simulated.ts";

/** One for mkfs, three for servers. */
const TERMS_MAX = 4;

const SIZE_BYTES = 1024n * 1024n * 1024n;

/** Longer than elections last, and than a fence agent waits. */
const LATE_MS = 60_000;

interface Opened {
  readonly process: SimulatedProcess;
  readonly member: Member;
}

async function open({ start, settle }: Simulated, host: string): Promise<Opened> {
  const { process, ports } = start(host);
  const { fenceAgent: _, ...others } = ports;
  const member = await settle(openMember({ ...others, name: host, listenAddress: `sim://${host}:0` }));
  process.rid = member.rid;
  return { process, member };
}

async function put({ settle }: Simulated, { member }: Opened, value: string): Promise<void> {
  const data = await settle(member.dataset());
  await settle(data.put("k", value));
}

function renew(
  { settle }: Simulated,
  { device, clock, processes }: SimulatedPorts,
  fenceAgent?: FenceAgent,
): ReturnType<typeof renewVolume> {
  const { signal } = new AbortController();
  const asked = fenceAgent === undefined ? {} : { fenceAgent };
  return settle(
    renewVolume({ device, clock, processes, rid: 99n, fenced: new Set<bigint>(), signal, ...asked }),
  );
}

test("Scenario 16: used-up terms are not renewed while a write of a server is under way, and are when its end is confirmed", async () => {
  const simulated = simulate(1n, SIZE_BYTES);
  const { settle, start, disk, advance } = simulated;
  const { ports } = start("operator");
  await settle(formatVolume(ports.device, { label: "few", votes: 1, termsMax: TERMS_MAX }, ports.random));
  for (const value of ["1", "2"]) {
    const server = await open(simulated, `host-${value}`);
    await put(simulated, server, value);
    server.process.kill();
  }
  const zombie = await open(simulated, "host-3");
  await put(simulated, zombie, "3");
  disk.setTrap({
    moment: "submitted",
    spring: ({ process }) => (process === zombie.process ? { type: "late", delayMs: LATE_MS } : undefined),
  });
  const data = await settle(zombie.member.dataset());
  void data.put("k", "never acknowledged");
  await advance(50);
  zombie.process.pause();

  await expect(open(simulated, "host-4")).rejects.toMatchObject({ code: "ERR_HOLDFAST_TERMS_EXHAUSTED" });
  const refused = { code: "ERR_HOLDFAST_RENEW_REFUSED" };
  await expect(renew(simulated, ports)).rejects.toMatchObject(refused);
  await expect(renew(simulated, ports, ports.fenceAgent)).rejects.toMatchObject(refused);
  expect(disk.writesInFlight).toBeGreaterThan(0);

  await advance(LATE_MS);
  expect(await renew(simulated, ports, ports.fenceAgent)).toMatchObject({ generation: 1 });

  const next = await open(simulated, "host-5");
  const found = await settle((await settle(next.member.dataset())).get("k"));
  expect(["3", "never acknowledged"]).toContain(found === undefined ? undefined : utf8.decode(found));
  expect(next.member.report()).toMatchObject({ isServing: true });
});
