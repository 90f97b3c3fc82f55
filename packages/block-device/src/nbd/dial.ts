/*
 * Connects to a server and negotiates: the driver of {@link Negotiation}.
 */
import { connect as connectSocket, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { type Deferred, deferred } from "@holdfast/environment";
import { Connection } from "./connection.ts";
import { NbdProtocolError } from "./nbd-error.ts";
import type { NbdAddress } from "./nbd-url.ts";
import { Negotiation, type NbdExport } from "./negotiation.ts";

/** What a dial needs. */
export interface DialSettings {
  readonly address: NbdAddress;
  /** Undefined: no TLS. */
  readonly tls: ConnectionOptions | undefined;
  /** Gives up, and closes. */
  readonly signal: AbortSignal;
  /** Checks the export before it is used; throws if it does not fit. */
  readonly accept: (facts: NbdExport) => void;
}

/** Bytes that one system call may receive. */
const RECEIVE_BYTES = 256 * 1024;

/** Idle time, in milliseconds, after which the system asks whether the other side still lives. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Connects, secures and negotiates.
 *
 * @throws {@link NbdProtocolError} when the server refuses; the system's error when nobody is there; the signal's reason.
 */
export async function dial(settings: DialSettings): Promise<Connection> {
  settings.signal.throwIfAborted();
  return new Dial(settings).connection;
}

class Dial {
  readonly #settings: DialSettings;
  readonly #negotiation: Negotiation;
  readonly #result: Deferred<Connection> = deferred();
  readonly #abort = (): void => this.#fail(this.#settings.signal.reason);
  readonly #failed = (error: unknown): void => this.#fail(error);
  readonly #ended = (): void =>
    this.#fail(new NbdProtocolError("the server closed the connection during the handshake"));
  #stream: Duplex;
  #receive: (bytes: Uint8Array) => void = (bytes) => this.#negotiate({ type: "bytes", bytes });

  constructor(settings: DialSettings) {
    this.#settings = settings;
    const { address, tls, signal } = settings;
    this.#negotiation = new Negotiation(address.exportName, tls !== undefined);
    const { place } = address;
    const target = place.type === "tcp" ? { host: place.host, port: place.port } : { path: place.path };
    const buffer = Buffer.allocUnsafeSlow(tls === undefined ? RECEIVE_BYTES : 1);
    // TLS takes the socket over, which must not have a buffer of its own then.
    const socket =
      tls === undefined
        ? connectSocket({ ...target, onread: { buffer, callback: (count) => this.#took(buffer, count) } })
        : connectSocket(target);
    if (tls !== undefined) socket.on("data", (bytes) => this.#receive(bytes));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#stream = socket;
    this.#listen(socket);
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  get connection(): Promise<Connection> {
    return this.#result.promise;
  }

  #took(buffer: Uint8Array, count: number): boolean {
    this.#receive(buffer.subarray(0, count));
    return true;
  }

  #listen(stream: Duplex): void {
    stream.on("error", this.#failed);
    stream.on("close", this.#ended);
  }

  #unlisten(stream: Duplex): void {
    stream.off("error", this.#failed);
    stream.off("close", this.#ended);
  }

  #fail(error: unknown): void {
    this.#settings.signal.removeEventListener("abort", this.#abort);
    this.#receive = () => {};
    this.#unlisten(this.#stream);
    // An error that comes while it is destroyed tells nothing new.
    this.#stream.on("error", () => {});
    this.#stream.destroy();
    this.#result.reject(error);
  }

  #negotiate(event: Parameters<Negotiation["handle"]>[0]): void {
    try {
      for (const effect of this.#negotiation.handle(event)) {
        switch (effect.type) {
          case "send":
            this.#stream.write(effect.bytes);
            break;
          case "start-tls":
            this.#secure();
            break;
          case "ready":
            this.#finish(effect.export);
            break;
        }
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #secure(): void {
    const socket = this.#stream as Socket; // Only a socket comes here: TLS is started once.
    this.#unlisten(socket);
    socket.removeAllListeners("data");
    const secured = connectTls({ ...this.#settings.tls, socket });
    // What befalls the socket is what befalls TLS over it.
    socket.on("error", (error) => secured.destroy(error));
    this.#stream = secured;
    this.#listen(secured);
    secured.once("secureConnect", () => {
      secured.on("data", (bytes: Uint8Array) => this.#receive(bytes));
      this.#negotiate({ type: "secured" });
    });
  }

  #finish(facts: NbdExport): void {
    this.#settings.accept(facts);
    this.#settings.signal.removeEventListener("abort", this.#abort);
    this.#unlisten(this.#stream);
    const connection = new Connection(this.#stream, facts);
    this.#receive = (bytes) => connection.receive(bytes);
    this.#result.resolve(connection);
  }
}
