/*
 * Makes a volume on a file or a device, and takes care not to destroy anything by mistake: whatever is not empty is
 * refused unless forced, and nothing is touched before everything that can be checked was checked.
 */
import { stat, statfs, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createVolumeFile,
  detectForeignSignature,
  isNbdUrl,
  openBlockDevice,
  type OpenedBlockDevice,
} from "@holdfast/block-device";
import { blockOffset, DeviceError } from "@holdfast/environment";
import {
  formatVolume,
  layoutFor,
  livingVoters,
  quorumRegionOf,
  readSuper,
  type SuperBlock,
  VOLUME_FORMAT_HASH,
  VolumeError,
} from "@holdfast/member";
import { nodeClock, nodeRandom } from "@holdfast/platform-node";

/** What the volume is to be like. */
export interface MakeVolumeOptions {
  /** Makes a file of this size, or grows a shorter one; devices have the size they have. */
  readonly sizeBytes?: bigint;
  /** For people, at most 64 bytes. */
  readonly label?: string;
  /** Voters that must agree before one campaigns, 1 … 64; default 1. */
  readonly votes?: number;
  /** Formats although something is there. Everything on the device is lost. */
  readonly isForced?: boolean;
  /** Called now and then with the share done, 0 … 1. */
  readonly onProgress?: (share: number) => void;
}

/** What stands at a URL before anything is made there. */
type Place =
  | { readonly type: "nothing" | "device" | "memory" }
  | { readonly type: "file"; readonly sizeBytes: bigint };

const LABEL_BYTES_MAX = 64;

/** As much of a device as is looked at for data: what stands before the first block that mkfs writes. */
const HEAD_BYTES = 256 * 1024;

/** Smallest file that is a device. */
const DEVICE_BYTES_MIN = 4096n;

/**
 * Formats a file or a device.
 *
 * @throws {@link VolumeError} `ERR_HOLDFAST_VOLUME_EXISTS` when it holds anything and is not forced, or a volume that a voter has
 *   open; to see that takes a second.
 * @throws {@link VolumeTooSmallError} `ERR_HOLDFAST_VOLUME_TOO_SMALL`.
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` when it cannot be opened or made, or a file has no room on its disk.
 * @throws RangeError when an option is out of range. After each of these errors everything is as it was.
 */
export async function makeVolume(url: string, options: MakeVolumeOptions = {}): Promise<SuperBlock> {
  const { sizeBytes, isForced = false, label = "", votes = 1, onProgress } = options;
  const place = await placeAt(url);
  checkOptions(url, place, { sizeBytes, label, votes });
  if (sizeBytes !== undefined) await refuseLarge(url, place, sizeBytes);
  if (isForced) await refuseOpen(url, place);
  else await refuseUsed(url, place);
  try {
    if (sizeBytes !== undefined) await createVolumeFile(pathOf(url), sizeBytes);
    const device = await openBlockDevice(url, { isExclusive: true });
    try {
      const settings = { label, votes, ...(onProgress === undefined ? {} : { onProgress }) };
      return await formatVolume(device, settings, nodeRandom);
    } finally {
      await device.close();
    }
  } catch (error) {
    if (place.type === "nothing") await unlinkIfThere(pathOf(url));
    throw error;
  }
}

function checkOptions(
  url: string,
  place: Place,
  { sizeBytes, label, votes }: { sizeBytes: bigint | undefined; label: string; votes: number },
): void {
  if (Buffer.byteLength(label) > LABEL_BYTES_MAX)
    throw new RangeError(`a label has at most ${LABEL_BYTES_MAX} bytes`);
  if (!Number.isInteger(votes) || votes < 1 || votes > 64)
    throw new RangeError(`votes must be 1 to 64, not ${votes}`);
  if (sizeBytes !== undefined) {
    layoutFor(sizeBytes);
    if (place.type === "device" || place.type === "memory")
      throw new RangeError(`${url} has the size it has: leave the size away`);
    if (place.type === "file" && place.sizeBytes > sizeBytes)
      throw new RangeError(
        `${url} has ${place.sizeBytes} bytes, more than the size asked for: leave it away`,
      );
  } else if (place.type === "nothing") {
    throw new DeviceError(
      "ERR_HOLDFAST_DEVICE_OPEN",
      `there is no ${url}: give a size to make a file, or check the path`,
      { device: url, offsetBytes: 0n, lengthBytes: 0 },
    );
  } else if (place.type === "file") {
    layoutFor(place.sizeBytes);
  }
}

/** Zeros would be written until the disk is full, and whoever else writes to it suffers. */
async function refuseLarge(url: string, place: Place, sizeBytes: bigint): Promise<void> {
  const directory = dirname(pathOf(url));
  const room = await statfs(directory, { bigint: true }).catch((error: unknown) => {
    // What is wrong with the path is told when the file is made.
    if (isSystemError(error)) return undefined;
    throw error;
  });
  const addedBytes = sizeBytes - (place.type === "file" ? place.sizeBytes : 0n);
  if (room === undefined || addedBytes <= room.bavail * room.bsize) return;
  throw new DeviceError(
    "ERR_HOLDFAST_DEVICE_OPEN",
    `${url} of ${sizeBytes} bytes does not fit: ${directory} has ${room.bavail * room.bsize} bytes free; ask for less, or make room`,
    { device: url, offsetBytes: 0n, lengthBytes: 0 },
  );
}

async function refuseUsed(url: string, place: Place): Promise<void> {
  if (place.type === "nothing" || (place.type === "file" && place.sizeBytes === 0n)) return;
  const isTiny = place.type === "file" && place.sizeBytes < DEVICE_BYTES_MIN;
  const content = isTiny ? "data" : await contentOf(url);
  if (content === undefined) return;
  throw new VolumeError(
    "ERR_HOLDFAST_VOLUME_EXISTS",
    `${url} holds ${content}: format something else, or use --force to destroy it`,
    url,
  );
}

/** A member that goes on would take a new volume for its own one, damaged, and use up its terms. */
async function refuseOpen(url: string, place: Place): Promise<void> {
  if (place.type !== "device" && !(place.type === "file" && place.sizeBytes >= DEVICE_BYTES_MIN)) return;
  const device = await openBlockDevice(url, { isReadOnly: true });
  try {
    const { superBlock } = await readSuper(device, VOLUME_FORMAT_HASH);
    const layout = layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax);
    const voters = await livingVoters(quorumRegionOf(superBlock, layout), { device, clock: nodeClock });
    if (voters.length === 0) return;
    const members = voters.map(({ rid }) => rid.toString(16).padStart(16, "0")).join(", ");
    throw new VolumeError(
      "ERR_HOLDFAST_VOLUME_EXISTS",
      `${url} is open: stop member ${members} first, or nothing of a new volume would be left`,
      url,
    );
  } catch (error) {
    // What is no volume, or cannot be opened, nobody has open.
    if (!(error instanceof VolumeError) || error.code === "ERR_HOLDFAST_VOLUME_EXISTS") throw error;
  } finally {
    await device.close();
  }
}

/** For people: what a device holds, undefined if nothing. */
async function contentOf(url: string): Promise<string | undefined> {
  const device = await openBlockDevice(url, { isReadOnly: true });
  try {
    const volume = await volumeOn(device);
    if (volume !== undefined) return volume;
    const foreign = await detectForeignSignature(device);
    if (foreign !== undefined) return `${foreign.name} (at byte ${foreign.offsetBytes})`;
    const head = new Uint8Array(Math.min(HEAD_BYTES, Number(device.sizeBytes)));
    await device.read(0n, head);
    const first = head.findIndex((byte) => byte !== 0);
    return first < 0 ? undefined : `data (at byte ${first})`;
  } finally {
    await device.close();
  }
}

/** A volume that cannot be opened, since it is damaged, cut off or of another release, is one all the same. */
async function volumeOn(device: OpenedBlockDevice): Promise<string | undefined> {
  try {
    const { superBlock } = await readSuper(device, VOLUME_FORMAT_HASH);
    return `the Holdfast volume ${superBlock.fsid.toString(16).padStart(16, "0")}`;
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error;
    return error.code === "ERR_HOLDFAST_NOT_A_VOLUME" ? undefined : `a Holdfast volume (${error.code})`;
  }
}

async function placeAt(url: string): Promise<Place> {
  if (url.startsWith("memory:")) return { type: "memory" };
  if (isNbdUrl(url)) return { type: "device" };
  try {
    const facts = await stat(pathOf(url), { bigint: true });
    // What is neither a file nor a device is refused, with a good message, when it is opened.
    return facts.isFile() ? { type: "file", sizeBytes: facts.size } : { type: "device" };
  } catch (error) {
    if (isAbsent(error)) return { type: "nothing" };
    throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return isSystemError(error) && "code" in error && error.code === "ENOENT";
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

function pathOf(url: string): string {
  if (url.startsWith("file://")) return fileURLToPath(url);
  return url.startsWith("file:") ? url.slice("file:".length) : url;
}
