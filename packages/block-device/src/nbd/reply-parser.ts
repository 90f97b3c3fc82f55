/*
 * What an NBD server sends after the handshake, parsed as it comes: simple replies, and chunks of structured ones.
 *
 * Nothing is gathered but headers: what a read returns is copied to where it belongs at once. No length that a server
 * says is believed before it was held against the request, so the memory used does not depend on it, and no byte goes
 * outside the memory of the request that is answered. The first violation ends the connection: after it, nothing
 * tells where the next reply starts.
 */
import { invariant } from "@holdfast/environment";
import type { InFlight, PartialReply, ReplyTarget } from "./in-flight.ts";
import { NbdProtocolError, readableText } from "./nbd-error.ts";
import {
  CHUNK,
  CHUNK_BYTES,
  CHUNK_DONE,
  CHUNK_ERROR_BIT,
  CHUNK_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRING_BYTES_MAX,
} from "./protocol.ts";

/** Told once per request: the slot it is in, and 0 or the server's error with its words. */
export type Answered = (slot: number, errno: number, said: string) => void;

/** Longest chunk that is no data: an error with its text and offset. */
const ERROR_BYTES_MAX = 6 + STRING_BYTES_MAX + 8;

/** Most pieces of one answer that do not follow each other; servers send none. */
const RUNS_MAX = 1024;

/** The parser of one connection. */
export class ReplyParser<Target extends ReplyTarget> {
  readonly #inFlight: InFlight<Target>;
  readonly #isStructured: boolean;
  readonly #answered: Answered;
  /** A header, or the head of a chunk, that is being gathered. */
  readonly #head: Uint8Array = new Uint8Array(ERROR_BYTES_MAX);
  readonly #view: DataView = new DataView(this.#head.buffer);
  #headBytes = 0;
  #headWanted = SIMPLE_REPLY_BYTES;
  #stage: "header" | "payload" | "data" = "header";
  #slot = 0;
  #chunkType = 0;
  #chunkFlags = 0;
  #payloadBytes = 0;
  /** Where in the request's memory the next byte of data goes, and how many are to come. */
  #position = 0;
  #dataBytes = 0;

  constructor(inFlight: InFlight<Target>, isStructured: boolean, answered: Answered) {
    this.#inFlight = inFlight;
    this.#isStructured = isStructured;
    this.#answered = answered;
  }

  /** True between two replies. */
  get isAtRest(): boolean {
    return this.#stage === "header" && this.#headBytes === 0;
  }

  /**
   * Takes the next bytes, which may be overwritten afterwards.
   *
   * @throws {@link NbdProtocolError} `ERR_HOLDFAST_NBD_PROTOCOL`: the connection must be closed.
   */
  feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#stage === "data") {
        at += this.#takeData(bytes, at);
        continue;
      }
      const end = Math.min(bytes.length, at + this.#headWanted - this.#headBytes);
      while (at < end) this.#head[this.#headBytes++] = bytes[at++] ?? 0;
      if (this.#headBytes < this.#headWanted) return;
      if (this.#stage === "header") this.#takeHeader();
      else this.#takePayload();
    }
  }

  #takeHeader(): void {
    const magic = this.#view.getUint32(0);
    if (magic === SIMPLE_REPLY_MAGIC) return this.#takeSimple();
    if (magic !== CHUNK_MAGIC || !this.#isStructured)
      throw new NbdProtocolError(`its reply has the wrong magic number ${magic.toString(16)}`);
    if (this.#headBytes < CHUNK_BYTES) this.#headWanted = CHUNK_BYTES;
    else this.#takeChunk();
  }

  #takeSimple(): void {
    const target = this.#find();
    const errno = this.#view.getUint32(4);
    if (!target.isRead || errno !== 0) return this.#finish(errno, "");
    if (this.#isStructured)
      throw new NbdProtocolError("it answers a read without chunks, though it agreed to send them");
    this.#chunkFlags = CHUNK_DONE;
    this.#startData(target, 0, target.lengthBytes);
  }

  #takeChunk(): void {
    const target = this.#find();
    this.#chunkFlags = this.#view.getUint16(4);
    this.#chunkType = this.#view.getUint16(6);
    this.#payloadBytes = this.#view.getUint32(16);
    const isError = (this.#chunkType & CHUNK_ERROR_BIT) !== 0;
    if (this.#chunkType === CHUNK.none) {
      if (this.#payloadBytes !== 0 || (this.#chunkFlags & CHUNK_DONE) === 0)
        throw new NbdProtocolError("its empty chunk is not empty, or not the last");
      return this.#endChunk();
    }
    if (!isError && this.#chunkType !== CHUNK.data && this.#chunkType !== CHUNK.hole)
      throw new NbdProtocolError(`it sends a chunk of type ${this.#chunkType}, which was not agreed on`);
    if (!isError && !target.isRead)
      throw new NbdProtocolError("it sends data in answer to something else than a read");
    const least = isError ? 6 : this.#chunkType === CHUNK.data ? 9 : 12;
    const most = isError ? ERROR_BYTES_MAX : this.#chunkType === CHUNK.data ? 8 + target.lengthBytes : 12;
    if (this.#payloadBytes < least || this.#payloadBytes > most)
      throw new NbdProtocolError(
        `it sends a chunk of type ${this.#chunkType} with ${this.#payloadBytes} bytes`,
      );
    this.#stage = "payload";
    this.#headBytes = 0;
    this.#headWanted = isError ? this.#payloadBytes : least === 9 ? 8 : 12;
  }

  /** The head of a chunk's payload is here: the whole of it, or a data chunk's offset. */
  #takePayload(): void {
    if ((this.#chunkType & CHUNK_ERROR_BIT) !== 0) return this.#takeError();
    const target = this.#inFlight.at(this.#slot);
    invariant(target !== undefined, "a request stays in flight until its last chunk");
    const offset = this.#relativeOffset(target);
    if (this.#chunkType === CHUNK.data) return this.#startData(target, offset, this.#payloadBytes - 8);
    const length = this.#view.getUint32(8);
    this.#checkRange(target, offset, length);
    target.memory?.fill(0, offset, offset + length);
    this.#endChunk();
  }

  #takeError(): void {
    const errno = this.#view.getUint32(0);
    if (errno === 0) throw new NbdProtocolError("it reports an error without a number");
    const textBytes = this.#view.getUint16(4);
    if (6 + textBytes > this.#payloadBytes)
      throw new NbdProtocolError("its error's text is longer than the chunk");
    const partial = this.#inFlight.partial(this.#slot);
    if (partial.errno === 0) {
      partial.errno = errno;
      partial.said = readableText(this.#head.subarray(6, 6 + textBytes));
    }
    this.#endChunk();
  }

  #find(): Target {
    const [sequence, slot] = [this.#view.getUint32(8), this.#view.getUint32(12)];
    const target = this.#inFlight.find(sequence, slot);
    if (target === undefined) throw new NbdProtocolError("it answers a request that is not in flight");
    this.#slot = slot;
    return target;
  }

  /** Where in the request's memory a chunk belongs; chunks carry offsets on the device. */
  #relativeOffset(target: Target): number {
    return Number(this.#view.getBigUint64(0)) - target.offsetBytes;
  }

  #checkRange(target: Target, offset: number, length: number): void {
    if (offset < 0 || length === 0 || offset + length > target.lengthBytes)
      throw new NbdProtocolError("it sends data from outside of what was asked for");
    const partial = this.#inFlight.partial(this.#slot);
    partial.receivedBytes += length;
    if (partial.receivedBytes > target.lengthBytes)
      throw new NbdProtocolError("it sends more data than was asked for");
    if (offset !== partial.runEnd) {
      if (partial.runs.length >= RUNS_MAX)
        throw new NbdProtocolError("it answers a read in too many pieces out of order");
      partial.runs.push({ start: partial.runStart, end: partial.runEnd });
      partial.runStart = offset;
    }
    partial.runEnd = offset + length;
  }

  #startData(target: Target, offset: number, length: number): void {
    this.#checkRange(target, offset, length);
    this.#stage = "data";
    this.#position = offset;
    this.#dataBytes = length;
  }

  #takeData(bytes: Uint8Array, at: number): number {
    const count = Math.min(this.#dataBytes, bytes.length - at);
    // Looked up each time: whoever asked may have gone meanwhile.
    this.#inFlight.at(this.#slot)?.memory?.set(bytes.subarray(at, at + count), this.#position);
    this.#position += count;
    this.#dataBytes -= count;
    if (this.#dataBytes === 0) this.#endChunk();
    return count;
  }

  #endChunk(): void {
    if ((this.#chunkFlags & CHUNK_DONE) === 0) return this.#nextHeader();
    const target = this.#inFlight.at(this.#slot);
    const partial: PartialReply = this.#inFlight.partial(this.#slot);
    const isShort = target?.isRead === true && partial.receivedBytes !== target.lengthBytes;
    if (partial.errno === 0 && (isShort || hasGap(partial)))
      throw new NbdProtocolError("it answers a read with less data than was asked for");
    this.#finish(partial.errno, partial.said);
  }

  #finish(errno: number, said: string): void {
    this.#nextHeader();
    this.#answered(this.#slot, errno, said);
  }

  #nextHeader(): void {
    this.#stage = "header";
    this.#headBytes = 0;
    this.#headWanted = SIMPLE_REPLY_BYTES;
  }
}

/** True if some of the memory was filled twice, and so some of it never, for all in all it was enough. */
function hasGap({ runs, runStart, runEnd }: PartialReply): boolean {
  if (runs.length === 0) return false;
  let end = 0;
  const sorted = [...runs, { start: runStart, end: runEnd }].sort((one, other) => one.start - other.start);
  for (const run of sorted) {
    if (run.start !== end) return true;
    end = run.end;
  }
  return false;
}
