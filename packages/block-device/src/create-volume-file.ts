/*
 * Makes the file that holds a volume.
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { openError, reasonOf } from "./device-request.ts";

/** How to make a file. */
export interface CreateOptions {
  /**
   * True: the file is only given its length, at once; it may then run out of space later, and each first durable write
   * of a block is slow, since the file system has to record it. Default false: zeros are written all over.
   */
  readonly isSparse?: boolean;
}

const PIECE_BYTES = 1024 * 1024;
const SIZE_GRANULE_BYTES = 4096n;

/**
 * Makes a file of `sizeBytes` zero bytes, or grows one that is shorter: what it holds stays. Durable when it resolves.
 *
 * @param sizeBytes - A multiple of 4096, at least 4096. A file that is longer is left as it is.
 * @throws RangeError when the size is impossible.
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` when the file cannot be made or there is no space for it.
 */
export async function createVolumeFile(
  path: string,
  sizeBytes: bigint,
  options: CreateOptions = {},
): Promise<void> {
  if (sizeBytes < SIZE_GRANULE_BYTES || sizeBytes % SIZE_GRANULE_BYTES !== 0n)
    throw new RangeError(`a volume's size is a multiple of ${SIZE_GRANULE_BYTES} bytes, not ${sizeBytes}`);
  if (sizeBytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new RangeError(`a file cannot have ${sizeBytes} bytes`);
  try {
    await growFile(path, Number(sizeBytes), options.isSparse === true);
    await syncDirectory(dirname(path));
  } catch (cause) {
    throw openError(path, reasonOf(cause), cause);
  }
}

async function growFile(path: string, sizeBytes: number, isSparse: boolean): Promise<void> {
  // "a" creates without truncating, but appends; "r+" truncates nothing and creates nothing. Hence both.
  const made = await open(path, "a");
  await made.close();
  const file = await open(path, "r+");
  try {
    const { size } = await file.stat();
    if (size >= sizeBytes) return;
    if (isSparse) await file.truncate(sizeBytes);
    else await writeZeros(file, size, sizeBytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeZeros(file: FileHandle, start: number, end: number): Promise<void> {
  const zeros = new Uint8Array(PIECE_BYTES);
  let position = start;
  while (position < end) {
    const wanted = Math.min(PIECE_BYTES, end - position);
    const { bytesWritten } = await file.write(zeros, 0, wanted, position);
    position += bytesWritten;
  }
}

/** The name of a new file is durable only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
