/*
 * Streams over TCP and Unix sockets.
 */
import { lstat, unlink } from "node:fs/promises";
import { connect, createServer, type OnReadOpts, type Server, type Socket } from "node:net";
import {
  type ByteStream,
  CancelledError,
  type Listener,
  type Transport,
  TransportError,
  type TransportErrorCode,
} from "@holdfast/environment";
import { formatTcpAddress, parseAddress, type StreamAddress } from "./address.ts";
import { type ReadTarget, SocketStream } from "./socket-stream.ts";

/** A dial that nobody answers, not even to refuse it, is given up after this; the system would try for minutes. */
const DIAL_TIMEOUT_MS = 5000;

/** Bytes that a dialled stream reads at most at once; what a stream never reads so much of, it never occupies. */
const READ_BYTES = 256 * 1024;

/** TCP (`tcp://HOST:PORT`, without Nagle's delay) and Unix sockets (`unix:/PATH`) of this process. */
export const nodeTransport: Transport = { dial, listen };

async function dial(address: string, signal?: AbortSignal): Promise<ByteStream> {
  const target = parseAddress(address);
  if (target === undefined || (target.type === "tcp" && target.port === 0))
    throw transportError("ERR_HOLDFAST_DIAL", address, malformed(address));
  if (signal?.aborted === true) throw cancelled(address, signal);
  const readTarget: ReadTarget = { take: () => {} };
  const socket = connect({ ...socketOptions(target), onread: readInto(readTarget) });
  return connected({ socket, readTarget, address }, signal);
}

/** Each read goes into the same memory, instead of into new. */
function readInto(target: ReadTarget): OnReadOpts {
  return {
    buffer: new Uint8Array(READ_BYTES),
    callback: (length, bytes) => {
      target.take(bytes.subarray(0, length));
      return true;
    },
  };
}

interface Dialling {
  readonly socket: Socket;
  readonly readTarget: ReadTarget;
  readonly address: string;
}

function connected(
  { socket, readTarget, address }: Dialling,
  signal: AbortSignal | undefined,
): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      fail(transportError("ERR_HOLDFAST_DIAL", address, `no answer within ${DIAL_TIMEOUT_MS} ms`));
    }, DIAL_TIMEOUT_MS);
    socket.on("connect", onConnect);
    socket.on("error", onError);
    signal?.addEventListener("abort", onAbort, { once: true });

    function onConnect(): void {
      settle();
      socket.pause();
      resolve(new SocketStream(socket, address, readTarget));
    }

    function onError(cause: Error): void {
      fail(transportError("ERR_HOLDFAST_DIAL", address, cause.message, cause));
    }

    function onAbort(): void {
      fail(cancelled(address, signal));
    }

    function fail(error: Error): void {
      settle();
      // It may still fail for a reason of its own, which then interests nobody.
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    }

    function settle(): void {
      clearTimeout(timer);
      socket.off("connect", onConnect);
      socket.off("error", onError);
      signal?.removeEventListener("abort", onAbort);
    }
  });
}

async function listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener> {
  const place = parseAddress(address);
  if (place === undefined) throw transportError("ERR_HOLDFAST_ADDRESS_INVALID", address, malformed(address));
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    accept(new SocketStream(socket, peerOf(socket, address)));
  });
  await listening(server, place, address);
  return { address: boundAddress(server, place, address), close: () => stop(server) };
}

async function listening(server: Server, place: StreamAddress, address: string): Promise<void> {
  try {
    await tryListening(server, place);
  } catch (cause) {
    if (systemCode(cause) !== "EADDRINUSE")
      throw transportError("ERR_HOLDFAST_LISTEN", address, reasonOf(cause), cause);
    if (place.type === "tcp" || !(await removeDeadSocket(place.path))) {
      const reason = "somebody listens there already";
      throw transportError("ERR_HOLDFAST_ADDRESS_IN_USE", address, reason, cause);
    }
    await listening(server, place, address);
  }
}

function tryListening(server: Server, place: StreamAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketOptions(place), () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A process that is killed leaves the file of its Unix socket behind. True if that was so and the file is gone. */
async function removeDeadSocket(path: string): Promise<boolean> {
  const file = await lstat(path);
  if (!file.isSocket() || (await isAnswered(path))) return false;
  await unlink(path);
  return true;
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refusal says that nobody is there; a full queue, for one, says the contrary.
    probe.on("error", (error) => resolve(systemCode(error) !== "ECONNREFUSED"));
  });
}

/** Resolves when the address is free. The server itself ends with its last stream, which is not waited for. */
function stop(server: Server): Promise<void> {
  server.close();
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function socketOptions(
  address: StreamAddress,
): { readonly path: string } | { readonly host: string; readonly port: number; readonly noDelay: boolean } {
  return address.type === "unix"
    ? { path: address.path }
    : { host: address.host, port: address.port, noDelay: true };
}

function boundAddress(server: Server, place: StreamAddress, address: string): string {
  const bound = server.address();
  if (place.type === "unix" || bound === null || typeof bound === "string") return address;
  return formatTcpAddress(place.host, bound.port);
}

function peerOf(socket: Socket, listenAddress: string): string {
  const { remoteAddress, remotePort } = socket;
  // A Unix socket's dialler has no address; a TCP one that is gone already has none any more.
  if (remoteAddress === undefined || remotePort === undefined) return `a dialler of ${listenAddress}`;
  return formatTcpAddress(remoteAddress, remotePort);
}

function malformed(address: string): string {
  return `"${address}" is neither tcp://HOST:PORT nor unix:/PATH`;
}

function cancelled(address: string, signal: AbortSignal | undefined): CancelledError {
  return new CancelledError(`dialling ${address}`, { cause: signal?.reason });
}

function transportError(
  code: TransportErrorCode,
  address: string,
  reason: string,
  cause?: unknown,
): TransportError {
  const verb = code === "ERR_HOLDFAST_DIAL" ? "dial" : "listen at";
  const options = cause === undefined ? undefined : { cause };
  return new TransportError(code, `cannot ${verb} ${address}: ${reason}`, address, options);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
