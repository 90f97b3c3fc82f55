import { randomFillSync } from "node:crypto";
import type { Random } from "@holdfast/environment";

/** Random numbers drawn from the system at once: a draw costs microseconds whatever its length. */
const STOCK_BYTES = 4096;

const stock = Buffer.alloc(STOCK_BYTES);
let used = STOCK_BYTES;

/** The operating system's cryptographic random source. */
export const nodeRandom: Random = {
  u32: () => stock.readUInt32LE(draw(4)),
  u64: () => stock.readBigUInt64LE(draw(8)),
  bytes: (count) => randomFillSync(new Uint8Array(count)),
};

/** Where `count` bytes of the stock stand that nobody has had. */
function draw(count: number): number {
  if (used + count > STOCK_BYTES) {
    randomFillSync(stock);
    used = 0;
  }
  used += count;
  return used - count;
}
