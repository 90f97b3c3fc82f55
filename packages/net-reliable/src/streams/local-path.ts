/*
 * What a sender has under way within a host, so that the system's congestion control leaves it alone.
 *
 * BBR counts segments, the young connection may have ten, an older one 15 to 18, and a connection that ever wants more is
 * timed from then on, segment by segment, which costs more than the sending (decision 24). As long as the reader has
 * not read, a segment counts: so frames take whole segments of the window, and a new connection gets its window bit by bit.
 */
import { STRIPE_BYTES } from "@holdfast/wire-format";
import { STREAM_HEADER_BYTES } from "./stream-frames.ts";
import { warmFrameBytes } from "./warm-frames.ts";

/** What a segment holds at least where the loopback device takes 64 KiB: with the longest headers, those of IPv6. */
const SEGMENT_BYTES = 65_463;

/** A frame that leaves part of its last segment empty. */
interface LooseFrame {
  readonly endBytes: number;
  readonly emptyBytes: number;
}

/** The segments of one direction. */
export class LocalPath {
  readonly #looseFrames: LooseFrame[] = [];
  #emptyBytes = 0;

  /**
   * True if a frame of `bytes` may go to a reader with a window of `windowBytes` that has read `readBytes` at least, when
   * `sentBytes` went before. Always true when all is read, though the reader has not said so: it says so behind
   * an eighth of what it has read, and behind a fifth of its window.
   */
  takes(bytes: number, sentBytes: number, readBytes: number, windowBytes: number): boolean {
    this.#forget(readBytes);
    const underWayBytes = sentBytes + bytes - readBytes;
    if (underWayBytes > 3 * warmFrameBytes(sentBytes)) return false;
    return (
      underWayBytes <= windowBytes / 2 || underWayBytes + this.#emptyBytes + emptyBytes(bytes) <= windowBytes
    );
  }

  /** A frame of `bytes` goes, and with it the direction has `sentBytes`. */
  sent(bytes: number, sentBytes: number): void {
    const empty = emptyBytes(bytes);
    if (empty === 0) return;
    this.#looseFrames.push({ endBytes: sentBytes, emptyBytes: empty });
    this.#emptyBytes += empty;
  }

  #forget(readBytes: number): void {
    for (;;) {
      const first = this.#looseFrames[0];
      if (first === undefined || first.endBytes > readBytes) return;
      this.#looseFrames.shift();
      this.#emptyBytes -= first.emptyBytes;
    }
  }
}

/** The longest frame of at most `bytes` that fills whole segments; as long as it was if it is shorter than one. */
export function wholeSegments(bytes: number): number {
  if (bytes < SEGMENT_BYTES) return bytes;
  const payloadBytes = Math.floor(bytes / SEGMENT_BYTES) * SEGMENT_BYTES - STREAM_HEADER_BYTES;
  // The next one begins with a whole stripe, too.
  return payloadBytes - (payloadBytes % STRIPE_BYTES);
}

/** What a frame leaves empty of its last segment; 0 of small ones, which do not fill any. */
function emptyBytes(bytes: number): number {
  const frameBytes = bytes + STREAM_HEADER_BYTES;
  return frameBytes < SEGMENT_BYTES / 2 ? 0 : Math.ceil(frameBytes / SEGMENT_BYTES) * SEGMENT_BYTES - bytes;
}
