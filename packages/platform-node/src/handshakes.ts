/*
 * Handshakes of strangers at one listener: how many at a time, and what is said about those that fail.
 *
 * A stranger costs a socket and OpenSSL's state until it proves that it knows the key. So handshakes are bounded in
 * number, in all and per remote address, and in time; and the log is bounded, for whoever can fail can fail often.
 */
import type { Socket } from "node:net";
import type { Logger } from "@holdfast/environment";
import { systemCode } from "./failures.ts";

/** A handshake that takes longer is cut off. */
export const HANDSHAKE_TIMEOUT_MS = 5000;

/** Handshakes at a time; one more cuts off the oldest, so that a flood of silent strangers keeps nobody out. */
export const HANDSHAKES_MAX = 256;

/** Handshakes at a time from one remote address; one more is cut off itself. */
export const HANDSHAKES_PER_ADDRESS_MAX = 64;

/** No more than one line about refused handshakes in this time. */
const LOG_EVERY_MS = 10_000;

/** How a handshake ends whose other side is gone, behind a network that was cut for one. */
const VANISHED: ReadonlySet<string> = new Set(["ECONNRESET", "ERR_TLS_HANDSHAKE_TIMEOUT", "ETIMEDOUT"]);

/** The handshakes of one listener. */
export class Handshakes {
  readonly #address: string;
  readonly #log: Logger;
  readonly #onRefused: () => void;
  /** By remote address and port, in the order they began. */
  readonly #running: Map<string, { readonly socket: Socket; readonly from: string }> = new Map();
  readonly #perAddress: Map<string, number> = new Map();
  #loggedAt = Number.NEGATIVE_INFINITY;
  #unloggedCount = 0;

  /** @param onRefused - Called for each handshake that fails. */
  constructor(address: string, log: Logger, onRefused: () => void) {
    this.#address = address;
    this.#log = log;
    this.#onRefused = onRefused;
  }

  /** A stranger has connected. */
  begin(socket: Socket): void {
    const { remoteAddress: from } = socket;
    if (from === undefined) return;
    const name = nameOf(socket);
    const count = this.#perAddress.get(from) ?? 0;
    if (count >= HANDSHAKES_PER_ADDRESS_MAX) {
      // Its end is then told as a failed handshake, with this reason.
      socket.destroy(
        new Error(`more than ${HANDSHAKES_PER_ADDRESS_MAX} handshakes at a time from one address`),
      );
      return;
    }
    if (this.#running.size >= HANDSHAKES_MAX) this.#cutOldest();
    this.#running.set(name, { socket, from });
    this.#perAddress.set(from, count + 1);
    socket.once("close", () => {
      if (this.#running.get(name)?.socket === socket) this.#end(name, from);
    });
  }

  /** The other end of this connection has proved that it knows the key. */
  succeeded(socket: Socket): void {
    if (socket.remoteAddress !== undefined) this.#end(nameOf(socket), socket.remoteAddress);
  }

  /** A handshake failed. */
  failed(from: string, error: Error): void {
    this.#onRefused();
    this.#unloggedCount += 1;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_EVERY_MS) return;
    this.#log.warn(
      {
        event: "transport.handshake-refused",
        address: this.#address,
        peer: from,
        reason: error.message,
        count: this.#unloggedCount,
      },
      VANISHED.has(systemCode(error) ?? "")
        ? "a peer vanished in the middle of a handshake"
        : "strangers failed to prove that they know the key",
    );
    this.#loggedAt = now;
    this.#unloggedCount = 0;
  }

  #cutOldest(): void {
    for (const [name, { socket, from }] of this.#running) {
      // At once: it closes later, and until then the next one too many would find it oldest again.
      this.#end(name, from);
      socket.destroy(new Error(`more than ${HANDSHAKES_MAX} handshakes at a time`));
      return;
    }
  }

  #end(name: string, from: string): void {
    if (!this.#running.delete(name)) return;
    const count = this.#perAddress.get(from) ?? 0;
    if (count > 1) this.#perAddress.set(from, count - 1);
    else this.#perAddress.delete(from);
  }
}

/** The socket that speaks TLS and the one below it are two objects; their other end is one. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
