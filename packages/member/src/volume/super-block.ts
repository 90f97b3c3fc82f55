/*
 * The super block: what mkfs decided and nobody changes while the volume is open. Only a renewal of the term slots does.
 *
 * It stands twice, at block 16 and in the last block, so that one damaged copy costs nothing. The format hash
 * stands in front of everything that a change of format could move, and outside the hash itself.
 */
import {
  BLOCK_BYTES,
  type BlockDevice,
  blockOffset,
  DeviceError,
  HoldfastError,
} from "@holdfast/environment";
import {
  BlockError,
  type BlockErrorCode,
  BlockType,
  bytes,
  equalBytes,
  flag,
  openBlock,
  sealBlock,
  type StructCodec,
  struct,
  text,
  u16,
  u32,
  u64,
} from "@holdfast/wire-format";
import { layoutFor, SUPER_BLOCK, VolumeTooSmallError } from "./layout.ts";
import { ProcessRecord } from "./process-record.ts";

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
  /** The term before the first of these slots; 0 since mkfs. */
  readonly termBase: bigint;
  /** How often the slots were renewed. */
  readonly generation: number;
  /** True while the slots are being renewed: nothing but another renewal opens the volume. */
  readonly isRenewing: boolean;
  /** Voters that must agree before one campaigns, as mkfs had it; the newest record says what holds now. */
  readonly votes: number;
  /** Secret that members prove to know. */
  readonly key: Uint8Array;
  /** For people. */
  readonly label: string;
  /** Who renews the slots, or did so last: somebody as a member is, random; 0 since mkfs. */
  readonly renewer: bigint;
  /** Its process. */
  readonly renewerProcess: ProcessRecord;
}

/** Layout of the super block's payload. */
export const SuperBlock: StructCodec<SuperBlock> = struct("SuperBlock", {
  formatVersion: u32,
  formatHash: u64,
  fsid: u64,
  blockCount: u64,
  termsMax: u32,
  termBase: u64,
  generation: u32,
  isRenewing: flag,
  votes: u16,
  key: bytes(32),
  label: text(64),
  renewer: u64,
  renewerProcess: ProcessRecord,
});

/** Codes of {@link VolumeError}. */
export type VolumeErrorCode =
  | "ERR_HOLDFAST_NOT_A_VOLUME"
  | "ERR_HOLDFAST_FORMAT_VERSION"
  | "ERR_HOLDFAST_FORMAT_HASH"
  | "ERR_HOLDFAST_VOLUME_TRUNCATED"
  | "ERR_HOLDFAST_VOLUME_FSID"
  | "ERR_HOLDFAST_VOLUME_EXISTS"
  | "ERR_HOLDFAST_RENEWAL_UNFINISHED"
  | "ERR_HOLDFAST_SUPER_CORRUPT";

/** A device that cannot be opened as the volume that was meant. */
export class VolumeError extends HoldfastError<VolumeErrorCode, { readonly device: string }> {
  constructor(code: VolumeErrorCode, message: string, device: string, options?: ErrorOptions) {
    super(code, code === "ERR_HOLDFAST_SUPER_CORRUPT" ? "corruption" : "usage", message, { device }, options);
  }
}

/** A place without a block of ours was never a super block; anything else was one that is damaged. */
const NOT_OURS: ReadonlySet<BlockErrorCode> = new Set([
  "ERR_HOLDFAST_BLOCK_SIZE",
  "ERR_HOLDFAST_BLOCK_MAGIC",
]);

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
 * Reads both copies of the super block and checks that this code can open the volume.
 *
 * @throws {@link VolumeError} when the device is no volume, another format, truncated, not `expectedFsid`, or half renewed.
 * @throws {@link DeviceError} when neither copy serves and one of them could not be read.
 */
export async function readSuper(
  device: BlockDevice,
  formatHash: bigint,
  expectedFsid?: bigint,
): Promise<SuperReading> {
  const reading = await readSuperToRenew(device, formatHash, expectedFsid);
  if (!reading.superBlock.isRenewing) return reading;
  throw new VolumeError(
    "ERR_HOLDFAST_RENEWAL_UNFINISHED",
    `the renewal of ${device.url} was interrupted: run "holdfast renew" once more`,
    device.url,
  );
}

/**
 * The same for who renews: a volume that is half renewed will do.
 *
 * @throws as {@link readSuper}, but for `ERR_HOLDFAST_RENEWAL_UNFINISHED`.
 */
export async function readSuperToRenew(
  device: BlockDevice,
  formatHash: bigint,
  expectedFsid?: bigint,
): Promise<SuperReading> {
  const first = await readCopy(device, SUPER_BLOCK);
  // Only the first copy knows where the second one stands on a device that has grown since mkfs.
  const blockCount = first instanceof Error ? device.sizeBytes / BigInt(BLOCK_BYTES) : first.blockCount;
  const copyBlock = blockCount - 1n;
  const second = await readCopy(device, copyBlock);
  const superBlock = first instanceof Error ? second : first;
  if (superBlock instanceof Error) throw unusable(device, [first, second]);
  check(superBlock, device, formatHash, expectedFsid);
  const damagedCopies: bigint[] = [];
  if (first instanceof Error) damagedCopies.push(SUPER_BLOCK);
  if (second instanceof Error || !isSame(superBlock, second)) damagedCopies.push(copyBlock);
  return { superBlock, damagedCopies };
}

/** What a copy says, or why it says nothing. */
async function readCopy(device: BlockDevice, address: bigint): Promise<SuperBlock | Error> {
  try {
    return await openCopy(device, address);
  } catch (error) {
    if (error instanceof BlockError || error instanceof DeviceError || error instanceof VolumeError)
      return error;
    throw error;
  }
}

async function openCopy(device: BlockDevice, address: bigint): Promise<SuperBlock> {
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
  const version =
    payload.length < 4 ? 0 : new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  if (version !== FORMAT_VERSION) {
    throw new VolumeError(
      "ERR_HOLDFAST_FORMAT_VERSION",
      `${device.url} has format version ${version}, this program speaks ${FORMAT_VERSION}: use the release that made it`,
      device.url,
    );
  }
  const superBlock = decodeSuper(payload, address);
  if (superBlock.fsid !== header.fsid) {
    throw new BlockError("ERR_HOLDFAST_BLOCK_CONTENT", `block ${address} names two volumes`, {
      block: address,
    });
  }
  return superBlock;
}

function decodeSuper(payload: Uint8Array, address: bigint): SuperBlock {
  try {
    return SuperBlock.decode(payload);
  } catch (cause) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_CONTENT",
      `block ${address} holds no super block`,
      { block: address },
      { cause },
    );
  }
}

function isSame(first: SuperBlock, second: SuperBlock): boolean {
  return equalBytes(SuperBlock.encode(first), SuperBlock.encode(second));
}

/** Why no copy serves: the device if it failed, else another version, else damage, else there never was a volume. */
function unusable(device: BlockDevice, reasons: readonly (SuperBlock | Error)[]): Error {
  const errors = reasons.filter((reason) => reason instanceof Error);
  const plain = errors.find((error) => error instanceof VolumeError || error instanceof DeviceError);
  if (plain !== undefined) return plain;
  const damage = errors.find((error) => error instanceof BlockError && !NOT_OURS.has(error.code));
  if (damage !== undefined) {
    return new VolumeError(
      "ERR_HOLDFAST_SUPER_CORRUPT",
      `both super blocks of ${device.url} are damaged: restore block ${SUPER_BLOCK} or the last block from a copy`,
      device.url,
      { cause: damage },
    );
  }
  return new VolumeError(
    "ERR_HOLDFAST_NOT_A_VOLUME",
    `${device.url} is not a Holdfast volume: format it with "holdfast mkfs", or check the path`,
    device.url,
    { cause: errors[0] },
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
  checkGeometry(superBlock, device);
}

/** Its checksum vouches for what was written, not for whoever wrote it. @throws {@link VolumeError} */
function checkGeometry({ blockCount, termsMax, votes }: SuperBlock, device: BlockDevice): void {
  try {
    layoutFor(blockOffset(blockCount), termsMax);
    if (votes > 0) return;
  } catch (error) {
    if (!(error instanceof VolumeTooSmallError || error instanceof RangeError)) throw error;
  }
  throw new VolumeError(
    "ERR_HOLDFAST_SUPER_CORRUPT",
    `the super block of ${device.url} describes a volume that cannot be: ${blockCount} blocks, ${termsMax} terms, ${votes} votes; restore block ${SUPER_BLOCK} and the volume's last block from a copy`,
    device.url,
  );
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
