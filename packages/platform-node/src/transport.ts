/*
 * Streams over TCP, TLS and Unix sockets.
 *
 * Bytes in the clear never leave the host: a TCP address must be a loopback one, at dialling and at listening, and a
 * name that turns out to mean another host is hung up before a byte is sent.
 */
import { availableParallelism } from "node:os";
import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import {
  type ByteStream,
  type Listener,
  type Logger,
  SILENT_LOGGER,
  type Transport,
} from "@holdfast/environment";
import {
  type HostAddress,
  type StreamAddress,
  formatHostAddress,
  isLoopback,
  parseAddress,
} from "./address.ts";
import { dialled } from "./dialling.ts";
import { cancelledDial, insecure, keyless, malformed, transportError } from "./failures.ts";
import { HANDSHAKE_TIMEOUT_MS, Handshakes } from "./handshakes.ts";
import { listening, stopListening } from "./listening.ts";
import { Polling } from "./polling.ts";
import { derivePsk, dialWithPsk, listenWithPsk } from "./psk.ts";
import { readDialled, readTarget, takeOver } from "./reading.ts";
import { SocketStream } from "./socket-stream.ts";

/** {@link NodeTransportOptions.pollMaxUs} by default, as Linux's halt polling has it (`halt_poll_ns`). */
const POLL_MAX_US = 200;

/** What a transport needs to speak TLS, and how it waits. */
export interface NodeTransportOptions {
  /** A secret that both sides know, any length; the TLS key is derived from it. Without one there is no TLS. */
  readonly key?: Uint8Array;
  /** Told about strangers who do not know the key, at most one line in 10 s; silent by default. */
  readonly log?: Logger;
  /**
   * Longest wait for bytes, in microseconds, that is watched with a busy processor, where waits of that length were common
   * lately; 200 by default, or 0, never, where there is one processor only.
   */
  readonly pollMaxUs?: number;
}

/** Counters of a transport since it was made. */
export interface NodeTransportStats {
  /** Handshakes at our listeners that failed: wrong key, unknown identity, no TLS, too slow or too many. */
  readonly refusedHandshakesCount: number;
}

/** The transport of this process. */
export interface NodeTransport extends Transport {
  /** Counters for tests and metrics. */
  stats(): NodeTransportStats;
}

/**
 * Makes a transport: TCP within this host (`tcp://HOST:PORT`, without Nagle's delay), Unix sockets (`unix:/PATH`) and,
 * given a key, TLS 1.3 with that key (`tls://HOST:PORT`).
 *
 * Dialling and listening throw {@link TransportError} `ERR_HOLDFAST_ADDRESS_INSECURE` when bytes would leave this host
 * in the clear, or for TLS without a key.
 */
export function createNodeTransport(options: NodeTransportOptions = {}): NodeTransport {
  return new SocketTransport(options);
}

class SocketTransport implements NodeTransport {
  readonly #psk: Buffer | undefined;
  readonly #log: Logger;
  readonly #polling: Polling;
  #refusedHandshakesCount = 0;

  constructor({ key, log = SILENT_LOGGER, pollMaxUs = defaultPollMaxUs() }: NodeTransportOptions) {
    this.#psk = key === undefined ? undefined : derivePsk(key);
    this.#log = log;
    this.#polling = new Polling(pollMaxUs);
  }

  async dial(address: string, signal?: AbortSignal): Promise<ByteStream> {
    const target = parseAddress(address);
    if (target === undefined || (target.type !== "unix" && target.port === 0))
      throw transportError("ERR_HOLDFAST_DIAL", address, malformed(address));
    if (target.type === "tcp" && !isLoopback(target.host)) throw insecure(address, target);
    if (signal?.aborted === true) throw cancelledDial(address, signal);
    return target.type === "tls"
      ? dialTls(address, target, this.#requirePsk(address), this.#polling, signal)
      : dialPlain(address, target, this.#polling, signal);
  }

  async listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener> {
    const place = parseAddress(address);
    if (place === undefined)
      throw transportError("ERR_HOLDFAST_ADDRESS_INVALID", address, malformed(address));
    if (place.type === "tcp" && !isLoopback(place.host)) throw insecure(address, place);
    const server =
      place.type === "tls"
        ? this.#tlsServer(address, this.#requirePsk(address), accept)
        : createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
            accept(accepted(socket, address, this.#polling));
          });
    await listening(server, place, address);
    if (place.type === "tcp" && !isBoundToLoopback(server)) {
      await stopListening(server);
      throw insecure(address, place);
    }
    return { address: boundAddress(server, place, address), close: () => stopListening(server) };
  }

  stats(): NodeTransportStats {
    return { refusedHandshakesCount: this.#refusedHandshakesCount };
  }

  #requirePsk(address: string): Buffer {
    if (this.#psk === undefined) throw keyless(address);
    return this.#psk;
  }

  #tlsServer(address: string, psk: Buffer, accept: (stream: ByteStream) => void): Server {
    const handshakes = new Handshakes(address, this.#log, () => (this.#refusedHandshakesCount += 1));
    const server = createTlsServer({ ...listenWithPsk(psk, HANDSHAKE_TIMEOUT_MS), noDelay: true });
    server.on("connection", (socket: Socket) => handshakes.begin(socket));
    server.on("secureConnection", (socket) => {
      handshakes.succeeded(socket);
      accept(new SocketStream(socket, peerOf(socket, "tls", address), this.#polling));
    });
    server.on("tlsClientError", (error, socket) => {
      handshakes.failed(socket.remoteAddress ?? "", error);
      socket.destroy();
    });
    return server;
  }
}

/** TCP within this host and Unix sockets. */
export const nodeTransport: Transport = createNodeTransport();

function defaultPollMaxUs(): number {
  return availableParallelism() > 1 ? POLL_MAX_US : 0;
}

function accepted(socket: Socket, address: string, polling: Polling): SocketStream {
  const peer = peerOf(socket, "tcp", address);
  const reading = readTarget();
  const own = takeOver(socket, reading);
  return own === undefined
    ? new SocketStream(socket, peer, polling)
    : new SocketStream(own, peer, polling, reading);
}

async function dialPlain(
  address: string,
  target: StreamAddress,
  polling: Polling,
  signal: AbortSignal | undefined,
): Promise<ByteStream> {
  const reading = readTarget();
  const where = target.type === "unix" ? { path: target.path } : { ...hostOf(target), noDelay: true };
  const socket = connect({ ...where, onread: readDialled(reading) });
  await dialled({ socket, address, readyEvent: "connect", objection }, signal);
  return new SocketStream(socket, address, polling, reading);

  function objection(): string | undefined {
    const { remoteAddress } = socket;
    if (target.type === "unix" || remoteAddress === undefined || isLoopback(remoteAddress)) return undefined;
    return `${target.host} is ${remoteAddress}, another host, and only TLS leaves this one`;
  }
}

async function dialTls(
  address: string,
  target: HostAddress,
  psk: Buffer,
  polling: Polling,
  signal: AbortSignal | undefined,
): Promise<ByteStream> {
  const socket = connectTls({ ...dialWithPsk(psk), ...hostOf(target) });
  socket.setNoDelay(true);
  // TLS 1.3 shows a key known beforehand as a resumed session; anything else went without it.
  const objection = (): string | undefined =>
    socket.isSessionReused() ? undefined : "the other side has not proved that it knows the key";
  await dialled({ socket, address, readyEvent: "secureConnect", objection }, signal);
  return new SocketStream(socket, address, polling);
}

function hostOf({ host, port }: HostAddress): { readonly host: string; readonly port: number } {
  return { host, port };
}

/** A name may mean another address than it says. */
function isBoundToLoopback(server: Server): boolean {
  const bound = server.address();
  return bound !== null && typeof bound !== "string" && isLoopback(bound.address);
}

function boundAddress(server: Server, place: StreamAddress, address: string): string {
  const bound = server.address();
  if (place.type === "unix" || bound === null || typeof bound === "string") return address;
  return formatHostAddress({ ...place, port: bound.port });
}

function peerOf(
  { remoteAddress, remotePort }: Socket,
  type: HostAddress["type"],
  listenAddress: string,
): string {
  // A Unix socket's dialler has no address; a TCP one that is gone already has none any more.
  if (remoteAddress === undefined || remotePort === undefined) return `a dialler of ${listenAddress}`;
  return formatHostAddress({ type, host: remoteAddress, port: remotePort });
}
