import { FrameError } from "./errors.ts";

/** Bytes that hold frames, with the view that reads and writes them; made once for many frames. */
export interface FrameSpace {
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
  /** What the bytes are part of, and where they start in it: asking them for it costs as much as a frame's header. */
  readonly buffer: ArrayBufferLike;
  readonly bufferOffset: number;
}

/** Makes bytes ready for frames. */
export function frameSpace(bytes: Uint8Array): FrameSpace {
  const { buffer, byteOffset: bufferOffset, byteLength } = bytes;
  return { bytes, view: new DataView(buffer, bufferOffset, byteLength), buffer, bufferOffset };
}

/** Writes a counter of eight bytes. @throws RangeError when it is no whole number from 0 to 2^53−1. */
export function putCounter(view: DataView, offset: number, counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0) throw new RangeError(`u53 cannot hold ${counter}`);
  // The lower word is taken modulo 2^32 by the view itself.
  view.setUint32(offset, counter, true);
  view.setInt32(offset + 4, counter <= 0xffff_ffff ? 0 : Math.floor(counter / 2 ** 32), true);
}

/** Reads a counter of eight bytes. @throws {@link FrameError} `ERR_HOLDFAST_FRAME_HEADER` when it exceeds 2^53−1. */
export function counterAt(view: DataView, offset: number): number {
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  if (high === 0) return low;
  if (high > 0x1f_ffff)
    throw new FrameError("ERR_HOLDFAST_FRAME_HEADER", "a frame's counter exceeds 2^53-1", offset);
  return high * 2 ** 32 + low;
}
