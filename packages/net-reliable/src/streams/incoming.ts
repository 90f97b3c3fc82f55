/*
 * The receiving side of one direction: what has come and was not read, in slots of memory.
 *
 * A slot is filled to its end, read, and given back: no allocation per frame, no concatenation. Bytes that were read from
 * the network into the place that was offered for them stay there; others are copied. A sender that keeps to its
 * credit never finds more than a window; what was read gives credit again, a fifth of a window at a time.
 *
 * The network may still write into a slot that was offered to it, whatever has become of the stream. Such a slot is given
 * back only when another place has been offered, or the connection is gone.
 */
import { invariant } from "@holdfast/environment";
import { type StreamError, broken, failed } from "./stream-errors.ts";
import { STREAM_HEADER_BYTES, type StreamHeader, type StreamTrailer, codeText } from "./stream-frames.ts";
import { SLOT_BYTES, SLOT_MARGIN_BYTES, type StreamMemory } from "./stream-memory.ts";
import { StreamSum } from "./stream-sum.ts";
import { warmFrameBytes } from "./warm-frames.ts";

/** Reason in the trailer of a stream that its reader did not want to the end. */
export const STOPPED = "ERR_HOLDFAST_STREAM_STOPPED";

/** A slot whose free end is shorter is left as it is: reads into less would be too many. */
const OFFERED_BYTES_MIN: number = 64 * 1024;

/** What the network should bring next. */
export interface Due {
  /** Bytes of a frame's header; 0 in the middle of a frame. */
  readonly headerBytes: number;
  /** Bytes of the stream behind that, probably; 0 for few, or none. */
  readonly dataBytes: number;
}

/** A slot in use. */
interface Piece {
  readonly slot: Uint8Array;
  /** Bytes that it holds. */
  length: number;
  /** True if nothing more is put into it. */
  isFull: boolean;
}

/** Bytes on their way to a reader. */
export class IncomingStream {
  readonly #windowBytes: number;
  readonly #memory: StreamMemory;
  /** In the order of the stream; the last is being filled. Their number is bounded by the credit. */
  readonly #pieces: Piece[] = [];
  readonly #sum: StreamSum;
  #announcedBytes = 0;
  #receivedBytes = 0;
  #readBytes = 0;
  /** Bytes of the first piece that were read. */
  #readOfFirst = 0;
  /** Length of the view that the reader has. */
  #lentBytes = 0;
  #grantedBytes: number;
  /** The slot of the view that the reader has of a stream that was stopped. */
  #keptForReader: Uint8Array | undefined;
  /** The slot that the network may write into. */
  #offered: Uint8Array | undefined;
  /** True if the stream itself needs {@link #offered} no more. */
  #isOfferedFree = false;
  #end: "none" | "whole" | StreamError = "none";
  #isStopped = false;
  #isSummed = true;

  constructor(windowBytes: number, memory: StreamMemory) {
    this.#windowBytes = windowBytes;
    this.#memory = memory;
    this.#sum = new StreamSum(memory);
    this.#grantedBytes = windowBytes;
  }

  /** Bytes that the sender may have sent in all. */
  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** True once the trailer has come. */
  get isOver(): boolean {
    return this.#end !== "none";
  }

  /** True if nobody reads any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Why the stream is not whole, once all that came was read and the trailer says so. */
  get error(): StreamError | undefined {
    return this.#end === "none" || this.#end === "whole" ? undefined : this.#end;
  }

  /** True if there is something to {@link read}, or nothing will ever be. */
  get isReadable(): boolean {
    return this.#receivedBytes > this.#readBytes + this.#lentBytes || this.isOver;
  }

  /** Its heading has come: true if its trailer will have a checksum. */
  announce(isSummed: boolean): void {
    this.#isSummed = isSummed;
  }

  /** A data frame begins. @throws StreamError when it does not follow the one before, or there is no credit for it. */
  begin({ position, payloadBytes }: StreamHeader): void {
    if (this.isOver) throw broken("data comes after the trailer");
    if (position !== this.#announcedBytes)
      throw broken(`data for position ${position} came at ${this.#announcedBytes}`);
    this.#announcedBytes += payloadBytes;
    if (this.#announcedBytes > this.#grantedBytes)
      throw broken(`${this.#announcedBytes} bytes were sent, ${this.#grantedBytes} were allowed`);
  }

  /**
   * Where the network may put the next bytes: what is `due`, and the header behind it. Valid until it is asked for again;
   * undefined when they should not come here.
   */
  offer({ headerBytes, dataBytes }: Due): Uint8Array | undefined {
    const last = this.#pieces[this.#pieces.length - 1];
    // A header can stand before a slot's first byte, and nowhere else; the slot before it must have been worth its memory.
    const isMisplaced = headerBytes > 0 && isHalfEmpty(last);
    if (this.#isStopped || dataBytes === 0 || isMisplaced) {
      this.#withdraw();
      return undefined;
    }
    const leastBytes = headerBytes > 0 ? SLOT_BYTES : Math.min(dataBytes, OFFERED_BYTES_MIN);
    const { slot, length } = this.#lastPiece(leastBytes);
    if (this.#offered !== slot) this.#withdraw();
    this.#offered = slot;
    const start = SLOT_MARGIN_BYTES + length;
    const freeBytes = SLOT_BYTES - length;
    const roomBytes = dataBytes <= freeBytes ? dataBytes + STREAM_HEADER_BYTES : freeBytes;
    return slot.subarray(start - headerBytes, start + roomBytes);
  }

  /** The network writes nowhere any more: what was offered to it is free. */
  #withdraw(): void {
    const offered = this.#offered;
    this.#offered = undefined;
    if (offered !== undefined && this.#isOfferedFree) this.#memory.giveSlot(offered);
    this.#isOfferedFree = false;
  }

  /** The connection is gone, and nothing is written where {@link offer} said. */
  disconnected(): void {
    this.#withdraw();
  }

  /** Takes bytes that were announced; they are copied, unless they are where {@link offer} said. */
  take(bytes: Uint8Array): void {
    this.#receivedBytes += bytes.length;
    if (this.#isStopped) return;
    const last = this.#pieces[this.#pieces.length - 1];
    if (last !== undefined && isNext(bytes, last)) {
      this.#extend(last, bytes);
      return;
    }
    for (let offset = 0; offset < bytes.length;) {
      const piece = this.#lastPiece(1);
      const end = Math.min(bytes.length, offset + SLOT_BYTES - piece.length);
      const start = SLOT_MARGIN_BYTES + piece.length;
      piece.slot.set(bytes.subarray(offset, end), start);
      this.#extend(piece, piece.slot.subarray(start, start + end - offset));
      offset = end;
    }
  }

  /** The trailer. @throws StreamError when it contradicts what has come. */
  finish({ position }: StreamHeader, { streamChecksum, code }: StreamTrailer): void {
    if (this.isOver) throw broken("a second trailer came");
    if (position !== this.#receivedBytes)
      throw broken(`the stream has ${position} bytes, ${this.#receivedBytes} came`);
    if (!this.#isStopped && streamChecksum !== (this.#isSummed ? this.#sum.digest() : 0))
      throw broken("the stream does not match its checksum");
    const text = codeText(code);
    this.#end = text === "" ? "whole" : failed(text);
  }

  /** The next bytes in one piece, valid until {@link release}; undefined when there are none now. */
  read(): Uint8Array | undefined {
    invariant(this.#lentBytes === 0, "a view is released before the next is read");
    const [first] = this.#pieces;
    if (first === undefined || first.length === this.#readOfFirst) return undefined;
    this.#lentBytes = first.length - this.#readOfFirst;
    return first.slot.subarray(SLOT_MARGIN_BYTES + this.#readOfFirst, SLOT_MARGIN_BYTES + first.length);
  }

  /** The view that was read is not used any more. True if credit should be sent. */
  release(): boolean {
    if (this.#keptForReader !== undefined) this.#give(this.#keptForReader);
    this.#keptForReader = undefined;
    this.#readBytes += this.#lentBytes;
    this.#readOfFirst += this.#lentBytes;
    this.#lentBytes = 0;
    const [first] = this.#pieces;
    if (first?.isFull === true && first.length === this.#readOfFirst) {
      this.#pieces.shift();
      this.#readOfFirst = 0;
      this.#give(first.slot);
    }
    if (this.#isStopped || this.isOver) return false;
    const grantedBytes = this.#readBytes + this.#windowBytes;
    // Less than a frame, a quarter of a window, so that each frame that was read makes room for another.
    const leastBytes = Math.min(this.#windowBytes / 5, warmFrameBytes(this.#readBytes));
    if (grantedBytes - this.#grantedBytes < leastBytes) return false;
    this.#grantedBytes = grantedBytes;
    return true;
  }

  /** Nothing more is read: what comes is dropped, and the memory is free but for the view that the reader has. */
  stop(): void {
    this.#isStopped = true;
    this.#readBytes = this.#receivedBytes;
    const [lent] = this.#lentBytes > 0 ? this.#pieces.splice(0, 1) : [];
    this.#lentBytes = 0;
    this.#keptForReader ??= lent?.slot;
    for (const { slot } of this.#pieces) this.#give(slot);
    this.#pieces.length = 0;
    this.#readOfFirst = 0;
  }

  #give(slot: Uint8Array): void {
    if (slot === this.#offered) this.#isOfferedFree = true;
    else this.#memory.giveSlot(slot);
  }

  /** The piece that the next bytes go to, which has at least so much room. */
  #lastPiece(roomBytes: number): Piece {
    const last = this.#pieces[this.#pieces.length - 1];
    if (last !== undefined && !last.isFull && SLOT_BYTES - last.length >= roomBytes) return last;
    if (last !== undefined) this.#close(last);
    const piece = { slot: this.#memory.takeSlot(), length: 0, isFull: false };
    this.#pieces.push(piece);
    return piece;
  }

  /** Nothing more is put into a piece; if all of it was read, nobody will come to release it. */
  #close(piece: Piece): void {
    piece.isFull = true;
    if (this.#pieces[0] !== piece || this.#lentBytes > 0 || piece.length > this.#readOfFirst) return;
    this.#pieces.shift();
    this.#readOfFirst = 0;
    this.#give(piece.slot);
  }

  /** A piece has become longer by bytes that stand in it: there they are summed up fastest. */
  #extend(piece: Piece, bytes: Uint8Array): void {
    if (this.#isSummed) this.#sum.update(bytes);
    piece.length += bytes.length;
    // A frame may be longer than the one before it: then it has come up to the end of the margin.
    if (piece.length >= SLOT_BYTES) piece.isFull = true;
  }
}

/** True if bytes stand where the piece goes on. */
function isNext(bytes: Uint8Array, { slot, length, isFull }: Piece): boolean {
  const next = slot.byteOffset + SLOT_MARGIN_BYTES + length;
  return !isFull && bytes.buffer === slot.buffer && bytes.byteOffset === next;
}

/** True of a slot that holds something, but too little to begin another. */
function isHalfEmpty(piece: Piece | undefined): boolean {
  return piece !== undefined && piece.length > 0 && piece.length < SLOT_BYTES / 2;
}
