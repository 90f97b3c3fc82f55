/*
 * Limits of every kind of stream.
 */

/** More than this queued: `write` says stop. */
export const QUEUE_HIGH_BYTES: number = 1024 * 1024;

/** No more than this queued: `drained` says go on. */
export const QUEUE_LOW_BYTES: number = 256 * 1024;

/** How long a closed stream waits for the other side to close too, so that what was sent is not cut off by a reset. */
export const LINGER_MS = 1000;
