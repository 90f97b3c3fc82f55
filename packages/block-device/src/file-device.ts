/*
 * A block device over a file or a raw device.
 *
 * Two descriptors: one for plain requests, one that makes each write durable (O_DSYNC). Both bypass the page cache
 * (O_DIRECT) wherever the file system can, which is what makes several hosts see one content. Requests longer than
 * a slot of the pool go in pieces, all at once; the promise settles after the last of them, so that no memory is
 * touched afterwards.
 */
import type { WriteOptions } from "@holdfast/environment";
import { invariant } from "@holdfast/environment";
import type { AlignedPool } from "./aligned-pool.ts";
import { checkRequest, reasonOf, requestError } from "./device-request.ts";
import { closeDescriptor, readWhole, syncDescriptor, writeWhole } from "./file-handle.ts";
import type { OpenedBlockDevice } from "./opened-block-device.ts";

/** What was found out when the device was opened. */
export interface FileDeviceFacts {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  readonly isLocal: boolean;
  readonly isDirect: boolean;
  /** For reads, and writes that need not be durable. */
  readonly descriptor: number;
  /** For durable writes; undefined on a device that is open for reading only. */
  readonly durableDescriptor: number | undefined;
}

/** The port over open descriptors, which it owns. */
export class FileDevice implements OpenedBlockDevice {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  readonly isLocal: boolean;
  readonly isDirect: boolean;
  readonly isReadOnly: boolean;
  readonly #descriptor: number;
  readonly #durableDescriptor: number | undefined;
  readonly #pool: AlignedPool;
  readonly #inFlight = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(facts: FileDeviceFacts, pool: AlignedPool) {
    this.url = facts.url;
    this.sizeBytes = facts.sizeBytes;
    this.sectorBytes = facts.sectorBytes;
    this.isLocal = facts.isLocal;
    this.isDirect = facts.isDirect;
    this.isReadOnly = facts.durableDescriptor === undefined;
    this.#descriptor = facts.descriptor;
    this.#durableDescriptor = facts.durableDescriptor;
    this.#pool = pool;
  }

  async read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    checkRequest(this, this.#closing !== undefined, "read", offsetBytes, into.length);
    await this.#track(this.#inPieces(offsetBytes, into, "read", this.#descriptor));
  }

  async write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void> {
    checkRequest(this, this.#closing !== undefined, "write", offsetBytes, bytes.length);
    const descriptor = options.isDurable ? this.#durableDescriptor : this.#descriptor;
    if (this.isReadOnly || descriptor === undefined) {
      const request = { verb: "write", offsetBytes, lengthBytes: bytes.length };
      throw requestError("ERR_HOLDFAST_DEVICE_WRITE", this.url, request, "it was opened for reading only");
    }
    await this.#track(this.#inPieces(offsetBytes, bytes, "write", descriptor));
  }

  async flush(): Promise<void> {
    checkRequest(this, this.#closing !== undefined, "flush", 0n, 0);
    if (!this.isReadOnly) await this.#track(this.#sync());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #sync(): Promise<void> {
    try {
      await syncDescriptor(this.#descriptor);
    } catch (cause) {
      const request = { verb: "flush", offsetBytes: 0n, lengthBytes: 0 };
      throw requestError("ERR_HOLDFAST_DEVICE_FLUSH", this.url, request, reasonOf(cause), cause);
    }
  }

  /** A descriptor is closed only when nothing uses it: its number may be another file's the next moment. */
  async #close(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    await closeDescriptor(this.#descriptor);
    if (this.#durableDescriptor !== undefined) await closeDescriptor(this.#durableDescriptor);
  }

  async #track(request: Promise<void>): Promise<void> {
    this.#inFlight.add(request);
    try {
      await request;
    } finally {
      this.#inFlight.delete(request);
    }
  }

  async #inPieces(
    offsetBytes: bigint,
    bytes: Uint8Array,
    verb: "read" | "write",
    descriptor: number,
  ): Promise<void> {
    const position = Number(offsetBytes);
    invariant(Number.isSafeInteger(position), "a device has less than 2^53 bytes");
    const pieceBytes = this.#pool.slotBytesMax;
    if (bytes.length <= pieceBytes) return this.#piece(position, bytes, verb, descriptor);
    const pieces: Promise<void>[] = [];
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes);
      pieces.push(this.#piece(position + start, piece, verb, descriptor));
    }
    const failed = (await Promise.allSettled(pieces)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #piece(
    position: number,
    bytes: Uint8Array,
    verb: "read" | "write",
    descriptor: number,
  ): Promise<void> {
    if (bytes.length === 0) return;
    const { memory } = this.#pool;
    const taken = this.#pool.take(bytes.length);
    const slot = taken instanceof Promise ? await taken : taken;
    const transfer = { descriptor, memory, start: slot.start, lengthBytes: bytes.length, position };
    try {
      if (verb === "write") {
        memory.set(bytes, slot.start);
        await writeWhole(transfer);
      } else {
        await readWhole(transfer);
        bytes.set(memory.subarray(slot.start, slot.start + bytes.length));
      }
    } catch (cause) {
      const request = { verb, offsetBytes: BigInt(position), lengthBytes: bytes.length };
      const code = verb === "read" ? "ERR_HOLDFAST_DEVICE_READ" : "ERR_HOLDFAST_DEVICE_WRITE";
      throw requestError(code, this.url, request, reasonOf(cause), cause);
    } finally {
      this.#pool.give(slot);
    }
  }
}
