/*
 * Requests on their way out: gathered in a slab while the program runs, sent by one system call when it rests.
 *
 * Short payloads are copied behind their header, long ones go out from where they are, in the same call.
 */
import type { Duplex } from "node:stream";
import { REQUEST_BYTES, REQUEST_MAGIC } from "./protocol.ts";

/** Bytes of a slab. */
const SLAB_BYTES = 128 * 1024;
/** Slabs of one sender that are kept for later. */
const SPARE_SLABS_MAX = 2;
/** Longest payload that is copied: below it, copying costs less than one more piece of a system call. */
const COPIED_BYTES_MAX = 16 * 1024;

interface Slab {
  readonly bytes: Buffer;
  /** Parts of it that the socket still needs. */
  borrowedCount: number;
}

/** What the header of a request says. */
export interface RequestHeader {
  readonly flags: number;
  readonly command: number;
  readonly sequence: number;
  readonly slot: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Sends requests over one stream. */
export class RequestSender {
  readonly #stream: Duplex;
  readonly #sent: () => void;
  readonly #spare: Slab[] = [];
  #slab: Slab = newSlab();
  #start = 0;
  #end = 0;
  #queuedBytes = 0;
  #isGathering = false;

  /** @param sent - Called when a payload that was not copied is no longer needed. */
  constructor(stream: Duplex, sent: () => void) {
    this.#stream = stream;
    this.#sent = sent;
  }

  /** Bytes of all requests so far that the system has taken. */
  get sentBytes(): number {
    return this.#queuedBytes - (this.#end - this.#start) - this.#stream.writableLength;
  }

  /**
   * Sends a request, and its payload if it is a write.
   *
   * @returns how far {@link sentBytes} must come before `payload` is no longer needed; 0 when it is not needed any more.
   */
  send(header: RequestHeader, payload: Uint8Array | undefined): number {
    const copiedBytes = payload !== undefined && payload.length <= COPIED_BYTES_MAX ? payload.length : 0;
    if (!this.#isGathering) this.#startGathering();
    if (this.#end + REQUEST_BYTES + copiedBytes > SLAB_BYTES) this.#changeSlab();
    this.#writeHeader(header);
    if (payload === undefined) return 0;
    if (copiedBytes > 0) {
      this.#slab.bytes.set(payload, this.#end);
      this.#end += copiedBytes;
      this.#queuedBytes += copiedBytes;
      return 0;
    }
    this.#sendSlab();
    this.#stream.write(payload, this.#sent);
    this.#queuedBytes += payload.length;
    return this.#queuedBytes;
  }

  /** Ends the stream behind what was sent. */
  end(): void {
    this.#sendSlab();
    this.#stream.end();
  }

  #writeHeader({ flags, command, sequence, slot, offsetBytes, lengthBytes }: RequestHeader): void {
    const { bytes } = this.#slab;
    const at = this.#end;
    bytes.writeUInt32BE(REQUEST_MAGIC, at);
    bytes.writeUInt16BE(flags, at + 4);
    bytes.writeUInt16BE(command, at + 6);
    bytes.writeUInt32BE(sequence, at + 8);
    bytes.writeUInt32BE(slot, at + 12);
    bytes.writeUInt32BE(Math.floor(offsetBytes / 2 ** 32), at + 16);
    bytes.writeUInt32BE(offsetBytes % 2 ** 32, at + 20);
    bytes.writeUInt32BE(lengthBytes, at + 24);
    this.#end += REQUEST_BYTES;
    this.#queuedBytes += REQUEST_BYTES;
  }

  /** Everything that is asked before the event loop goes on leaves together. */
  #startGathering(): void {
    this.#isGathering = true;
    this.#stream.cork();
    process.nextTick(() => {
      this.#isGathering = false;
      this.#sendSlab();
      this.#stream.uncork();
    });
  }

  #sendSlab(): void {
    if (this.#start === this.#end) return;
    const slab = this.#slab;
    slab.borrowedCount += 1;
    this.#stream.write(slab.bytes.subarray(this.#start, this.#end), () => this.#giveBack(slab));
    this.#start = this.#end;
  }

  #giveBack(slab: Slab): void {
    slab.borrowedCount -= 1;
    if (slab.borrowedCount > 0) return;
    if (slab !== this.#slab) {
      if (this.#spare.length < SPARE_SLABS_MAX) this.#spare.push(slab);
    } else if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
  }

  #changeSlab(): void {
    this.#sendSlab();
    this.#slab = this.#spare.pop() ?? newSlab();
    this.#start = 0;
    this.#end = 0;
  }
}

function newSlab(): Slab {
  return { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), borrowedCount: 0 };
}
