/*
 * What was sent and not yet acknowledged: frames kept as the bytes they are, in chunks, in order of seq.
 *
 * A frame is encoded once, into the chunk it is both sent from and sent again from; an acknowledgement drops whole
 * chunks. So resending costs nothing per frame until it happens. A request may stay unanswered long after its frame
 * was acknowledged, and a new server wants its body again: its chunk is then pinned, and if too many are, the bodies
 * still wanted move out of the oldest one. Which these are, its frames tell: a list of them would cost every request.
 */
import { invariant } from "@holdfast/environment";
import {
  BATCH_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameSpace,
  frameBytesAt,
  frameIdAt,
  frameSpace,
  writeBatchHeader,
  writeFrame,
} from "@holdfast/wire-format";
import { outOfRange } from "./errors.ts";

/** Where the body of an unanswered request is kept: in a chunk, or in bytes of its own. */
export interface KeptBody {
  chunk: Chunk | undefined;
  bodyOffset: number;
  bodyBytes: number;
  ownBody: Uint8Array | undefined;
}

/** A run of encoded frames. */
export interface Chunk {
  /** Not spread out here: code that meets one shape of frame spaces is compiled for that one. */
  readonly space: FrameSpace;
  /** Bytes filled. */
  end: number;
  /** Bytes given to the connection. */
  sent: number;
  /** Seq of the first frame that was not given to the connection. */
  unsentSeq: number;
  /** Seq of the first frame in it. */
  firstSeq: number;
  /** Seq of the last frame in it. */
  lastSeq: number;
  /** Bodies in it that are still wanted. */
  wantedCount: number;
}

/**
 * A chunk is also the greatest batch of small frames: a batch takes effect when all of it has come, so it is short
 * enough that the peer begins while the rest is under way, and long enough that its checksum costs a frame nothing.
 */
const CHUNK_BYTES_MAX = 16 * 1024;
const CHUNK_BYTES_MIN = 4 * 1024;
const PINNED_MAX = 32;
/** Empty chunks kept for a busy session: about what is under way in one turn of the event loop. */
const SPARE_MAX = 16;

/** The frames of one direction of a session. */
export class Outbox {
  readonly #chunks: Chunk[] = [];
  readonly #pinned: Set<Chunk> = new Set();
  readonly #spares: Chunk[] = [];
  readonly #keptOf: (id: number) => KeptBody | undefined;
  readonly #batchHeader: FrameSpace = frameSpace(new Uint8Array(BATCH_HEADER_BYTES));
  #sendingIndex = 0;
  #lastSeq = 0;
  #acknowledgedSeq = 0;
  #bytes = 0;
  #unsentBytes = 0;

  /** @param keptOf - Finds the unanswered request of an id. */
  constructor(keptOf: (id: number) => KeptBody | undefined) {
    this.#keptOf = keptOf;
  }

  /** Seq of the newest frame. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Greatest seq the peer has acknowledged. */
  get acknowledgedSeq(): number {
    return this.#acknowledgedSeq;
  }

  /** Bytes kept for resending, rounded up to chunks. */
  get keptBytes(): number {
    return this.#bytes;
  }

  /** True if there is something that {@link drain} would write. */
  get hasUnsent(): boolean {
    return this.#unsentBytes > 0;
  }

  /** Bytes of the frames that {@link drain} would write. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Adds a frame, whose seq is {@link lastSeq} + 1, and returns the chunk that it ends. */
  append(header: FrameHeader, body: Uint8Array): Chunk {
    const length = FRAME_HEADER_BYTES + body.length;
    let tail = this.#chunks[this.#chunks.length - 1];
    if (tail === undefined || tail.end + length > tail.space.bytes.length) {
      tail = this.#newChunk(length, tail);
      this.#chunks.push(tail);
    }
    const seq = this.#lastSeq + 1;
    if (tail.end === 0) {
      tail.firstSeq = seq;
      tail.unsentSeq = seq;
    }
    tail.end = writeFrame(tail.space, tail.end, header, body);
    tail.lastSeq = seq;
    this.#bytes += length;
    this.#unsentBytes += length;
    this.#lastSeq = seq;
    return tail;
  }

  /** Remembers that the body of the frame just appended to `chunk` may be wanted again. */
  keep(kept: KeptBody, chunk: Chunk, bodyBytes: number): void {
    kept.chunk = chunk;
    kept.bodyOffset = chunk.end - bodyBytes;
    kept.bodyBytes = bodyBytes;
    kept.ownBody = undefined;
    chunk.wantedCount += 1;
  }

  /** The body is not wanted again. */
  drop(kept: KeptBody): void {
    const { chunk } = kept;
    kept.ownBody = undefined;
    if (chunk === undefined) return;
    kept.chunk = undefined;
    chunk.wantedCount -= 1;
    if (chunk.wantedCount === 0 && this.#pinned.delete(chunk)) this.#recycle(chunk);
  }

  /** Moves the body into bytes of its own, so that it outlives its chunk. */
  detach(kept: KeptBody): void {
    const { chunk } = kept;
    if (chunk === undefined) return;
    const body = chunk.space.bytes.slice(kept.bodyOffset, kept.bodyOffset + kept.bodyBytes);
    this.drop(kept);
    kept.ownBody = body;
  }

  /**
   * The peer says that it has received everything up to `seq`.
   *
   * @throws SessionError `ERR_HOLDFAST_SESSION_SEQUENCE` when that is more than {@link lastSeq}.
   */
  acknowledge(seq: number): void {
    if (seq <= this.#acknowledgedSeq) return;
    if (seq > this.#lastSeq) throw outOfRange("acknowledged", seq, this.#lastSeq);
    this.#acknowledgedSeq = seq;
    let head = this.#chunks[0];
    while (head !== undefined && head.lastSeq <= seq && this.#chunks.length > 1) {
      this.#chunks.shift();
      this.#sendingIndex = Math.max(0, this.#sendingIndex - 1);
      this.#forget(head);
      this.#retire(head);
      head = this.#chunks[0];
    }
    if (head !== undefined && head.lastSeq <= seq && head.wantedCount === 0) {
      this.#forget(head);
      empty(head);
    }
  }

  /** A new connection: everything behind {@link acknowledgedSeq} must be sent again. */
  rewind(): void {
    this.#sendingIndex = 0;
    for (const chunk of this.#chunks) {
      chunk.sent = 0;
      chunk.unsentSeq = chunk.firstSeq;
    }
    this.#unsentBytes = this.#bytes;
    const head = this.#chunks[0];
    if (head === undefined) return;
    for (; head.sent < head.end && head.unsentSeq <= this.#acknowledgedSeq; head.unsentSeq += 1)
      head.sent += frameBytesAt(head.space, head.sent);
    this.#unsentBytes -= head.sent;
  }

  /** Gives what is unsent to `write`, whole batches at a time, until that returns false; they acknowledge `recvSeq`. */
  drain(recvSeq: number, write: (bytes: Uint8Array) => boolean): void {
    for (;;) {
      const chunk = this.#chunks[this.#sendingIndex];
      if (chunk === undefined) return;
      if (chunk.sent < chunk.end) {
        const bytes = this.#batch(chunk, recvSeq);
        write(this.#batchHeader.bytes);
        if (!write(bytes)) return;
      }
      if (this.#sendingIndex + 1 >= this.#chunks.length) return;
      this.#sendingIndex += 1;
    }
  }

  /** Forgets every frame and starts numbering at 1; bodies that are still wanted must have been detached. */
  clear(): void {
    invariant(
      this.#pinned.size === 0 && this.#chunks.every(({ wantedCount }) => wantedCount === 0),
      "no body is wanted from an outbox that is cleared",
    );
    this.#chunks.length = 0;
    this.#sendingIndex = 0;
    this.#lastSeq = 0;
    this.#acknowledgedSeq = 0;
    this.#bytes = 0;
    this.#unsentBytes = 0;
  }

  /** Gives back memory that only a busy session needs. */
  trim(): void {
    this.#spares.length = 0;
    const head = this.#chunks[0];
    if (head === undefined || this.#chunks.length > 1) return;
    if (head.lastSeq > this.#acknowledgedSeq || head.wantedCount > 0) return;
    // It may still be full: the answer that acknowledged it came before its request was answered by it.
    this.#forget(head);
    this.#chunks.length = 0;
    this.#sendingIndex = 0;
  }

  /** Writes the header of a batch of all that is unsent of a chunk, and returns its frames, which count as sent. */
  #batch(chunk: Chunk, recvSeq: number): Uint8Array {
    const { space, sent: start, end } = chunk;
    writeBatchHeader(this.#batchHeader, 0, { seq: chunk.unsentSeq, recvSeq }, { frames: space, start, end });
    chunk.sent = end;
    this.#unsentBytes -= end - start;
    chunk.unsentSeq = chunk.lastSeq + 1;
    return space.bytes.subarray(start, end);
  }

  /** A peer may acknowledge what it was not sent yet: that is not sent any more. */
  #forget({ sent, end }: Chunk): void {
    this.#bytes -= end;
    this.#unsentBytes -= end - sent;
  }

  #newChunk(length: number, tail: Chunk | undefined): Chunk {
    const spare = length <= CHUNK_BYTES_MAX ? this.#spares.pop() : undefined;
    if (spare !== undefined) return spare;
    const grown =
      tail === undefined ? CHUNK_BYTES_MIN : Math.min(2 * tail.space.bytes.length, CHUNK_BYTES_MAX);
    const space = frameSpace(new Uint8Array(Math.max(grown, length)));
    return { space, end: 0, sent: 0, unsentSeq: 0, firstSeq: 0, lastSeq: 0, wantedCount: 0 };
  }

  #retire(chunk: Chunk): void {
    if (chunk.wantedCount === 0) {
      this.#recycle(chunk);
      return;
    }
    this.#pinned.add(chunk);
    if (this.#pinned.size <= PINNED_MAX) return;
    const [oldest] = this.#pinned;
    if (oldest !== undefined) this.#detachAll(oldest);
  }

  /** Moves out every body that is still wanted; the last one lets go of the chunk, which is then emptied. */
  #detachAll(chunk: Chunk): void {
    for (let offset = 0; offset < chunk.end; offset += frameBytesAt(chunk.space, offset)) {
      const kept = this.#keptOf(frameIdAt(chunk.space, offset));
      if (kept?.chunk === chunk) this.detach(kept);
    }
    invariant(chunk.wantedCount === 0, "each body wanted from a chunk is that of an unanswered request");
  }

  /** Keeps chunks of the usual size for the next need, so that a steady flow allocates none. */
  #recycle(chunk: Chunk): void {
    empty(chunk);
    if (chunk.space.bytes.length === CHUNK_BYTES_MAX && this.#spares.length < SPARE_MAX)
      this.#spares.push(chunk);
  }
}

function empty(chunk: Chunk): void {
  chunk.end = 0;
  chunk.sent = 0;
}
