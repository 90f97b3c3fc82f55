/*
 * Two loop devices over one file are two hosts with page caches of their own: the cheapest honest test that every
 * read and write goes past them. Needs root and free loop devices; skipped where there are none.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pattern, sameBytes } from "@holdfast/conformance";
import { afterAll, describe, expect, test } from "vitest";
import { createVolumeFile, openBlockDevice } from "../src/index.ts";

const SIZE_BYTES = 4 * 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
const path = join(directory, "volume");
await createVolumeFile(path, BigInt(SIZE_BYTES));
const [first, second] = [attach(), attach()];
const isUsable = first !== undefined && second !== undefined;
// Hooks do not run when every test is skipped.
if (!isUsable) cleanUp();

describe.runIf(isUsable)("block devices", () => {
  const [one, other] = [first ?? "", second ?? ""];

  test("size and sector come from the system", async () => {
    const device = await openBlockDevice(one);

    expect(device.sizeBytes).toBe(BigInt(SIZE_BYTES));
    expect(device.sectorBytes).toBe(512);
    expect(device.isDirect).toBe(true);
    expect(device.isLocal).toBe(true);
    await device.close();
  });

  test.each([false, true])(
    "what one host writes, the other reads at once, though it has read the place before (durable: %s)",
    async (isDurable) => {
      const [host, otherHost] = [await openBlockDevice(one), await openBlockDevice(other)];
      const read = new Uint8Array(65_536);
      await otherHost.read(0n, read);

      await host.write(0n, pattern(65_536, isDurable ? 1 : 2), { isDurable });
      await host.flush();
      await otherHost.read(0n, read);

      expect(sameBytes(read, pattern(65_536, isDurable ? 1 : 2))).toBe(true);
      await Promise.all([host.close(), otherHost.close()]);
    },
  );

  test("a device that is held exclusively is refused to who asks for the same, until it is closed", async () => {
    const holder = await openBlockDevice(one, { isExclusive: true });
    await holder.write(0n, pattern(4096, 3), { isDurable: true });

    await expect(openBlockDevice(one, { isExclusive: true })).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      cause: { code: "EBUSY" },
    });

    await holder.close();
    const next = await openBlockDevice(one, { isExclusive: true });
    await next.close();
  });
});

afterAll(cleanUp);

function cleanUp(): void {
  for (const device of [first, second]) if (device !== undefined) execFileSync("losetup", ["-d", device]);
  rmSync(directory, { recursive: true });
}

function attach(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const name = execFileSync("losetup", ["--show", "-f", "--direct-io=on", path], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return name.trim();
  } catch {
    // No losetup here, or no loop device is free: there is nothing to test with.
    return undefined;
  }
}
