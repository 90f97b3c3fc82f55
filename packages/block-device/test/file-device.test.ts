import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { pattern, sameBytes } from "@holdfast/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createVolumeFile, openBlockDevice } from "../src/index.ts";

const MIB = 1024 * 1024;
let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-"));
});

afterAll(() => rm(directory, { recursive: true }));

describe("opening", () => {
  test("a plain path, file:PATH and file:///PATH open the same file", async () => {
    const path = join(directory, "a volume");
    await createVolumeFile(path, 8192n);

    const devices = await Promise.all(
      [path, `file:${path}`, pathToFileURL(path).href].map((url) => openBlockDevice(url)),
    );
    const [first, second, third] = devices;
    await first?.write(0n, pattern(4096, 1), { isDurable: true });

    for (const device of [second, third]) {
      const read = new Uint8Array(4096);
      await device?.read(0n, read);
      expect(sameBytes(read, pattern(4096, 1))).toBe(true);
    }
    await Promise.all(devices.map((device) => device.close()));
  });

  test("bytes behind the last whole sector do not count", async () => {
    const path = join(directory, "odd");
    await writeFile(path, new Uint8Array(3 * 4096 + 100));

    const device = await openBlockDevice(path);

    expect(device.sizeBytes).toBe(3n * 4096n);
    await device.close();
  });

  test("a file that does not exist is not created", async () => {
    const path = join(directory, "absent");

    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(openBlockDevice(path)).rejects.toMatchObject({
        code: "ERR_HOLDFAST_DEVICE_OPEN",
        facts: { device: path },
        cause: { code: "ENOENT" },
      });
    }
  });

  test.each([
    ["a directory", () => mkdir(join(directory, "folder")), "folder"],
    ["a file of less than a block", () => writeFile(join(directory, "small"), "x"), "small"],
  ])("%s is no device", async (_, make, name) => {
    await make();

    await expect(openBlockDevice(join(directory, name))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
    });
  });

  test("a URL of a kind without a driver is refused, not taken for a path", async () => {
    await expect(openBlockDevice("iscsi://127.0.0.1/export")).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringContaining("no driver") as unknown,
    });
  });

  test("a device that was opened for reading only refuses writes", async () => {
    const path = join(directory, "read-only");
    await createVolumeFile(path, 8192n);
    const device = await openBlockDevice(path, { isReadOnly: true });

    const write = device.write(4096n, new Uint8Array(4096), { isDurable: false });

    await expect(write).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_WRITE",
      facts: { device: path, offsetBytes: 4096n, lengthBytes: 4096 },
    });
    await device.read(0n, new Uint8Array(4096));
    await device.flush();
    expect(device.isReadOnly).toBe(true);
    await device.close();
  });
});

describe("requests", () => {
  test("a file that became shorter fails its reads by name, place and length", async () => {
    const path = join(directory, "shrunk");
    await createVolumeFile(path, BigInt(4 * MIB));
    const device = await openBlockDevice(path);
    await truncate(path, MIB);

    await expect(device.read(BigInt(2 * MIB), new Uint8Array(4096))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_READ",
      category: "io",
      facts: { device: path, offsetBytes: BigInt(2 * MIB), lengthBytes: 4096 },
    });
    await device.close();
  });

  test("a long read that fails in one of its pieces fails as a whole, naming the piece", async () => {
    const path = join(directory, "shrunk-long");
    await createVolumeFile(path, BigInt(4 * MIB));
    const device = await openBlockDevice(path);
    await truncate(path, 3 * MIB);

    await expect(device.read(0n, new Uint8Array(4 * MIB))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_READ",
      facts: { offsetBytes: BigInt(3 * MIB), lengthBytes: MIB },
    });
    await device.close();
  });

  test("more requests than the pool has memory for wait for it, and all are done", async () => {
    const path = join(directory, "crowd");
    await createVolumeFile(path, BigInt(8 * MIB));
    const device = await openBlockDevice(path);
    const small = Array.from({ length: 1000 }, () => new Uint8Array(4096));
    const large = Array.from({ length: 16 }, () => new Uint8Array(MIB));
    await device.write(0n, pattern(8 * MIB, 2), { isDurable: false });

    await Promise.all([
      ...small.map((bytes, index) => device.read(BigInt(index * 4096), bytes)),
      ...large.map((bytes, index) => device.read(BigInt((index % 8) * MIB), bytes)),
    ]);

    const all = pattern(8 * MIB, 2);
    const isWrong = (bytes: Uint8Array, start: number): boolean =>
      !sameBytes(bytes, all.subarray(start, start + bytes.length));
    expect(small.findIndex((bytes, index) => isWrong(bytes, index * 4096))).toBe(-1);
    expect(large.findIndex((bytes, index) => isWrong(bytes, (index % 8) * MIB))).toBe(-1);
    await device.close();
  });
});
