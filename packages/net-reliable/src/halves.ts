/*
 * How two sides of a busy session work at the same time.
 *
 * With some dozens of requests under way, all of them would travel together: one side works while the other one waits
 * for all of its answers. So what a read of that length brings about leaves in two parts. The peer works on the first
 * while we work on the second, each part is soon a read of its own, too short to be parted again, and neither side waits.
 */

/** A shorter read is not parted: another system call at either side would cost more than the work it overlaps. */
const PARTED_BYTES_MIN = 5 * 1024;

/** Whoever sends more at once has enough to do meanwhile. */
const PARTED_BYTES_MAX = 16 * 1024;

/** What is never reached. */
const NEVER_BYTES = 2 ** 30 - 1;

/** As soon as so many bytes wait to be sent, they leave, although a read of `readBytes` bytes has more to bring. */
export function firstPartBytes(readBytes: number): number {
  return readBytes < PARTED_BYTES_MIN || readBytes > PARTED_BYTES_MAX ? NEVER_BYTES : readBytes >>> 1;
}
