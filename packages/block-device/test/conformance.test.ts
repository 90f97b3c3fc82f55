import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BlockDeviceFixture,
  blockDeviceSuite,
  settleByWaiting,
  SUITE_DEVICE_BYTES,
} from "@holdfast/conformance";
import { createVolumeFile, openBlockDevice, removeMemoryDevice } from "../src/index.ts";

blockDeviceSuite("a file", () => fileFixture(tmpdir()));

// Of memory, and with a page cache that may not be bypassed on older kernels.
blockDeviceSuite("a file on tmpfs", () => fileFixture("/dev/shm"));

blockDeviceSuite("memory", () => ({
  open: () => openBlockDevice("memory:conformance?size=8M"),
  settle: settleByWaiting,
  dispose: async () => {
    removeMemoryDevice("conformance");
  },
}));

async function fileFixture(parent: string): Promise<BlockDeviceFixture> {
  const directory = await mkdtemp(join(parent, "holdfast-"));
  const path = join(directory, "volume");
  await createVolumeFile(path, BigInt(SUITE_DEVICE_BYTES), { isSparse: true });
  return {
    open: () => openBlockDevice(`file:${path}`),
    settle: settleByWaiting,
    dispose: () => rm(directory, { recursive: true }),
  };
}
