/*
 * The receiving side of one direction: a window that the sender may fill, read from its other end.
 *
 * The window is a ring as large as all that may be under way: no allocation per frame, no concatenation, and a sender
 * that keeps to its credit never finds it full. What was read gives credit again, half a window at a time. A ring that is
 * empty begins again at its first byte: while the reader keeps up, the same few pages are used, which stay in the cache.
 */
import { invariant } from "@holdfast/environment";
import type { Crc32 } from "./crc32.ts";
import { type StreamError, broken, failed } from "./stream-errors.ts";
import type { StreamHeader, StreamTrailer } from "./stream-frames.ts";
import { codeText } from "./stream-frames.ts";
import type { Windows } from "./windows.ts";

/** Reason in the trailer of a stream that its reader did not want to the end. */
export const STOPPED = "ERR_HOLDFAST_STREAM_STOPPED";

/** Bytes on their way to a reader. */
export class IncomingStream {
  readonly #windows: Windows;
  readonly #crc32: Crc32;
  #window: Uint8Array | undefined;
  #announcedBytes = 0;
  #receivedBytes = 0;
  #checksum = 0;
  #readBytes = 0;
  /** Position in the stream of the ring's first byte, or a multiple of its length behind. */
  #origin = 0;
  /** Length of the view that the reader has. */
  #lentBytes = 0;
  #grantedBytes: number;
  #end: "none" | "whole" | StreamError = "none";
  #isStopped = false;
  #isSummed = true;

  constructor(windows: Windows, crc32: Crc32) {
    this.#windows = windows;
    this.#crc32 = crc32;
    this.#grantedBytes = windows.windowBytes;
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

  /** Takes bytes that were announced; they are copied. */
  take(bytes: Uint8Array): void {
    const at = this.#receivedBytes;
    this.#receivedBytes += bytes.length;
    if (this.#isStopped) return;
    if (this.#isSummed) this.#checksum = this.#crc32(bytes, this.#checksum);
    const window = (this.#window ??= this.#windows.take());
    const start = (at - this.#origin) % window.length;
    const first = Math.min(bytes.length, window.length - start);
    if (first === bytes.length) window.set(bytes, start);
    else {
      window.set(bytes.subarray(0, first), start);
      window.set(bytes.subarray(first), 0);
    }
  }

  /** The trailer. @throws StreamError when it contradicts what has come. */
  finish({ position }: StreamHeader, { streamChecksum, code }: StreamTrailer): void {
    if (this.isOver) throw broken("a second trailer came");
    if (position !== this.#receivedBytes)
      throw broken(`the stream has ${position} bytes, ${this.#receivedBytes} came`);
    if (!this.#isStopped && streamChecksum !== this.#checksum)
      throw broken("the stream does not match its checksum");
    const text = codeText(code);
    this.#end = text === "" ? "whole" : failed(text);
  }

  /** The next bytes in one piece, valid until {@link release}; undefined when there are none now. */
  read(): Uint8Array | undefined {
    invariant(this.#lentBytes === 0, "a view is released before the next is read");
    const available = this.#receivedBytes - this.#readBytes;
    const window = this.#window;
    if (available === 0 || window === undefined) return undefined;
    const start = (this.#readBytes - this.#origin) % window.length;
    this.#lentBytes = Math.min(available, window.length - start);
    return window.subarray(start, start + this.#lentBytes);
  }

  /** The view that was read is not used any more. True if credit should be sent. */
  release(): boolean {
    this.#readBytes += this.#lentBytes;
    this.#lentBytes = 0;
    if (this.#readBytes === this.#receivedBytes) this.#origin = this.#readBytes;
    const { windowBytes } = this.#windows;
    if (this.#isStopped || this.isOver) return false;
    if (this.#readBytes + windowBytes - this.#grantedBytes < windowBytes / 2) return false;
    this.#grantedBytes = this.#readBytes + windowBytes;
    return true;
  }

  /** Nobody reads any more: what comes is dropped and the memory is free. */
  stop(): void {
    this.#isStopped = true;
    this.#readBytes = this.#receivedBytes;
    this.#lentBytes = 0;
    if (this.#window !== undefined) this.#windows.give(this.#window);
    this.#window = undefined;
  }
}
