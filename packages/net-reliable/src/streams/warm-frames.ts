/*
 * How a direction begins: with short frames, and credit for each.
 *
 * A new connection takes little at a time. Writes that find no room let the system's congestion control (BBR) conclude
 * within its first round trips that the connection is slow, and it goes on timing each segment, at half the speed.
 */

/** The first frames have so many bytes, the later ones at most an eighth of all that went before. */
const FIRST_FRAMES_BYTES: number = 16 * 1024;

/** Bytes that a frame may have at most when so many went before it; its reader gives as much credit at a time. */
export function warmFrameBytes(bytesBefore: number): number {
  return Math.max(FIRST_FRAMES_BYTES, Math.floor(bytesBefore / 8));
}
