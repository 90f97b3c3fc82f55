/*
 * Makes a volume on a file or a device, and takes care not to destroy anything by mistake.
 */
import { stat } from "node:fs/promises";
import { createVolumeFile, detectForeignSignature, openBlockDevice } from "@holdfast/block-device";
import { formatVolume, layoutFor, type SuperBlock, VolumeError } from "@holdfast/member";
import { nodeRandom } from "@holdfast/platform-node";

/** What the volume is to be like. */
export interface MakeVolumeOptions {
  /** Makes a file of this size, or grows one; devices have the size they have. */
  readonly sizeBytes?: bigint;
  /** For people, at most 64 bytes. */
  readonly label?: string;
  /** Voters that must agree before one campaigns; default 1. */
  readonly votes?: number;
  /** Formats although something is there. Everything on the device is lost. */
  readonly isForced?: boolean;
  /** Called now and then with the share done, 0 … 1. */
  readonly onProgress?: (share: number) => void;
}

/**
 * Formats a file or a device.
 *
 * @throws {@link VolumeError} `ERR_HOLDFAST_VOLUME_EXISTS` when it holds a volume or a file system and is not forced.
 * @throws {@link VolumeTooSmallError} `ERR_HOLDFAST_VOLUME_TOO_SMALL`.
 */
export async function makeVolume(url: string, options: MakeVolumeOptions = {}): Promise<SuperBlock> {
  const { sizeBytes, isForced = false, onProgress } = options;
  if (sizeBytes !== undefined) layoutFor(sizeBytes);
  const isNew = sizeBytes !== undefined && !(await exists(url));
  if (sizeBytes !== undefined && !url.startsWith("memory:")) {
    if (!isNew && !isForced) await refuseForeign(url);
    await createVolumeFile(pathOf(url), sizeBytes);
  }
  const device = await openBlockDevice(url, { isExclusive: true });
  try {
    if (!isNew && !isForced) await refuseForeign(url);
    return await formatVolume(
      device,
      {
        label: options.label ?? "",
        votes: options.votes ?? 1,
        ...(onProgress === undefined ? {} : { onProgress }),
      },
      nodeRandom,
    );
  } finally {
    await device.close();
  }
}

async function refuseForeign(url: string): Promise<void> {
  const device = await openBlockDevice(url, { isReadOnly: true });
  try {
    const found = await detectForeignSignature(device);
    if (found === undefined) return;
    throw new VolumeError(
      "ERR_HOLDFAST_VOLUME_EXISTS",
      `${url} holds a ${found.name} (at byte ${found.offsetBytes}): format something else, or use --force to destroy it`,
      url,
    );
  } finally {
    await device.close();
  }
}

async function exists(url: string): Promise<boolean> {
  if (url.startsWith("memory:")) return true;
  try {
    await stat(pathOf(url));
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

function pathOf(url: string): string {
  return url.startsWith("file:") ? url.slice(url.startsWith("file://") ? 7 : 5) : url;
}
