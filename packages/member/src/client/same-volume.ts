/*
 * Whether the device still holds the volume that this member has opened.
 *
 * A voter finds out in its elections. Whoever does not vote only finds no server any more, and would look for one for ever: its
 * volume's identity and key are those of a super block that was read when it was opened.
 */
import { type BlockDevice, DeviceError } from "@holdfast/environment";
import { CorruptionError } from "@holdfast/quorum";
import { VOLUME_FORMAT_HASH } from "../formats.ts";
import {
  readSuperToRenew,
  type SuperBlock,
  VolumeError,
  type VolumeErrorCode,
} from "../volume/super-block.ts";

/** A sound super block, and not ours: ours was of this build. */
const OF_ANOTHER_BUILD: ReadonlySet<VolumeErrorCode> = new Set([
  "ERR_HOLDFAST_FORMAT_HASH",
  "ERR_HOLDFAST_FORMAT_VERSION",
]);

/**
 * Why this member will never find a server here: a sound super block names another volume, another key, or another generation of
 * the terms. Undefined if it is the same volume, and also if that cannot be seen: damage is no word.
 */
export async function foreignVolume(
  device: BlockDevice,
  own: Pick<SuperBlock, "fsid" | "key" | "generation" | "termBase">,
): Promise<CorruptionError | undefined> {
  try {
    const { superBlock } = await readSuperToRenew(device, VOLUME_FORMAT_HASH);
    const { fsid, key, generation } = superBlock;
    const isSame = fsid === own.fsid && generation === own.generation && isEqual(key, own.key);
    if (isSame) return undefined;
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    if (!(error instanceof VolumeError)) throw error;
    if (!OF_ANOTHER_BUILD.has(error.code)) return undefined;
  }
  return new CorruptionError(
    "ERR_HOLDFAST_TERMS_FOREIGN",
    `${device.url} is not the volume any more that this process has opened: somebody ran mkfs or renew on it; end this process, and open it again if that was meant`,
    own.termBase,
  );
}

function isEqual(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}
