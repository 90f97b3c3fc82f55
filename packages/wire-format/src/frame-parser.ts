/*
 * Cuts a stream of bytes into batches, and those into frames.
 *
 * Whole batches inside a chunk are parsed where they stand, without a copy. Only a batch that is split over chunks is
 * gathered, in memory that never exceeds the greatest batch: the verified header comes first, so nothing is allocated
 * on the word of a stranger beyond BATCH_FRAMES_BYTES_MAX. An idle parser holds no memory but that of a header.
 */
import { BATCH_HEADER_BYTES, batchLength, batchRecvSeq, batchSeq, verifyBatch } from "./batch.ts";
import { type Frame, type ReusedFrame, parseFrame, reusedFrame } from "./frame.ts";
import { type FrameSpace, frameSpace } from "./frame-space.ts";

const EMPTY = new Uint8Array(0);

/** Bytes of the memory in which batches of the usual size are gathered, and how much of it is kept for any parser. */
const GATHER_BYTES: number = 32 * 1024;
const FREE_GATHERS_MAX = 16;
const freeGathers: FrameSpace[] = [];

/** The memory that chunks came in last, one for all parsers: readers that use one memory again are spared a view for each read. */
let recentSpace: FrameSpace = frameSpace(EMPTY);

/** Incremental parser of one direction of one connection. */
export class FrameParser {
  readonly #frame: ReusedFrame = reusedFrame();
  readonly #head: FrameSpace = frameSpace(new Uint8Array(BATCH_HEADER_BYTES));
  /** Where the batch is that is split over chunks: in the place for a header, until that is complete. */
  #rest: FrameSpace = this.#head;
  #restLength = 0;
  /** Length of the batch in `#rest`, 0 while its header is incomplete. */
  #batchBytes = 0;
  #isStopped = false;

  /** Bytes held of a batch that is not complete yet. */
  get pendingBytes(): number {
    return this.#restLength;
  }

  /**
   * Takes the next bytes and calls `onFrame` for each frame of the batches they complete, in order; a frame, which is
   * one object filled anew, and its body are valid only during the call. Once `onFrame` has returned false, or the
   * format was broken, all further bytes are dropped.
   *
   * @throws {@link FrameError} at the first batch or frame that breaks the format; no frame of a damaged batch is passed on.
   */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => boolean): void {
    if (this.#isStopped) return;
    // An exception, of the format or of `onFrame`, leaves it stopped.
    this.#isStopped = true;
    const offset = this.#restLength === 0 ? 0 : this.#complete(chunk, onFrame);
    this.#isStopped = offset === undefined || !this.#parseWhole(chunk, offset, onFrame);
    // An idle connection keeps no chunk alive.
    this.#frame.body = EMPTY;
  }

  /** Feeds the pending batch; gives the offset behind it, or undefined when `onFrame` wants no more. */
  #complete(chunk: Uint8Array, onFrame: (frame: Frame) => boolean): number | undefined {
    let offset = 0;
    while (this.#restLength > 0 && offset < chunk.length) {
      const wanted = this.#batchBytes === 0 ? BATCH_HEADER_BYTES : this.#batchBytes;
      const taken = Math.min(wanted - this.#restLength, chunk.length - offset);
      this.#rest.bytes.set(chunk.subarray(offset, offset + taken), this.#restLength);
      this.#restLength += taken;
      offset += taken;
      if (this.#batchBytes === 0) this.#measure();
      if (this.#batchBytes === 0 || this.#restLength < this.#batchBytes) continue;
      const gathered = this.#rest;
      const length = this.#batchBytes;
      this.#rest = this.#head;
      this.#restLength = 0;
      this.#batchBytes = 0;
      const goesOn = this.#parseBatch(gathered, 0, length, onFrame);
      giveGather(gathered);
      if (!goesOn) return undefined;
    }
    return offset;
  }

  /** Parses the whole batches of a chunk and keeps the beginning of the next one. */
  #parseWhole(chunk: Uint8Array, start: number, onFrame: (frame: Frame) => boolean): boolean {
    if (start === chunk.length) return true;
    const space = spaceOf(chunk);
    let offset = start;
    while (offset < chunk.length) {
      const length = batchLength(space, offset, chunk.length);
      if (length === undefined || offset + length > chunk.length) {
        this.#batchBytes = length ?? 0;
        this.#rest = length === undefined ? this.#head : takeGather(length);
        this.#rest.bytes.set(chunk.subarray(offset), 0);
        this.#restLength = chunk.length - offset;
        return true;
      }
      if (!this.#parseBatch(space, offset, length, onFrame)) return false;
      offset += length;
    }
    return true;
  }

  #parseBatch(
    space: FrameSpace,
    offset: number,
    length: number,
    onFrame: (frame: Frame) => boolean,
  ): boolean {
    verifyBatch(space, offset, length);
    const frame = this.#frame;
    const end = offset + length;
    let seq = batchSeq(space, offset);
    const step = seq === 0 ? 0 : 1;
    frame.recvSeq = batchRecvSeq(space, offset);
    let at = offset + BATCH_HEADER_BYTES;
    do {
      at = parseFrame(space, at, end, frame);
      frame.seq = seq;
      seq += step;
      if (!onFrame(frame)) return false;
    } while (at < end);
    return true;
  }

  /** Learns the length of the pending batch as soon as its header is here. */
  #measure(): void {
    const length = batchLength(this.#rest, 0, this.#restLength);
    if (length === undefined) return;
    this.#batchBytes = length;
    this.#rest = takeGather(length);
    this.#rest.bytes.set(this.#head.bytes, 0);
  }
}

/** A space in which the chunk's bytes have the same offsets; more may follow them there. */
function spaceOf(chunk: Uint8Array): FrameSpace {
  const { buffer, byteOffset } = chunk;
  if (byteOffset !== 0) return frameSpace(chunk);
  if (recentSpace.buffer !== buffer) recentSpace = frameSpace(new Uint8Array(buffer));
  return recentSpace;
}

/** Memory for a batch of that many bytes. */
function takeGather(length: number): FrameSpace {
  if (length > GATHER_BYTES) return frameSpace(new Uint8Array(length));
  return freeGathers.pop() ?? frameSpace(new Uint8Array(GATHER_BYTES));
}

/** Gives memory back whose frames nobody reads any more. */
function giveGather(gathered: FrameSpace): void {
  if (gathered.bytes.length === GATHER_BYTES && freeGathers.length < FREE_GATHERS_MAX)
    freeGathers.push(gathered);
}
