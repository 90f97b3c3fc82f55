/*
 * Opens a device by its URL and finds out what it can do.
 */
import { constants } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DeviceError } from "@holdfast/environment";
import { AlignedPool } from "./aligned-pool.ts";
import { openError, reasonOf, systemCode } from "./device-request.ts";
import { FileDevice } from "./file-device.ts";
import { closeDescriptor, openDescriptor, readWhole } from "./file-handle.ts";
import { openMemoryDevice } from "./memory-device.ts";
import { isNbdUrl } from "./nbd/nbd-url.ts";
import { openNbdDevice } from "./nbd/open-nbd-device.ts";
import type { OpenedBlockDevice, OpenOptions } from "./opened-block-device.ts";
import { diskFacts, isLocalFile } from "./system-facts.ts";

const SECTOR_BYTES_MIN = 512;
const SECTOR_BYTES_MAX = 4096;
/** Of the codes that say "not with O_DIRECT": EINVAL is Linux's; the other two are of FUSE and of old network file systems. */
const NO_DIRECT_CODES: ReadonlySet<string | undefined> = new Set(["EINVAL", "EOPNOTSUPP", "ENOTSUP"]);

/** What most often is wrong, and what to do. */
const REASONS: ReadonlyMap<string | undefined, string> = new Map([
  ["EBUSY", "it is mounted or in exclusive use"],
  ["ENOENT", "there is no such file: check the path, or make it first"],
  ["EACCES", "this process may not: check its rights, and those of the folders above (EACCES)"],
]);

let pool: AlignedPool | undefined;

/** One for the process, so that the number of open devices does not multiply its limit. */
function sharedPool(): AlignedPool {
  pool ??= new AlignedPool();
  return pool;
}

/**
 * Opens a device: `file:PATH`, `file:///PATH` or a plain path, of a file or a block device; `nbd://HOST:PORT/EXPORT` and
 * its kin, an export of an NBD server; or `memory:NAME?size=64M`.
 *
 * Nothing is created and nothing grows: a file comes from {@link createVolumeFile}. Whole sectors at its end count.
 *
 * @example const device = await openBlockDevice("/dev/vdb", { isExclusive: true });
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN`, with the system's error as its cause.
 */
export async function openBlockDevice(url: string, options: OpenOptions = {}): Promise<OpenedBlockDevice> {
  if (url.startsWith("memory:")) return openMemoryDevice(url);
  if (isNbdUrl(url)) return openNbdDevice(url, { ...options.nbd, ...options });
  const path = pathOf(url);
  try {
    return await openPath(url, path, options);
  } catch (cause) {
    if (cause instanceof DeviceError) throw cause;
    throw openError(url, REASONS.get(systemCode(cause)) ?? reasonOf(cause), cause);
  }
}

function pathOf(url: string): string {
  if (url.startsWith("file://")) return fileURLToPath(url);
  if (url.startsWith("file:")) return url.slice("file:".length);
  if (/^[a-z][a-z0-9+.-]+:/i.test(url)) throw openError(url, "there is no driver for this kind of URL");
  return url;
}

async function openPath(url: string, path: string, options: OpenOptions): Promise<FileDevice> {
  const facts = await stat(path, { bigint: true });
  if (!facts.isFile() && !facts.isBlockDevice())
    throw openError(url, "it is neither a file nor a block device");
  if (facts.isFile() && facts.size < SECTOR_BYTES_MAX) throw openError(url, "it has less than 4096 bytes");
  const descriptors = await openDescriptors(path, options, facts.isBlockDevice());
  try {
    const found = facts.isBlockDevice()
      ? await diskFacts(facts.rdev)
      : {
          sizeBytes: facts.size,
          sectorBytes: await sectorOfFile(descriptors),
          isLocal: await isLocalFile(path),
        };
    if (found.sectorBytes < SECTOR_BYTES_MIN || found.sectorBytes > SECTOR_BYTES_MAX)
      throw openError(url, `its sectors have ${found.sectorBytes} bytes`);
    const sizeBytes = found.sizeBytes - (found.sizeBytes % BigInt(found.sectorBytes));
    if (sizeBytes === 0n) throw openError(url, "it is empty");
    return new FileDevice({ url, ...found, ...descriptors, sizeBytes }, sharedPool());
  } catch (error) {
    await closeDescriptor(descriptors.descriptor);
    if (descriptors.durableDescriptor !== undefined) await closeDescriptor(descriptors.durableDescriptor);
    throw error;
  }
}

interface Descriptors {
  readonly descriptor: number;
  readonly durableDescriptor: number | undefined;
  readonly isDirect: boolean;
}

/** Opens both descriptors with O_DIRECT, or both without where that is impossible. */
async function openDescriptors(
  path: string,
  options: OpenOptions,
  isBlockDevice: boolean,
): Promise<Descriptors> {
  const { O_DIRECT, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR } = constants;
  const access = options.isReadOnly === true ? O_RDONLY : O_RDWR;
  // The claim of the first descriptor would refuse a second one; and O_EXCL means nothing for an existing file.
  const claim = options.isExclusive === true && isBlockDevice ? O_EXCL : 0;
  const first = await openDirect(path, access | claim, O_DIRECT);
  const { descriptor, isDirect } = first;
  if (access === O_RDONLY) return { descriptor, isDirect, durableDescriptor: undefined };
  try {
    const durableDescriptor = await openDescriptor(path, access | O_DSYNC | (isDirect ? O_DIRECT : 0));
    return { descriptor, isDirect, durableDescriptor };
  } catch (error) {
    await closeDescriptor(descriptor);
    throw error;
  }
}

async function openDirect(
  path: string,
  flags: number,
  direct: number,
): Promise<{ readonly descriptor: number; readonly isDirect: boolean }> {
  try {
    return { descriptor: await openDescriptor(path, flags | direct), isDirect: true };
  } catch (error) {
    if (!NO_DIRECT_CODES.has(systemCode(error))) throw error;
    return { descriptor: await openDescriptor(path, flags), isDirect: false };
  }
}

/** The smallest request that the file's file system takes: tried, because no system call that Node.js has tells it. */
async function sectorOfFile({ descriptor, isDirect }: Descriptors): Promise<number> {
  if (!isDirect) return SECTOR_BYTES_MIN;
  const { memory } = sharedPool();
  const slot = await sharedPool().take(SECTOR_BYTES_MIN);
  const place = { start: slot.start, lengthBytes: SECTOR_BYTES_MIN, position: SECTOR_BYTES_MIN };
  try {
    await readWhole({ descriptor, memory, ...place });
    return SECTOR_BYTES_MIN;
  } catch (error) {
    if (systemCode(error) === "EINVAL") return SECTOR_BYTES_MAX;
    throw error;
  } finally {
    sharedPool().give(slot);
  }
}
