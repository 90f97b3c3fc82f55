import { type BlockDevice, DeviceError } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { BlockType, openBlock, readVerified, sealBlock } from "../src/index.ts";

const IDENTITY = { fsid: 1n, address: 5n, term: 0n, writer: 2n, seq: 3n, type: BlockType.record };
const WHOLE = sealBlock(IDENTITY, Uint8Array.of(1, 2, 3));
const TORN = WHOLE.slice().fill(0xee, 2048);
const verify = (bytes: Uint8Array): Uint8Array =>
  openBlock(bytes, { fsid: 1n, address: 5n, types: [BlockType.record] }).payload;

describe("a verified read", () => {
  test("takes one read when the block is whole", async () => {
    const device = deviceOf([WHOLE]);

    await expect(readVerified(device, 20_480n, 4096, verify)).resolves.toEqual(Uint8Array.of(1, 2, 3));
    expect(device.offsets).toEqual([20_480n]);
  });

  test("reads again what was torn by a write, up to three times", async () => {
    const device = deviceOf([TORN, new Uint8Array(4096), WHOLE]);

    await expect(readVerified(device, 20_480n, 4096, verify)).resolves.toEqual(Uint8Array.of(1, 2, 3));
    expect(device.offsets).toHaveLength(3);
  });

  test("believes the damage that the last attempt finds", async () => {
    const device = deviceOf([TORN, TORN, TORN, WHOLE]);

    await expect(readVerified(device, 20_480n, 4096, verify)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_BLOCK_CHECKSUM",
    });
    expect(device.offsets).toHaveLength(3);
  });

  test("makes as many attempts as it is told", async () => {
    const device = deviceOf([TORN, WHOLE]);

    await expect(readVerified(device, 20_480n, 4096, verify, 1)).rejects.toMatchObject({
      category: "corruption",
    });
    expect(device.offsets).toHaveLength(1);
  });

  test("does not try again what the device itself failed", async () => {
    const device = deviceOf([]);

    await expect(readVerified(device, 20_480n, 4096, verify)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_READ",
    });
    expect(device.offsets).toHaveLength(1);
  });

  test("lets an error of the verification through that is no damage", async () => {
    const device = deviceOf([WHOLE, WHOLE]);
    const broken = (): never => {
      throw new TypeError("a bug");
    };

    await expect(readVerified(device, 20_480n, 4096, broken)).rejects.toThrow("a bug");
    expect(device.offsets).toHaveLength(1);
  });
});

/** A device whose reads give these contents, one after another, and fail when there are no more. */
function deviceOf(contents: readonly Uint8Array[]): BlockDevice & { readonly offsets: readonly bigint[] } {
  const offsets: bigint[] = [];
  return {
    offsets,
    url: "script:",
    sizeBytes: 1n << 20n,
    sectorBytes: 512,
    isLocal: true,
    async read(offsetBytes, into) {
      const content = contents[offsets.push(offsetBytes) - 1];
      if (content !== undefined) return into.set(content);
      const facts = { device: "script:", offsetBytes, lengthBytes: into.length };
      throw new DeviceError("ERR_HOLDFAST_DEVICE_READ", "input/output error", facts);
    },
    async write() {},
    async flush() {},
    async close() {},
  };
}
