import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { hasNbdkit, placeOnLoopback, until } from "../src/index.ts";
import { freshVolume, startCrew, startDisk, startOnDisks, without } from "./stage.ts";

// Skipped where nbdkit is not installed (Debian: nbdkit).
const testOnDisks = hasNbdkit() ? test : test.skip;

/** Length of a stall: longer than any time limit of a member. HOLDFAST_STALL_MS=30000 for a long one. */
const STALL_MS = Number(process.env["HOLDFAST_STALL_MS"] ?? 5000);

testOnDisks(
  "a server whose path to the device stalls is superseded, and what completes later changes nothing",
  async () => {
    const { crew, server, disk, others } = await startOnDisks();

    await disk.pause();
    await crew.server(others);
    await crew.goOn(others);
    await disk.resume();

    await crew.goOn(others);
    expect(server.isAlive).toBe(true);
    expect(await crew.verdict(others[0])).toEqual([]);
  },
);

testOnDisks(
  "what a killed server had on its way to the device lands after its successor went on, and nothing changes",
  async () => {
    const { crew, server, disk, others } = await startOnDisks();

    await disk.pause();
    await server.kill();
    await crew.server(others);
    await crew.goOn(others);
    const [witness = server] = others;
    await crew.untilNotMember(server, witness);
    await disk.resume();

    await crew.goOn(others);
    expect(await crew.verdict()).toEqual([]);
  },
);

testOnDisks("writes of a frozen member that land late, after its eviction, change nothing", async () => {
  const path = await freshVolume();
  const slow = await startDisk(path, { writeDelayMs: 1500 });
  const crew = await startCrew([placeOnLoopback(path), placeOnLoopback(path)]);
  const late = crew.add({ url: slow.url, listen: "", prefix: [] });
  await late.joined();
  const others = without(crew.members, late);
  await crew.load(others);
  await late.ask({ kind: "load" });
  await until("it has written", () => late.hasWrittenSince(0, late.name));

  late.freeze();
  await crew.goOn(others);
  await crew.untilNotMember(late, others[0] ?? late);
  late.resume();

  await until("it says that it was evicted", () => late.lostCode);
  await crew.goOn(others);
  expect(await crew.verdict()).toEqual([]);
});

testOnDisks(
  "a device that stalls for everybody and then completes everything is served by one, and all who stayed go on",
  async () => {
    const path = await freshVolume();
    const disk = await startDisk(path);
    const crew = await startCrew([1, 2, 3].map(() => placeOnLoopback(disk.url)));
    await crew.load();

    await disk.pause();
    // The fault itself: nothing can be waited for while nothing moves.
    await sleep(STALL_MS);
    await disk.resume();

    const stayed = await until("one serves those who stayed", async () => {
      const staying = crew.members.filter(({ lostCode }) => lostCode === undefined);
      const reports = await Promise.all(staying.map((member) => member.ask({ kind: "report" })));
      const isOne = reports.filter(({ isServing }) => isServing).length === 1;
      return isOne && reports.every(({ isConnected }) => isConnected) ? staying : undefined;
    });
    await crew.goOn(stayed);
    expect(stayed.length).toBeGreaterThan(0);
    expect(await crew.verdict()).toEqual([]);
  },
);
