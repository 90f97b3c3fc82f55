import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import {
  canMakeLoopDevices,
  type Crew,
  type CrewMember,
  type FaultyDisk,
  hasNbdkit,
  LoopDevice,
  placeOnLoopback,
  until,
} from "../src/index.ts";
import { freshVolume, startCrew, startDisk, without } from "./stage.ts";

// Skipped where nbdkit is not installed (Debian: nbdkit), or loop devices cannot be made (that takes root).
const testOnDisks = test.skipIf(!hasNbdkit());

/** Length of a stall: longer than any time limit of a member. HOLDFAST_STALL_MS=30000 for a long one. */
const STALL_MS = Number(process.env["HOLDFAST_STALL_MS"] ?? 5000);

/** Longest time under load before the power goes. */
const LOAD_MS = 700;

testOnDisks("a server whose writes fail is replaced, acknowledges nothing more, and serves no more", async () => {
  const { crew, server, disk, others } = await startOnDisks();

  await disk.failWrites();
  const refused = server.ask({ kind: "create-dataset", name: "never" }).catch((error: Error) => error.message);
  await crew.server(others);
  await crew.goOn(others);

  expect(await refused).toMatch(/ERR_HOLDFAST/);
  expect(server.isAlive).toBe(true);
  await disk.recover();
  await crew.goOn(others);
  expect(await crew.verdict(others[0])).toEqual([]);
});

testOnDisks("a server one of whose writes fails does not try it again", async () => {
  const { crew, server, disk, others } = await startOnDisks();

  await disk.failWrites();
  await until("it serves no more", async () => (await server.ask({ kind: "report" })).isServing === false);
  await disk.recover();

  await crew.server(others);
  await crew.goOn(others);
  expect(await crew.verdict(others[0])).toEqual([]);
});

testOnDisks("a server whose reads fail is replaced, and no other one is fooled", async () => {
  const { crew, server, disk, others } = await startOnDisks();

  await disk.failReads();
  await crew.server(others);
  await crew.goOn(others);
  await disk.recover();

  await crew.goOn(others);
  expect(server.isAlive).toBe(true);
  expect(await crew.verdict(others[0])).toEqual([]);
});

testOnDisks("a server whose path to the device stalls is superseded, and what completes later changes nothing", async () => {
  const { crew, server, disk, others } = await startOnDisks();

  await disk.pause();
  await crew.server(others);
  await crew.goOn(others);
  await disk.resume();

  await crew.goOn(others);
  expect(server.isAlive).toBe(true);
  expect(await crew.verdict(others[0])).toEqual([]);
});

testOnDisks("what a killed server had on its way to the device lands after its successor went on, and nothing changes", async () => {
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
});

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

testOnDisks("a device that stalls for everybody and then completes everything is served by one, and all who stayed go on", async () => {
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
});

testOnDisks("when the power goes under load, disk and members alike, every acknowledged write is there afterwards", async () => {
  const path = await freshVolume();
  const disk = await startDisk(path, { hasVolatileCache: true });
  const places = [1, 2].map(() => placeOnLoopback(disk.url));
  let crew = await startCrew(places);
  for (let loss = 0; loss < 3; loss += 1) {
    await crew.load();
    await sleep(Math.random() * LOAD_MS);
    await disk.losePower();
    await crew.end();

    await disk.restart();
    await Promise.all(places.map((place) => crew.add(place).joined()));
    await crew.server();
    expect(await crew.verdict()).toEqual([]);
    crew.forget();
  }
});

testOnDisks("when only the disk's power goes, whoever goes on afterwards has every acknowledged write", async () => {
  const path = await freshVolume();
  const disk = await startDisk(path, { hasVolatileCache: true });
  const crew = await startCrew([1, 2].map(() => placeOnLoopback(disk.url)));
  await crew.load();

  await disk.losePower();
  await disk.restart();

  const fresh = crew.add(placeOnLoopback(disk.url));
  await fresh.joined();
  await fresh.ask({ kind: "load" });
  await crew.goOn([fresh]);
  expect(await crew.verdict(fresh)).toEqual([]);
});

test.skipIf(!canMakeLoopDevices())(
  "members on two hosts with caches of their own see what the other was acknowledged, and one takes over from the other",
  async () => {
    const file = await freshVolume();
    const devices = [await attach(file), await attach(file)];
    const crew = await startCrew(devices.map(({ path }) => placeOnLoopback(path)));
    const server = await crew.server();
    const [other = server] = without(crew.members, server);
    await crew.load();
    for (let value = 1; value <= 20; value += 1) {
      await (value % 2 === 0 ? server : other).ask({ kind: "put", key: "seen", value });
      expect(await (value % 2 === 0 ? other : server).ask({ kind: "read", key: "seen" })).toEqual({ value });
    }

    await server.kill();

    await crew.goOn([other]);
    expect(await other.ask({ kind: "read", key: "seen" })).toEqual({ value: 20 });
    expect(await crew.verdict()).toEqual([]);
    await crew.end();
  },
);

/** Three members, each with a path of its own to the volume; the server's can be told to fail. */
async function startOnDisks(): Promise<{
  readonly crew: Crew;
  readonly server: CrewMember;
  readonly disk: FaultyDisk;
  readonly others: readonly CrewMember[];
}> {
  const path = await freshVolume();
  const disks = await Promise.all([1, 2, 3].map(() => startDisk(path)));
  const crew = await startCrew(disks.map(({ url }) => placeOnLoopback(url)));
  const server = await crew.server();
  const disk = disks.find(({ url }) => url === server.place.url);
  if (disk === undefined) throw new Error("the server has no disk");
  await crew.load();
  return { crew, server, disk, others: without(crew.members, server) };
}

async function attach(file: string): Promise<LoopDevice> {
  const device = await LoopDevice.attach(file);
  onTestFinished(() => device.detach());
  return device;
}
