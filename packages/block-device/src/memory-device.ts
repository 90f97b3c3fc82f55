/*
 * Devices in this process's memory, shared by name: for tests, demonstrations and benchmarks of everything above.
 *
 * Requests complete in a later turn of the event loop, as on any other device: code that would starve the loop
 * here would starve it nowhere else, and must not be written against this device.
 */
import { openError, checkRequest } from "./device-request.ts";
import type { OpenedBlockDevice } from "./opened-block-device.ts";

/** Greatest memory device, 1 GiB. */
export const MEMORY_DEVICE_BYTES_MAX: number = 1024 ** 3;

const SECTOR_BYTES = 512;
const contents = new Map<string, Uint8Array>();
const SIZE = /^(\d{1,15})([KMG]?)$/;
const UNITS = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/**
 * Opens `memory:NAME?size=SIZE`. The first opening of a name makes it, all zeros, and needs a size; later ones get the
 * same bytes. They live until {@link removeMemoryDevice}.
 *
 * @param url - The size is in bytes, or with K, M, G in KiB, MiB, GiB; a multiple of 4096.
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` when the URL is malformed or another size was asked for first.
 */
export function openMemoryDevice(url: string): OpenedBlockDevice {
  const [name = "", query = ""] = url.slice("memory:".length).split("?", 2);
  const size = sizeIn(url, new URLSearchParams(query).get("size"));
  const bytes = contents.get(name) ?? makeContents(url, name, size);
  if (size !== undefined && size !== bytes.length)
    throw openError(url, `it has ${bytes.length} bytes, not ${size}`);
  return memoryDevice(url, bytes);
}

/** Forgets a memory device; handles that are open keep their bytes. False when there is none of that name. */
export function removeMemoryDevice(name: string): boolean {
  return contents.delete(name);
}

function makeContents(url: string, name: string, size: number | undefined): Uint8Array {
  if (size === undefined) throw openError(url, "its first opening needs ?size=");
  const bytes = new Uint8Array(size);
  contents.set(name, bytes);
  return bytes;
}

function sizeIn(url: string, text: string | null): number | undefined {
  if (text === null) return undefined;
  const match = SIZE.exec(text);
  // The expression admits no other unit.
  const size = match === null ? 0 : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  if (size === 0 || size % 4096 !== 0 || size > MEMORY_DEVICE_BYTES_MAX)
    throw openError(url, `its size must be a multiple of 4096 up to ${MEMORY_DEVICE_BYTES_MAX}`);
  return size;
}

function memoryDevice(url: string, bytes: Uint8Array): OpenedBlockDevice {
  const target = { url, sizeBytes: BigInt(bytes.length), sectorBytes: SECTOR_BYTES };
  let isClosed = false;
  return {
    ...target,
    isLocal: true,
    isDirect: true,
    isReadOnly: false,
    async read(offsetBytes, into) {
      checkRequest(target, isClosed, "read", offsetBytes, into.length);
      await nextTurn();
      const start = Number(offsetBytes);
      into.set(bytes.subarray(start, start + into.length));
    },
    async write(offsetBytes, data) {
      checkRequest(target, isClosed, "write", offsetBytes, data.length);
      await nextTurn();
      bytes.set(data, Number(offsetBytes));
    },
    async flush() {
      checkRequest(target, isClosed, "flush", 0n, 0);
      await nextTurn();
    },
    async close() {
      isClosed = true;
    },
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
