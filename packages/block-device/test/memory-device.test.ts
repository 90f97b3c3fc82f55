import { pattern } from "@holdfast/conformance";
import { afterEach, expect, test } from "vitest";
import { openBlockDevice, removeMemoryDevice } from "../src/index.ts";

afterEach(() => {
  removeMemoryDevice("m");
});

test("handles of one name share their bytes, also after all of them were closed", async () => {
  const first = await openBlockDevice("memory:m?size=64K");
  await first.write(4096n, pattern(4096, 1), { isDurable: true });
  await first.close();

  const second = await openBlockDevice("memory:m");

  const read = new Uint8Array(4096);
  await second.read(4096n, read);
  expect(read).toEqual(pattern(4096, 1));
  expect(second.sizeBytes).toBe(65_536n);
});

test("a removed device is forgotten: its name starts with zeros again", async () => {
  const first = await openBlockDevice("memory:m?size=8192");
  await first.write(0n, pattern(4096, 1), { isDurable: true });

  expect(removeMemoryDevice("m")).toBe(true);
  expect(removeMemoryDevice("m")).toBe(false);

  const second = await openBlockDevice("memory:m?size=8192");
  const read = pattern(4096, 2);
  await second.read(0n, read);
  expect(read).toEqual(new Uint8Array(4096));
});

test.each([
  "memory:m",
  "memory:m?size=0",
  "memory:m?size=5000",
  "memory:m?size=2G",
  "memory:m?size=-4096",
  "memory:m?size=x",
])("%s cannot be opened first", async (url) => {
  await expect(openBlockDevice(url)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_OPEN",
    facts: { device: url },
  });
});

test("another size than that of the first opening is refused", async () => {
  await openBlockDevice("memory:m?size=1M");

  await expect(openBlockDevice("memory:m?size=2M")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_OPEN",
  });
});

test("a request completes in a later turn, so that a loop of requests lets timers and messages in", async () => {
  const device = await openBlockDevice("memory:m?size=8192");
  let turns = 0;
  const tick = setImmediate(function count() {
    turns += 1;
  });

  await device.read(0n, new Uint8Array(4096));

  expect(turns).toBe(1);
  clearImmediate(tick);
});
