import { type BlockDevice, HoldfastError } from "@holdfast/environment";

/** How often a read is made before its failure is believed. */
export const READ_ATTEMPTS = 3;

/**
 * Reads and verifies, and reads again when the verification fails: a read that races a write may see a part of
 * each (measured even for 4 KiB on buffered network exports), and the next one sees the whole.
 *
 * @param offsetBytes - Where on the device, a multiple of its sector.
 * @param lengthBytes - How much, a multiple of its sector.
 * @param verify - Gives the value of the bytes, or throws an error of category "corruption" if they are damaged. The
 *   bytes are new memory, its own to keep.
 * @throws {@link DeviceError} when the device cannot be read; this is not tried again here.
 * @throws what `verify` threw at the last attempt, or at once when that is of another category.
 */
export async function readVerified<T>(
  device: BlockDevice,
  offsetBytes: bigint,
  lengthBytes: number,
  verify: (bytes: Uint8Array) => T,
  attempts: number = READ_ATTEMPTS,
): Promise<T> {
  const bytes = new Uint8Array(lengthBytes);
  for (let attempt = 1; ; attempt += 1) {
    await device.read(offsetBytes, bytes);
    try {
      return verify(bytes);
    } catch (error) {
      if (attempt >= attempts || !isDamage(error)) throw error;
    }
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof HoldfastError && error.category === "corruption";
}
