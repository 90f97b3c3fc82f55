/*
 * Memory in which small writes gather, shared by all streams of the process.
 *
 * A stream has a slab only while it has something to send: a thousand idle streams have none. A few free slabs are
 * kept, so that busy streams allocate none either.
 */

/** Bytes of a slab. */
export const SLAB_BYTES: number = 64 * 1024;

/** Free slabs that are kept, 1 MiB. */
const FREE_SLABS_MAX = 16;

const free: Buffer[] = [];

/** A slab, which holds anything. */
export function takeSlab(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
}

/** Gives a slab back that nobody reads or writes any more. */
export function giveSlab(slab: Buffer): void {
  if (free.length < FREE_SLABS_MAX) free.push(slab);
}
