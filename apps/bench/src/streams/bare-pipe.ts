/*
 * The floor that streams are held against: bytes through a socket, with as little around them as Node.js allows.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** Memory that each read goes into, as in the dialled streams of the transport. */
const READ_BYTES = 256 * 1024;

/** Bytes of an order: total and chunk length as 64-bit numbers. */
const ORDER_BYTES = 16;

const CHUNKS_OF_A_LENGTH = 4;

/** What is done with bytes on their way, the sum so far included. */
export type Pass = (bytes: Uint8Array, sum: number) => number;

/** Nothing. */
export const passBy: Pass = (_, sum) => sum;

/** Listens, and sends as many bytes as a connection's first 16 bytes order; resolves with the port. */
export async function serveBarePipe(pass: Pass): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", (order: Buffer) => {
      const [totalBytes, chunkBytes] = [order.readDoubleLE(0), order.readDoubleLE(8)];
      void sendAll(socket, { totalBytes, chunkBytes, pass });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return { server, port: address.port };
}

/** Orders bytes and resolves when all have come. */
export function receiveBarePipe(
  port: number,
  totalBytes: number,
  chunkBytes: number,
  pass: Pass,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let receivedBytes = 0;
    let sum = 0;
    const socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: new Uint8Array(READ_BYTES),
        callback: (length, buffer) => {
          receivedBytes += length;
          sum = pass(buffer.subarray(0, length), sum);
          if (receivedBytes === totalBytes) {
            socket.destroy();
            resolve();
          }
          return true;
        },
      },
    });
    socket.on("error", reject);
    const order = Buffer.alloc(ORDER_BYTES);
    order.writeDoubleLE(totalBytes, 0);
    order.writeDoubleLE(chunkBytes, 8);
    socket.write(order);
  });
}

interface Load {
  readonly totalBytes: number;
  readonly chunkBytes: number;
  readonly pass: Pass;
}

async function sendAll(socket: Socket, { totalBytes, chunkBytes, pass }: Load): Promise<void> {
  let sum = 0;
  for (const chunk of chunkStock.take(totalBytes, chunkBytes)) {
    sum = pass(chunk, sum);
    if (!socket.write(chunk)) await drained(socket);
    if (socket.destroyed) return;
  }
}

/** Makes memory of so many bytes. */
export type Allocate = (sizeBytes: number) => Uint8Array;

/** The same few chunks for all runs, or whoever sends would pay for collecting those of others. */
export class ChunkStock {
  readonly #allocate: Allocate;
  readonly #chunks: Map<number, readonly Uint8Array[]> = new Map();

  constructor(allocate: Allocate) {
    this.#allocate = allocate;
  }

  /** So many bytes in chunks of this length, a few in turn. */
  *take(totalBytes: number, chunkBytes: number): Generator<Uint8Array> {
    const chunks = this.#ofLength(chunkBytes);
    for (let sentBytes = 0; sentBytes < totalBytes;) {
      for (const chunk of chunks) {
        const left = totalBytes - sentBytes;
        if (left === 0) return;
        yield left < chunkBytes ? chunk.subarray(0, left) : chunk;
        sentBytes += Math.min(left, chunkBytes);
      }
    }
  }

  #ofLength(chunkBytes: number): readonly Uint8Array[] {
    const known = this.#chunks.get(chunkBytes);
    if (known !== undefined) return known;
    const chunks = Array.from({ length: CHUNKS_OF_A_LENGTH }, (_, index) =>
      this.#allocate(chunkBytes).fill(index + 1),
    );
    this.#chunks.set(chunkBytes, chunks);
    return chunks;
  }
}

/** Chunks of memory as everybody has it. */
export const chunkStock: ChunkStock = new ChunkStock((sizeBytes) => new Uint8Array(sizeBytes));

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off("drain", go);
      socket.off("close", go);
      resolve();
    };
    socket.on("drain", go);
    socket.on("close", go);
  });
}
