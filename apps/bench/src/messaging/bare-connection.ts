/*
 * The yardstick: length-prefixed frames over a bare `node:net` socket, and nothing else. No numbers, no
 * acknowledgements, no ids, nothing survives a broken connection.
 *
 * Frames gather in a slab and leave in one write per turn of the event loop, as ours do: a yardstick that wrote each
 * frame alone would be six times slower and flatter us.
 */
import type { Socket } from "node:net";

/** Bytes of the length before a body, u32 little-endian. */
const LENGTH_BYTES = 4;

const SLAB_BYTES = 64 * 1024;

/** Frames over one socket. */
export class BareConnection {
  readonly #socket: Socket;
  readonly #received: (body: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #end = 0;
  #isFlushPlanned = false;

  /** @param received - Takes each body; it is valid only during the call. */
  constructor(socket: Socket, received: (body: Buffer) => void) {
    this.#socket = socket;
    this.#received = received;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  /** Sends one body, at most 60 KiB; it is copied. */
  send(body: Uint8Array): void {
    const sizeBytes = LENGTH_BYTES + body.length;
    if (this.#end + sizeBytes > SLAB_BYTES) this.#turn();
    this.#slab.writeUInt32LE(body.length, this.#end);
    this.#slab.set(body, this.#end + LENGTH_BYTES);
    this.#end += sizeBytes;
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    process.nextTick(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  /** Cuts the connection. */
  close(): void {
    this.#socket.destroy();
  }

  #turn(): void {
    this.#flush();
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#start = 0;
    this.#end = 0;
  }

  #flush(): void {
    if (this.#start === this.#end) return;
    this.#socket.write(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #take(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + all.readUInt32LE(at);
      if (end > all.length) break;
      this.#received(all.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    this.#rest = all.subarray(at);
  }
}
