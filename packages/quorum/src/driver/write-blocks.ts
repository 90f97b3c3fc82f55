import { type BlockDevice, blockOffset } from "@holdfast/environment";
import type { FormattedBlock } from "../format.ts";

/** Writes under way at once: enough to keep a device busy. */
const WRITES_MAX = 32;

/**
 * Writes blocks, some at a time, and makes them durable. No write is under way when it settles.
 *
 * @throws DeviceError The first error; what was written before it may be durable or not.
 */
export async function writeBlocks(blocks: Iterable<FormattedBlock>, device: BlockDevice): Promise<void> {
  let batch: Promise<void>[] = [];
  for (const { address, block } of blocks) {
    batch.push(device.write(blockOffset(address), block, { isDurable: false }));
    if (batch.length < WRITES_MAX) continue;
    await settle(batch);
    batch = [];
  }
  await settle(batch);
  await device.flush();
}

async function settle(batch: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(batch)) if (result.status === "rejected") throw result.reason;
}
