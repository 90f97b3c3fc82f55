/*
 * The super block: what mkfs decided and nobody changes while the volume is open.
 *
 * It stands twice, at block 16 and in the last block, so that one damaged copy costs nothing. The format hash
 * stands in front of everything that a change of format could move, and outside the hash itself.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset, HoldfastError } from "@holdfast/environment";
import {
  BlockError,
  BlockType,
  bytes,
  openBlock,
  sealBlock,
  type StructCodec,
  struct,
  text,
  u16,
  u32,
  u64,
} from "@holdfast/wire-format";
import { SUPER_BLOCK } from "./layout.ts";

/** Version of everything on disk and on the wire that this code speaks. */
export const FORMAT_VERSION = 1;

/** The static facts of a volume. */
export interface SuperBlock {
  /** {@link FORMAT_VERSION} of the mkfs that made it. */
  readonly formatVersion: number;
  /** Hash over all declared formats. */
  readonly formatHash: bigint;
  /** Identity of the volume, random. */
  readonly fsid: bigint;
  /** Size at mkfs, in blocks; a device with fewer is truncated. */
  readonly blockCount: bigint;
  /** Term slots. */
  readonly termsMax: number;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
  /** Secret that members prove to know. */
  readonly key: Uint8Array;
  /** For people. */
  readonly label: string;
}

/** Layout of the super block's payload. */
export const SuperBlock: StructCodec<SuperBlock> = struct("SuperBlock", {
  formatVersion: u32,
  formatHash: u64,
  fsid: u64,
  blockCount: u64,
  termsMax: u32,
  votes: u16,
  key: bytes(32),
  label: text(64),
});

/** Codes of {@link VolumeError}. */
export type VolumeErrorCode =
  | "ERR_HOLDFAST_NOT_A_VOLUME"
  | "ERR_HOLDFAST_FORMAT_VERSION"
  | "ERR_HOLDFAST_FORMAT_HASH"
  | "ERR_HOLDFAST_VOLUME_TRUNCATED"
  | "ERR_HOLDFAST_VOLUME_FSID"
  | "ERR_HOLDFAST_VOLUME_EXISTS"
  | "ERR_HOLDFAST_SUPER_CORRUPT";

/** A device that cannot be opened as the volume that was meant. */
export class VolumeError extends HoldfastError<VolumeErrorCode, { readonly device: string }> {
  constructor(code: VolumeErrorCode, message: string, device: string, options?: ErrorOptions) {
    super(code, code === "ERR_HOLDFAST_SUPER_CORRUPT" ? "corruption" : "usage", message, { device }, options);
  }
}

/** What a super block says, and which of its copies were damaged. */
export interface SuperReading {
  readonly superBlock: SuperBlock;
  /** Blocks whose copy could not be used; the other one served. */
  readonly damagedCopies: readonly bigint[];
}

/** Both copies, sealed, ready to be written. */
export function sealSuper(
  superBlock: SuperBlock,
): readonly { readonly address: bigint; readonly block: Uint8Array }[] {
  return [SUPER_BLOCK, superBlock.blockCount - 1n].map((address) => ({
    address,
    block: sealBlock(
      { fsid: superBlock.fsid, address, term: 0n, writer: 0n, seq: 1n, type: BlockType.super },
      SuperBlock.encode(superBlock),
    ),
  }));
}

/**
 * Reads the super block and checks that this code can open the volume.
 *
 * @throws {@link VolumeError} when the device is no volume, another format, truncated, or not `expectedFsid`.
 */
export async function readSuper(
  device: BlockDevice,
  formatHash: bigint,
  expectedFsid?: bigint,
): Promise<SuperReading> {
  const copies = [SUPER_BLOCK, device.sizeBytes / BigInt(BLOCK_BYTES) - 1n];
  const damagedCopies: bigint[] = [];
  const errors: BlockError[] = [];
  let superBlock: SuperBlock | undefined;
  for (const address of copies) {
    try {
      superBlock ??= await readCopy(device, address);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      errors.push(error);
      damagedCopies.push(address);
    }
  }
  if (superBlock === undefined) throw unusable(device, errors);
  check(superBlock, device, formatHash, expectedFsid);
  return { superBlock, damagedCopies };
}

async function readCopy(device: BlockDevice, address: bigint): Promise<SuperBlock> {
  const block = new Uint8Array(BLOCK_BYTES);
  if (blockOffset(address + 1n) > device.sizeBytes || address < 0n) {
    throw new BlockError("ERR_HOLDFAST_BLOCK_SIZE", `block ${address} lies beyond the device`, {
      block: address,
    });
  }
  await device.read(blockOffset(address), block);
  // The identity is what we are about to learn, so the block's own is taken.
  const fsid = new DataView(block.buffer).getBigUint64(8, true);
  const { payload, header } = openBlock(block, { fsid, address, types: [BlockType.super] });
  const version = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  if (version !== FORMAT_VERSION) {
    throw new VolumeError(
      "ERR_HOLDFAST_FORMAT_VERSION",
      `${device.url} has format version ${version}, this program speaks ${FORMAT_VERSION}: use the release that made it`,
      device.url,
    );
  }
  const superBlock = SuperBlock.decode(payload);
  if (superBlock.fsid !== header.fsid) {
    throw new BlockError("ERR_HOLDFAST_BLOCK_CONTENT", `block ${address} names two volumes`, {
      block: address,
    });
  }
  return superBlock;
}

function unusable(device: BlockDevice, errors: readonly BlockError[]): VolumeError {
  const cause = errors[0];
  if (errors.some(({ code }) => code === "ERR_HOLDFAST_BLOCK_CHECKSUM")) {
    return new VolumeError(
      "ERR_HOLDFAST_SUPER_CORRUPT",
      `both super blocks of ${device.url} are damaged: restore block ${SUPER_BLOCK} or the last block from a copy`,
      device.url,
      { cause },
    );
  }
  return new VolumeError(
    "ERR_HOLDFAST_NOT_A_VOLUME",
    `${device.url} is not a Holdfast volume: format it with "holdfast mkfs", or check the path`,
    device.url,
    { cause },
  );
}

function check(superBlock: SuperBlock, device: BlockDevice, formatHash: bigint, expectedFsid?: bigint): void {
  if (superBlock.formatHash !== formatHash) {
    throw new VolumeError(
      "ERR_HOLDFAST_FORMAT_HASH",
      `${device.url} was made by a build with other formats (hash ${hex(superBlock.formatHash)}, ours ${hex(formatHash)}): use that build, or copy the data out with it`,
      device.url,
    );
  }
  if (expectedFsid !== undefined && superBlock.fsid !== expectedFsid) {
    throw new VolumeError(
      "ERR_HOLDFAST_VOLUME_FSID",
      `${device.url} is volume ${hex(superBlock.fsid)}, ${hex(expectedFsid)} was asked for`,
      device.url,
    );
  }
  if (blockOffset(superBlock.blockCount) > device.sizeBytes) {
    throw new VolumeError(
      "ERR_HOLDFAST_VOLUME_TRUNCATED",
      `${device.url} has ${device.sizeBytes} bytes, the volume on it ${blockOffset(superBlock.blockCount)}: it was cut off; restore the rest`,
      device.url,
    );
  }
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
