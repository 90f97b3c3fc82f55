/*
 * What nbdkit's filters cannot do: a flush that fails once. Stands between a client and an NBD server on a Unix socket, passes
 * everything on, and answers a flush itself when it was told to.
 *
 * Only requests are looked at (fixed newstyle NBD, transmission phase): each begins with a magic number of its own, so what comes
 * before the first of them is the handshake.
 */
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

const REQUEST_MAGIC = 0x2560_9513;
const SIMPLE_REPLY_MAGIC = 0x6744_6698;
const REQUEST_BYTES = 28;
const COMMAND_WRITE = 1;
const COMMAND_FLUSH = 3;
const EIO = 5;

/** An NBD server as seen through a path on which flushes fail when told to. */
export class FlushFault {
  /** Where clients find it. */
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  #failuresDue = 0;
  #failedCount = 0;

  private constructor(path: string, target: string) {
    this.url = `nbd+unix:///?socket=${path}`;
    this.#server = createServer((client) => this.#join(client, createConnection(target)));
    this.#server.listen(path);
  }

  /** Listens at `path`, on behalf of the server at `target`. */
  static async start(path: string, target: string): Promise<FlushFault> {
    const fault = new FlushFault(path, target);
    await once(fault.#server, "listening");
    return fault;
  }

  /** Flushes that failed so far. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** The next flush fails with EIO, and does not happen. */
  failNextFlush(): void {
    this.#failuresDue += 1;
  }

  /** Ends it, and all connections through it. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket, server: Socket): void {
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      // The other side sees it as its own end.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    server.pipe(client);
    const requests = new RequestStream({
      pass: (bytes) => server.write(bytes),
      request: (head) => {
        if (head.readUInt16BE(6) === COMMAND_FLUSH && this.#isDue()) client.write(refusalOf(head));
        else server.write(head);
      },
    });
    client.on("data", (chunk) => requests.take(chunk));
  }

  #isDue(): boolean {
    if (this.#failuresDue === 0) return false;
    this.#failuresDue -= 1;
    this.#failedCount += 1;
    return true;
  }
}

/** A simple reply, which a server may send whatever was negotiated, to all but reads. */
function refusalOf(head: Buffer): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  reply.writeUInt32BE(EIO, 4);
  head.copy(reply, 8, 8, 16);
  return reply;
}

/** Tells the heads of requests from what else a client sends. */
class RequestStream {
  readonly #to: { pass(bytes: Buffer): void; request(head: Buffer): void };
  #isHandshake = true;
  #pending: Buffer = Buffer.alloc(0);
  /** Bytes of a write's data that are still to come. */
  #dataBytes = 0;

  constructor(to: { pass(bytes: Buffer): void; request(head: Buffer): void }) {
    this.#to = to;
  }

  take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    if (this.#isHandshake) this.#takeHandshake();
    while (!this.#isHandshake && this.#pending.length > 0) {
      if (this.#dataBytes > 0) this.#takeData();
      else if (!this.#takeHead()) return;
    }
  }

  /** The client awaits an answer before its first request: so that begins a chunk. */
  #takeHandshake(): void {
    if (this.#pending.length < 4) return;
    this.#isHandshake = this.#pending.readUInt32BE(0) !== REQUEST_MAGIC;
    if (!this.#isHandshake) return;
    this.#to.pass(this.#pending);
    this.#pending = Buffer.alloc(0);
  }

  #takeData(): void {
    const part = this.#pending.subarray(0, this.#dataBytes);
    this.#dataBytes -= part.length;
    this.#pending = this.#pending.subarray(part.length);
    this.#to.pass(part);
  }

  /** False if the head is not whole yet. */
  #takeHead(): boolean {
    if (this.#pending.length < REQUEST_BYTES) return false;
    const head = this.#pending.subarray(0, REQUEST_BYTES);
    this.#pending = this.#pending.subarray(REQUEST_BYTES);
    this.#dataBytes = head.readUInt16BE(6) === COMMAND_WRITE ? head.readUInt32BE(24) : 0;
    this.#to.request(head);
    return true;
  }
}
