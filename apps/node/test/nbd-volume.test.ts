/*
 * A volume on an NBD server, from making it to losing members and the server itself. Needs nbdkit.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rm, truncate, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openVolume } from "../src/index.ts";
import { errorOf, useWorkplace, VOLUME_BYTES } from "./holdfast-process.ts";

const isInstalled = spawnSync("nbdkit", ["--version"]).status === 0;
const why = isInstalled ? "" : " (skipped: nbdkit not found, apt-get install nbdkit)";

describe.skipIf(!isInstalled)(`a volume on an NBD server${why}`, () => {
  const place = useWorkplace();
  const servers: ChildProcess[] = [];
  let url = "";

  beforeAll(async () => {
    url = `nbd+unix:///?socket=${place.path("disk.sock")}`;
    await writeFile(place.path("disk"), "");
    await truncate(place.path("disk"), Number(VOLUME_BYTES));
    await startServer();
  });
  afterAll(async () => {
    await endServer();
  });

  async function startServer(): Promise<void> {
    const socket = place.path("disk.sock");
    const child = spawn("nbdkit", ["--foreground", "--unix", socket, "file", place.path("disk")], {
      stdio: "ignore",
    });
    servers.push(child);
    const connected = async (): Promise<void> => {
      const probe = connect(socket);
      try {
        await once(probe, "connect");
      } finally {
        probe.destroy();
      }
    };
    await vi.waitFor(connected, { timeout: 10_000, interval: 20 });
  }

  async function endServer(): Promise<void> {
    const child = servers.pop();
    if (child === undefined) return;
    child.kill("SIGKILL");
    await once(child, "exit");
    await rm(place.path("disk.sock"), { force: true });
  }

  test("is made, shared by members, and lives on when one is killed and when the server starts anew", async () => {
    expect(await place.succeed(["mkfs", url])).toContain(`on ${url}: 64 MiB`);
    const first = await place.member(url, ["--name", "first"]);
    const second = await place.member(url, ["--name", "second"]);
    await place.succeed(["put", url, "a", "1"]);
    expect(await place.succeed(["get", url, "a"])).toBe("1");

    await first.end("SIGKILL");
    await second.logged("server.opened");
    expect(await place.succeed(["get", url, "a"])).toBe("1");
    await place.succeed(["put", url, "b", "2"]);

    await endServer();
    await startServer();
    await second.logged("nbd.reconnected");
    await place.succeed(["put", url, "c", "3"]);
    expect(await place.succeed(["get", url, "b"])).toBe("2");
    expect(await second.end("SIGTERM")).toMatchObject({ code: 0 });

    await using volume = await openVolume(url);
    const value = await (await volume.dataset()).get("c");
    expect(Buffer.from(value ?? []).toString()).toBe("3");
  });

  test("is not made over another without being told to, nor given a size", async () => {
    expect(errorOf(await place.run(["mkfs", url, "--json"]))).toMatchObject({
      code: "ERR_HOLDFAST_VOLUME_EXISTS",
    });
    const sized = await place.run(["mkfs", url, "--force", "--size", "64M", "--json"]);
    expect(errorOf(sized).message).toContain("has the size it has");
  });

  test("that nobody exports is told by its place", async () => {
    const result = await place.run(["status", "nbd+unix:///?socket=/nowhere", "--json"]);

    expect(result.code).not.toBe(0);
    expect(errorOf(result)).toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringContaining("no NBD server listens at /nowhere") as unknown,
    });
  });
});
