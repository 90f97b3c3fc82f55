/*
 * A server that does what a test tells it: it shakes hands, then hands each request over.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { EXPORT_FLAG, OPTION, OPTION_REPLY } from "../../src/nbd/protocol.ts";

/** What an export of a scripted server says of itself. */
export interface ScriptedExport {
  readonly sizeBytes: bigint;
  readonly flags: number;
  readonly isStructured: boolean;
}

export const SCRIPTED_EXPORT: ScriptedExport = {
  sizeBytes: 1n << 20n,
  flags: EXPORT_FLAG.hasFlags | EXPORT_FLAG.flush | EXPORT_FLAG.fua | EXPORT_FLAG.multiConn,
  isStructured: false,
};

/** A request as it came. */
export interface ScriptedRequest {
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer;
  readonly peer: ScriptedPeer;
}

/** One connection of a client. */
export class ScriptedPeer {
  readonly socket: Socket;
  /** 0 for the first connection, 1 for the second. */
  readonly number: number;
  #held: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, number: number) {
    this.socket = socket;
    this.number = number;
    // A client may leave at any time.
    socket.on("error", () => {});
  }

  /** Answers with a simple reply. */
  answer(cookie: bigint, errno: number, data: Uint8Array = new Uint8Array(0)): void {
    this.socket.write(simpleReply(cookie, errno, data));
  }

  /** Reads exactly `count` bytes, or undefined at the end. */
  async take(count: number): Promise<Buffer | undefined> {
    while (this.#held.length < count) {
      const more = await this.#more();
      if (more === undefined) return undefined;
      this.#held = Buffer.concat([this.#held, more]);
    }
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  async #more(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk: unknown = this.socket.read();
      if (Buffer.isBuffer(chunk)) return chunk;
      if (this.socket.readableEnded || this.socket.destroyed) return undefined;
      const ending = new AbortController();
      const options = { signal: ending.signal };
      await Promise.race(["readable", "end", "close"].map((name) => once(this.socket, name, options)));
      ending.abort();
    }
  }
}

/** Starts one on a Unix socket; the export may change from connection to connection. */
export async function startScriptedServer(
  path: string,
  exportOf: (connection: number) => ScriptedExport,
  handle: (request: ScriptedRequest) => void,
): Promise<{
  readonly server: Server;
  readonly peers: readonly ScriptedPeer[];
  readonly close: () => Promise<void>;
}> {
  const peers: ScriptedPeer[] = [];
  const server = createServer((socket) => {
    const peer = new ScriptedPeer(socket, peers.length);
    peers.push(peer);
    void serve(peer, exportOf(peer.number), handle);
  });
  server.listen(path);
  await once(server, "listening");
  const close = async (): Promise<void> => {
    for (const { socket } of peers) socket.destroy();
    server.close();
    await once(server, "close");
  };
  return { server, peers, close };
}

/** A simple reply. */
export function simpleReply(cookie: bigint, errno: number, data: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(errno, 4);
  head.writeBigUInt64BE(cookie, 8);
  return Buffer.concat([head, data]);
}

/** A chunk of a structured reply. */
export function chunk(cookie: bigint, type: number, payload: Uint8Array, isLast = false): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(0x668e33ef, 0);
  head.writeUInt16BE(isLast ? 1 : 0, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeUInt32BE(payload.length, 16);
  return Buffer.concat([head, payload]);
}

/** The first bytes of a server. */
export function greeting(flags = 3, second = 0x49484156454f5054n): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(0x4e42444d41474943n, 0);
  bytes.writeBigUInt64BE(second, 8);
  bytes.writeUInt16BE(flags, 16);
  return bytes;
}

/** A reply to an option. */
export function optionReply(option: number, type: number, data: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x0003e889045565a9n, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

/** Information on an export. */
export function exportInfo(sizeBytes: bigint, flags: number): Buffer {
  const data = Buffer.alloc(12);
  data.writeBigUInt64BE(sizeBytes, 2);
  data.writeUInt16BE(flags, 10);
  return data;
}

async function serve(
  peer: ScriptedPeer,
  { sizeBytes, flags, isStructured }: ScriptedExport,
  handle: (request: ScriptedRequest) => void,
): Promise<void> {
  peer.socket.write(greeting());
  await peer.take(4);
  for (;;) {
    const head = await peer.take(16);
    if (head === undefined) return;
    const option = head.readUInt32BE(8);
    await peer.take(head.readUInt32BE(12));
    if (option === OPTION.structuredReply)
      peer.socket.write(optionReply(option, isStructured ? OPTION_REPLY.ack : 0x80000001));
    if (option !== OPTION.go) continue;
    peer.socket.write(optionReply(option, OPTION_REPLY.info, exportInfo(sizeBytes, flags)));
    peer.socket.write(optionReply(option, OPTION_REPLY.ack));
    break;
  }
  for (let head = await peer.take(28); head !== undefined; head = await peer.take(28)) {
    const [command, length] = [head.readUInt16BE(6), head.readUInt32BE(24)];
    const payload = command === 1 ? await peer.take(length) : Buffer.alloc(0);
    if (payload === undefined) return;
    const offset = Number(head.readBigUInt64BE(16));
    if (command === 2) peer.socket.end();
    else handle({ command, cookie: head.readBigUInt64BE(8), offset, length, payload, peer });
  }
}
