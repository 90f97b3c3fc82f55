import { expect, test } from "vitest";
import { hasNbdkit, placeOnLoopback, until } from "../src/index.ts";
import { freshVolume, startCrew, startDisk, startOnDisks } from "./stage.ts";

// Skipped where nbdkit is not installed (Debian: nbdkit).
const testOnDisks = hasNbdkit() ? test : test.skip;

testOnDisks(
  "a server whose writes fail is replaced, acknowledges nothing more, and serves no more",
  async () => {
    const { crew, server, disk, others } = await startOnDisks();

    await disk.failWrites();
    const refused = server
      .ask({ kind: "create-dataset", name: "never" })
      .catch((error: Error) => error.message);
    await crew.server(others);
    await crew.goOn(others);

    expect(await refused).toMatch(/ERR_HOLDFAST/);
    expect(server.isAlive).toBe(true);
    await disk.recover();
    await crew.goOn(others);
    expect(await crew.verdict(others[0])).toEqual([]);
  },
);

testOnDisks("a server one of whose writes fails does not try it again", async () => {
  const { crew, server, disk, others } = await startOnDisks();

  await disk.failWrites();
  await until("it serves no more", async () => (await server.ask({ kind: "report" })).isServing === false);
  await disk.recover();

  await crew.server(others);
  await crew.goOn(others);
  expect(await crew.verdict(others[0])).toEqual([]);
});

testOnDisks(
  "a server whose flush fails once, and would succeed the next time, serves no more, and acknowledged nothing that is not there",
  async () => {
    const path = await freshVolume();
    const disk = await startDisk(path, { hasVolatileCache: true, hasFlushFaults: true });
    const crew = await startCrew([1, 2].map(() => placeOnLoopback(disk.url)));
    await crew.load();

    disk.failNextFlush();
    await until("a flush has failed", () => disk.failedFlushesCount > 0);
    await disk.losePower();
    await crew.end();

    await disk.restart();
    await crew.add(placeOnLoopback(disk.url)).joined();
    expect(await crew.verdict()).toEqual([]);
  },
);

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
