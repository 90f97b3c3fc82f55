/*
 * Recognizes what a device already holds, so that nobody formats away somebody's data.
 *
 * The places and magic numbers are those that blkid(8) documents and looks for; each is the format's own, published one.
 */
import { type BlockDevice, BLOCK_BYTES } from "@holdfast/environment";
import { BLOCK_MAGIC } from "@holdfast/wire-format";

/** What was recognized, and where. */
export interface ForeignSignature {
  /** Name of the format, such as `ext2/3/4`, for a person to read. */
  readonly name: string;
  /** Where its magic number stands, in bytes from the start of the device. */
  readonly offsetBytes: number;
}

interface Mark {
  readonly name: string;
  /** Places to look at, in order. */
  readonly offsets: readonly number[];
  readonly magic: Uint8Array;
}

/** As much of a device as holds every mark below. */
const LOOKED_AT_BYTES = 256 * 1024;

const PAGE_SIZES: readonly number[] = [4096, 8192, 16_384, 65_536];
/** ZFS keeps 128 uberblocks of 1 KiB behind the first 128 KiB of a label. */
const ZFS_UBERBLOCKS: readonly number[] = Array.from({ length: 128 }, (_, index) => 131_072 + index * 1024);

/** The first that matches names the device: the specific before the vague, GPT before the MBR that guards it. */
const MARKS: readonly Mark[] = [
  // The super block is block 16 (docs/formats/volume.md); its magic stands behind its checksum.
  { name: "Holdfast volume", offsets: [16 * BLOCK_BYTES + 4], magic: littleEndian(BLOCK_MAGIC) },
  { name: "LUKS", offsets: [0], magic: bytesOf(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe) },
  { name: "LVM physical volume", offsets: [0, 512, 1024, 1536], magic: ascii("LABELONE") },
  { name: "Linux RAID member", offsets: [0, 4096], magic: littleEndian(0xa92b4efc) },
  { name: "bcache", offsets: [4096 + 24], magic: bytesOf(0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca) },
  { name: "XFS", offsets: [0], magic: ascii("XFSB") },
  { name: "ext2/3/4", offsets: [1024 + 56], magic: bytesOf(0x53, 0xef) },
  { name: "Btrfs", offsets: [65_536 + 64], magic: ascii("_BHRfS_M") },
  { name: "F2FS", offsets: [1024], magic: littleEndian(0xf2f52010) },
  { name: "EROFS", offsets: [1024], magic: littleEndian(0xe0f5e1e2) },
  { name: "SquashFS", offsets: [0], magic: ascii("hsqs") },
  { name: "ISO 9660", offsets: [32_769], magic: ascii("CD001") },
  { name: "swap", offsets: PAGE_SIZES.map((size) => size - 10), magic: ascii("SWAPSPACE2") },
  { name: "swap", offsets: PAGE_SIZES.map((size) => size - 10), magic: ascii("SWAP-SPACE") },
  { name: "ZFS", offsets: ZFS_UBERBLOCKS, magic: littleEndian(0x00bab10c) },
  {
    name: "ZFS",
    offsets: ZFS_UBERBLOCKS.map((offset) => offset + 4),
    magic: bytesOf(0x00, 0xba, 0xb1, 0x0c),
  },
  { name: "GPT partition table", offsets: [512, 4096], magic: ascii("EFI PART") },
  { name: "NTFS", offsets: [3], magic: ascii("NTFS    ") },
  { name: "exFAT", offsets: [3], magic: ascii("EXFAT   ") },
  { name: "FAT", offsets: [54], magic: ascii("FAT") },
  { name: "FAT", offsets: [82], magic: ascii("FAT32") },
  { name: "MBR partition table", offsets: [510], magic: bytesOf(0x55, 0xaa) },
];

/**
 * Looks whether a device holds something that is known, a Holdfast volume included.
 *
 * Undefined means only that nothing was recognized: mkfs still asks before it writes over what is not zero.
 *
 * @throws {@link DeviceError} when the device cannot be read.
 */
export async function detectForeignSignature(device: BlockDevice): Promise<ForeignSignature | undefined> {
  const looked = device.sizeBytes < BigInt(LOOKED_AT_BYTES) ? Number(device.sizeBytes) : LOOKED_AT_BYTES;
  const head = new Uint8Array(looked);
  await device.read(0n, head);
  for (const { name, offsets, magic } of MARKS) {
    const offsetBytes = offsets.find((offset) => startsWith(head, offset, magic));
    if (offsetBytes !== undefined) return { name, offsetBytes };
  }
  return undefined;
}

function startsWith(bytes: Uint8Array, offset: number, magic: Uint8Array): boolean {
  return magic.every((value, index) => bytes[offset + index] === value);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function littleEndian(word: number): Uint8Array {
  return bytesOf(word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24);
}

function bytesOf(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values);
}
