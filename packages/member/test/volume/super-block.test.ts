import { BLOCK_BYTES, DeviceError, MIB } from "@holdfast/environment";
import { BlockError, BlockType, sealBlock } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  FORMAT_VERSION,
  readSuper,
  readSuperToRenew,
  SUPER_BLOCK,
  SuperBlock,
  sealSuper,
  VolumeError,
} from "../../src/index.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { MemoryDevice } from "../world/memory-device.ts";

const FORMAT_HASH = 0x1122_3344_5566_7788n;
const DEVICE_BYTES = 16 * MIB;
const LAST_BLOCK = BigInt(DEVICE_BYTES / BLOCK_BYTES) - 1n;

const SUPER: SuperBlock = {
  formatVersion: FORMAT_VERSION,
  formatHash: FORMAT_HASH,
  fsid: 0xfeedn,
  blockCount: LAST_BLOCK + 1n,
  termsMax: 64,
  termBase: 0x80n,
  generation: 2,
  isRenewing: false,
  votes: 2,
  key: Uint8Array.from({ length: 32 }, (_, index) => index),
  label: "größe",
  renewer: 0n,
  renewerProcess: NO_PROCESS,
};

test("both copies stand at block 16 and in the last block, and say the same", async () => {
  const device = deviceWith(SUPER);

  expect(sealSuper(SUPER).map(({ address }) => address)).toEqual([SUPER_BLOCK, LAST_BLOCK]);
  await expect(readSuper(device, FORMAT_HASH, SUPER.fsid)).resolves.toEqual({
    superBlock: SUPER,
    damagedCopies: [],
  });
});

test("the bytes of a super block", () => {
  const super256 = { ...SUPER, blockCount: 256n };
  const bytes = SuperBlock.encode(super256);

  expect(SuperBlock.sizeBytes).toBe(278);
  expect(Buffer.from(bytes.subarray(0, 47)).toString("hex")).toBe(
    [
      "01000000",
      "8877665544332211",
      "edfe000000000000",
      "0001000000000000",
      "40000000",
      "8000000000000000",
      "02000000",
      "00",
      "0200",
    ].join(""),
  );
  expect(Buffer.from(bytes.subarray(79, 89)).toString("hex")).toBe("07006772c3b6c39f6500");
  expect(SuperBlock.decode(bytes)).toEqual(super256);
});

test.each([
  ["the first", SUPER_BLOCK],
  ["the second", LAST_BLOCK],
])("one damaged copy costs nothing and is named: %s", async (_, block) => {
  const device = deviceWith(SUPER);
  device.damage(block);

  await expect(readSuper(device, FORMAT_HASH)).resolves.toEqual({
    superBlock: SUPER,
    damagedCopies: [block],
  });
});

test.each([
  ["the first", SUPER_BLOCK],
  ["the second", LAST_BLOCK],
])("one copy that cannot be read costs nothing and is named: %s", async (_, block) => {
  const device = deviceWith(SUPER);
  refuseReadsOf(device, [block]);

  await expect(readSuper(device, FORMAT_HASH)).resolves.toEqual({
    superBlock: SUPER,
    damagedCopies: [block],
  });
});

test("a second copy that says something else is named as damaged", async () => {
  const device = deviceWith(SUPER);
  place(device, sealSuper({ ...SUPER, fsid: 1n }).slice(1));

  const { superBlock, damagedCopies } = await readSuper(device, FORMAT_HASH);

  expect([superBlock.fsid, damagedCopies]).toEqual([SUPER.fsid, [LAST_BLOCK]]);
});

test("on a device that has grown since, the second copy is where the first one says", async () => {
  const device = deviceWith(SUPER);
  const grown = new MemoryDevice(2 * DEVICE_BYTES);
  grown.bytes.set(device.bytes);

  await expect(readSuper(grown, FORMAT_HASH)).resolves.toEqual({ superBlock: SUPER, damagedCopies: [] });
});

test("a device that lost its end is truncated, not damaged", async () => {
  const device = deviceWith(SUPER);
  device.bytes = device.bytes.slice(0, DEVICE_BYTES / 2);

  expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_TRUNCATED",
  });
});

test("two damaged copies are damage, with the first reason as the cause", async () => {
  const device = deviceWith(SUPER);
  device.damage(SUPER_BLOCK);
  device.damage(LAST_BLOCK);

  const error = await refusal(readSuper(device, FORMAT_HASH));
  expect(error.code).toBe("ERR_HOLDFAST_SUPER_CORRUPT");

  expect(error.category).toBe("corruption");
  expect(error.cause).toBeInstanceOf(BlockError);
});

test("one damaged copy and nothing in the place of the other is damage too", async () => {
  const device = deviceWith(SUPER);
  device.damage(SUPER_BLOCK);
  device.block(LAST_BLOCK).fill(0);

  expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({ code: "ERR_HOLDFAST_SUPER_CORRUPT" });
});

test("a device with nothing of ours on it is no volume", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);
  device.bytes.fill(0xa5);

  expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({ code: "ERR_HOLDFAST_NOT_A_VOLUME" });
});

test("a device of a few blocks is no volume", async () => {
  expect(await refusal(readSuper(new MemoryDevice(2 * BLOCK_BYTES), FORMAT_HASH))).toMatchObject({
    code: "ERR_HOLDFAST_NOT_A_VOLUME",
  });
  expect(await refusal(readSuper(new MemoryDevice(0), FORMAT_HASH))).toMatchObject({
    code: "ERR_HOLDFAST_NOT_A_VOLUME",
  });
});

test("a device that can be read nowhere is a device that fails, not one without a volume", async () => {
  const device = deviceWith(SUPER);
  refuseReadsOf(device, [SUPER_BLOCK, LAST_BLOCK]);

  await expect(readSuper(device, FORMAT_HASH)).rejects.toBeInstanceOf(DeviceError);
});

test("another format version is refused before anything else is read of it", async () => {
  const device = deviceWith(SUPER);
  const payload = new Uint8Array(8);
  payload[0] = FORMAT_VERSION + 1;
  place(
    device,
    sealSuper(SUPER).map(({ address }) => ({
      address,
      block: sealBlock({ fsid: 9n, address, term: 0n, writer: 0n, seq: 1n, type: BlockType.super }, payload),
    })),
  );

  const error = await refusal(readSuper(device, FORMAT_HASH));
  expect(error.code).toBe("ERR_HOLDFAST_FORMAT_VERSION");

  expect(error.message).toContain(`version ${FORMAT_VERSION + 1}`);
});

test("a build with other formats is refused, and both hashes are named", async () => {
  const error = await refusal(readSuper(deviceWith(SUPER), 1n));
  expect(error.code).toBe("ERR_HOLDFAST_FORMAT_HASH");

  expect(error.message).toContain("1122334455667788");
  expect(error.message).toContain("0000000000000001");
});

test("another volume than the one that was asked for is refused", async () => {
  expect(await refusal(readSuper(deviceWith(SUPER), FORMAT_HASH, 1n))).toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_FSID",
  });
});

test.each([
  ["a payload that is too short", new Uint8Array([FORMAT_VERSION, 0, 0, 0, 1])],
  ["no payload", new Uint8Array(0)],
  ["a label that is no text", withLabel(new Uint8Array([0xff, 0xfe]))],
  ["another volume's name inside", SuperBlock.encode({ ...SUPER, fsid: 1n })],
])("a sealed block with %s is no super block", async (_, payload) => {
  const device = new MemoryDevice(DEVICE_BYTES);
  const { fsid } = SUPER;
  place(
    device,
    sealSuper(SUPER).map(({ address }) => ({
      address,
      block: sealBlock({ fsid, address, term: 0n, writer: 0n, seq: 1n, type: BlockType.super }, payload),
    })),
  );

  await expect(readSuper(device, FORMAT_HASH)).rejects.toBeInstanceOf(VolumeError);
});

test.each<Partial<SuperBlock>>([
  { blockCount: 0n },
  { blockCount: 17n },
  { termsMax: 0 },
  { termsMax: 600 },
  { termsMax: 0xffff_ffff },
  { votes: 0 },
])(
  "a super block that describes an impossible volume is refused, right checksums or not: %o",
  async (absurd) => {
    const device = deviceWith(SUPER);
    const payload = SuperBlock.encode({ ...SUPER, ...absurd });
    const identity = { fsid: SUPER.fsid, term: 0n, writer: 0n, seq: 1n, type: BlockType.super };
    const copies = [SUPER_BLOCK, LAST_BLOCK];
    place(
      device,
      copies.map((address) => ({ address, block: sealBlock({ ...identity, address }, payload) })),
    );

    expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({
      code: "ERR_HOLDFAST_SUPER_CORRUPT",
    });
  },
);

test("a super block whose volume is larger than any device is a device that was cut off", async () => {
  const device = deviceWith(SUPER);
  place(device, sealSuper({ ...SUPER, blockCount: 2n ** 52n }).slice(0, 1));

  expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_TRUNCATED",
  });
});

test("a super block of another place is not taken for this one's", async () => {
  const device = new MemoryDevice(DEVICE_BYTES);
  const [first] = sealSuper(SUPER);
  if (first !== undefined) device.block(LAST_BLOCK).set(first.block);

  expect(await refusal(readSuper(device, FORMAT_HASH))).toMatchObject({ code: "ERR_HOLDFAST_SUPER_CORRUPT" });
});

function deviceWith(superBlock: SuperBlock): MemoryDevice {
  const device = new MemoryDevice(DEVICE_BYTES);
  place(device, sealSuper(superBlock));
  return device;
}

function place(
  device: MemoryDevice,
  copies: readonly { readonly address: bigint; readonly block: Uint8Array }[],
): void {
  for (const { address, block } of copies) device.block(address).set(block);
}

function refuseReadsOf(device: MemoryDevice, blocks: readonly bigint[]): void {
  device.onRead = (block) => {
    if (blocks.includes(block)) throw new Error("bad sector");
  };
}

function withLabel(label: Uint8Array): Uint8Array {
  const payload = SuperBlock.encode({ ...SUPER, label: "" });
  new DataView(payload.buffer).setUint16(79, label.length, true);
  payload.set(label, 81);
  return payload;
}

async function refusal(reading: Promise<unknown>): Promise<VolumeError> {
  const error = await reading.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof VolumeError)) throw new Error(`not refused but ${String(error)}`);
  return error;
}

test("a volume that is half renewed is opened by nothing but another renewal", async () => {
  const device = deviceWith({ ...SUPER, isRenewing: true });

  await expect(readSuper(device, FORMAT_HASH)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_RENEWAL_UNFINISHED",
  });
  await expect(readSuperToRenew(device, FORMAT_HASH)).resolves.toMatchObject({
    superBlock: { isRenewing: true },
  });
});
