import { expect, test } from "vitest";
import { WriteWatch } from "../../src/client/write-watch.ts";
import { MemoryDevice } from "../world/memory-device.ts";

const BLOCK = new Uint8Array(4096);

function watched(): { readonly device: MemoryDevice; readonly watch: WriteWatch } {
  const device = new MemoryDevice(16 * 4096);
  return { device, watch: new WriteWatch(device, { startBytes: 4096n, endBytes: 8192n }) };
}

test("a write is under way until it ends", async () => {
  const { watch } = watched();

  const write = watch.device.write(4096n, BLOCK, { isDurable: true });
  const during = watch.isWriting;
  await write;

  expect([during, watch.isWriting, watch.hasFailed]).toEqual([true, false, false]);
});

test("F3: a write that failed is remembered for ever, and told to its caller", async () => {
  const { device, watch } = watched();
  device.onWrite = () => {
    throw new Error("timed out");
  };
  await expect(watch.device.write(4096n, BLOCK, { isDurable: true })).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_WRITE",
  });
  device.onWrite = () => {};

  await watch.device.write(4096n, BLOCK, { isDurable: true });

  expect([watch.hasFailed, watch.isWriting]).toEqual([true, false]);
});

test("a write that failed where no blocks are granted taints none", async () => {
  const { device, watch } = watched();
  device.onWrite = () => {
    throw new Error("refused");
  };

  for (const offset of [0n, 8192n])
    await expect(watch.device.write(offset, BLOCK, { isDurable: true })).rejects.toThrow();

  expect(watch.hasFailed).toBe(false);
});

test("F3: a flush that failed leaves open what became of the writes before it", async () => {
  const { device, watch } = watched();
  device.flush = () => Promise.reject(new Error("refused"));
  await watch.device.write(4096n, BLOCK, { isDurable: false });

  await expect(watch.device.flush()).rejects.toThrow("refused");

  expect([watch.hasFailed, watch.isWriting]).toEqual([true, false]);
});
