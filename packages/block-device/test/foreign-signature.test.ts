import { BlockType, sealBlock } from "@holdfast/wire-format";
import { afterEach, expect, test } from "vitest";
import { detectForeignSignature, openBlockDevice, removeMemoryDevice } from "../src/index.ts";

type Mark = readonly [name: string, offsetBytes: number, magic: readonly number[]];

const MARKS: readonly Mark[] = [
  ["LUKS", 0, [...text("LUKS"), 0xba, 0xbe]],
  ["LVM physical volume", 512, text("LABELONE")],
  ["Linux RAID member", 4096, [0xfc, 0x4e, 0x2b, 0xa9]],
  ["bcache", 4120, [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca]],
  ["XFS", 0, text("XFSB")],
  ["ext2/3/4", 1080, [0x53, 0xef]],
  ["Btrfs", 65_600, text("_BHRfS_M")],
  ["F2FS", 1024, [0x10, 0x20, 0xf5, 0xf2]],
  ["EROFS", 1024, [0xe2, 0xe1, 0xf5, 0xe0]],
  ["SquashFS", 0, text("hsqs")],
  ["ISO 9660", 32_769, text("CD001")],
  ["swap", 4086, text("SWAPSPACE2")],
  ["swap", 65_526, text("SWAP-SPACE")],
  ["ZFS", 131_072, [0x0c, 0xb1, 0xba, 0]],
  ["ZFS", 200_708, [0, 0xba, 0xb1, 0x0c]],
  ["GPT partition table", 512, text("EFI PART")],
  ["GPT partition table", 4096, text("EFI PART")],
  ["NTFS", 3, text("NTFS    ")],
  ["exFAT", 3, text("EXFAT   ")],
  ["FAT", 54, text("FAT16   ")],
  ["FAT", 82, text("FAT32   ")],
  ["MBR partition table", 510, [0x55, 0xaa]],
];

afterEach(() => {
  removeMemoryDevice("signature");
});

test.each(MARKS)("%s is recognized by its magic at byte %i", async (name, offsetBytes, magic) => {
  const device = await deviceWith([[name, offsetBytes, magic]]);

  await expect(detectForeignSignature(device)).resolves.toEqual({ name, offsetBytes });
});

test("a volume of our own is recognized by its super block, block 16", async () => {
  const identity = { fsid: 1n, address: 16n, term: 0n, writer: 0n, seq: 1n, type: BlockType.super };
  const device = await openBlockDevice("memory:signature?size=1M");
  await device.write(16n * 4096n, sealBlock(identity, new Uint8Array(8)), { isDurable: true });

  await expect(detectForeignSignature(device)).resolves.toEqual({
    name: "Holdfast volume",
    offsetBytes: 65_540,
  });
});

test("a partitioned disk is named by its GPT, not by the MBR that guards it", async () => {
  const device = await deviceWith([
    ["MBR", 510, [0x55, 0xaa]],
    ["GPT", 512, text("EFI PART")],
  ]);

  await expect(detectForeignSignature(device)).resolves.toMatchObject({ name: "GPT partition table" });
});

test.each(["4096", "1M"])("nothing is recognized on a blank device of %s", async (size) => {
  const device = await openBlockDevice(`memory:signature?size=${size}`);

  await expect(detectForeignSignature(device)).resolves.toBeUndefined();
});

async function deviceWith(marks: readonly Mark[]): Promise<Awaited<ReturnType<typeof openBlockDevice>>> {
  const device = await openBlockDevice("memory:signature?size=1M");
  const head = new Uint8Array(256 * 1024);
  for (const [, offset, magic] of marks) head.set(magic, offset);
  await device.write(0n, head, { isDurable: false });
  return device;
}

function text(characters: string): readonly number[] {
  return Array.from(characters, (character) => character.charCodeAt(0));
}
