/*
 * What Linux tells about a file or a block device: its size, its sector, and whether a network stands in between.
 */
import { readFile, readdir, realpath, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCode } from "./device-request.ts";

/** Size and sector of a block device. */
export interface DiskFacts {
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  readonly isLocal: boolean;
}

/** Block devices stacked deeper than this are not looked through; they count as remote. */
const STACK_DEPTH_MAX = 8;

/** Magic numbers, by statfs(2), of file systems that only this host writes: ext, XFS, Btrfs, F2FS, ZFS, tmpfs, overlay. */
const LOCAL_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
]);

/** True if the file system that holds `path` is one of this host alone; an unknown one counts as remote. */
export async function isLocalFile(path: string): Promise<boolean> {
  const { type } = await statfs(path);
  return LOCAL_FILE_SYSTEMS.has(type >>> 0);
}

/**
 * Asks /sys for a block device.
 *
 * @param deviceNumber - `rdev` of stat(2).
 * @throws whatever reading /sys throws; a `RangeError` when what it says makes no sense.
 */
export async function diskFacts(deviceNumber: bigint): Promise<DiskFacts> {
  const directory = `/sys/dev/block/${majorMinor(deviceNumber)}`;
  const sectors = await readNumber(`${directory}/size`);
  const sectorBytes = await firstNumber([
    `${directory}/queue/logical_block_size`,
    // A partition has its queue at the disk. Not normalized: `..` must follow the symbolic link.
    `${directory}/../queue/logical_block_size`,
  ]);
  // /sys counts in 512 bytes, whatever the sector is.
  return { sizeBytes: BigInt(sectors) * 512n, sectorBytes, isLocal: await isLocalDisk(directory, 0) };
}

/** `MAJOR:MINOR` of a device number, as the C library splits it. */
export function majorMinor(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

async function isLocalDisk(directory: string, depth: number): Promise<boolean> {
  if (depth > STACK_DEPTH_MAX) return false;
  const path = await realpath(directory);
  const name = path.slice(path.lastIndexOf("/") + 1);
  // Network block device, RADOS, DRBD; `session` is in the path of every iSCSI disk.
  if (/^(nbd|rbd|drbd)\d/.test(name) || path.includes("/session")) return false;
  if (name.startsWith("nvme")) return isLocalNvme(path);
  const backing = await readText(`${path}/loop/backing_file`);
  if (backing !== undefined) return isLocalFile(dirname(backing));
  const parts = await list(`${path}/slaves`);
  for (const part of parts) if (!(await isLocalDisk(`${path}/slaves/${part}`, depth + 1))) return false;
  return true;
}

/** NVMe over PCI is here, over anything else it is elsewhere. With native multipath the controllers stand in links. */
async function isLocalNvme(path: string): Promise<boolean> {
  const transport =
    (await readText(`${path}/device/transport`)) ?? (await readText(`${path}/../device/transport`));
  if (transport !== undefined) return transport === "pcie";
  return !path.includes("nvme-fabrics");
}

async function firstNumber(paths: readonly string[]): Promise<number> {
  for (const path of paths) {
    const text = await readText(path);
    if (text !== undefined) return toNumber(path, text);
  }
  throw new RangeError(`none of ${paths.join(", ")} exists`);
}

async function readNumber(path: string): Promise<number> {
  return toNumber(path, await readFile(path, "utf8"));
}

function toNumber(path: string, text: string): number {
  const value = Number(text.trim());
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${path} says ${text.trim()}`);
  return value;
}

/** Content of a file of /sys, trimmed, or undefined when there is no such file: not every device has each. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function list(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** ENXIO: a loop device's backing file, once it has none; ENOTDIR and EINVAL: an attribute this kind of disk lacks. */
function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EINVAL", "ENXIO"].includes(systemCode(error) ?? "");
}
