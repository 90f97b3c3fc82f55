import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { canMakeLoopDevices, hasNbdkit, LoopDevice, placeOnLoopback } from "../src/index.ts";
import { freshVolume, startCrew, startDisk, without } from "./stage.ts";

// Skipped where nbdkit is not installed (Debian: nbdkit).
const testOnDisks = hasNbdkit() ? test : test.skip;

/** Longest time under load before the power goes. */
const LOAD_MS = 700;

testOnDisks(
  "when the power goes under load, disk and members alike, every acknowledged write is there afterwards",
  async () => {
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
  },
);

testOnDisks(
  "when only the disk's power goes, whoever goes on afterwards has every acknowledged write",
  async () => {
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
  },
);

// Skipped where loop devices cannot be made: that takes root.
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

async function attach(file: string): Promise<LoopDevice> {
  const device = await LoopDevice.attach(file);
  onTestFinished(() => device.detach());
  return device;
}
