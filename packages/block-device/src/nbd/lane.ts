/*
 * One of a device's connections across its lives: dials again whenever it is lost, with a back-off, until it is closed.
 *
 * A connection that does not answer in time is retired: its reads go elsewhere, its changes wait for their answers or
 * for the server to end it, since before that they must not be repeated; see {@link Connection}.
 */
import type { Logger } from "@holdfast/environment";
import type { Connection, ConnectionEnd } from "./connection.ts";
import { NbdProtocolError } from "./nbd-error.ts";
import type { Piece } from "./piece.ts";
import { ESHUTDOWN } from "./protocol.ts";

/** What a lane needs of its device. */
export interface LanePorts {
  readonly url: string;
  readonly log: Logger;
  /** Connects; gives up by the signal. */
  dial(signal: AbortSignal): Promise<Connection>;
  /** There is room for pieces again. */
  ready(): void;
  answered(piece: Piece, errno: number, said: string): void;
  /** These are to be sent again. */
  again(pieces: readonly Piece[]): void;
  /** The fate of these is unknown. */
  failed(pieces: readonly Piece[], cause: Error): void;
}

/** First wait before dialling again, in milliseconds; it doubles with each failure. */
const BACK_OFF_FIRST_MS = 50;
/** Longest wait before dialling again, in milliseconds. */
const BACK_OFF_LAST_MS = 5000;
/** How long a server may take to close a connection that was said goodbye on, in milliseconds. */
const FAREWELL_MS = 1000;

/** A lane. */
export class Lane {
  readonly #ports: LanePorts;
  readonly #ending: AbortController = new AbortController();
  readonly #retired: Set<Connection> = new Set();
  #active: Connection | undefined;
  #isDialling = false;
  #failuresCount = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastFailure: Error | undefined;
  #left: (() => void) | undefined;

  constructor(ports: LanePorts) {
    this.#ports = ports;
  }

  /** The connection that takes requests, if there is one. */
  get active(): Connection | undefined {
    return this.#active;
  }

  /** Why there is, or was last, no connection. */
  get lastFailure(): Error | undefined {
    return this.#lastFailure;
  }

  /** Takes a connection over. */
  adopt(connection: Connection): void {
    this.#active = connection;
    connection.attend({
      answered: (piece, errno, said) => this.#answered(connection, piece, errno, said),
      ended: (end) => this.#ended(connection, end),
    });
  }

  /** Dials until there is a connection. */
  start(): void {
    if (this.#active !== undefined || this.#isDialling || this.#timer !== undefined) return;
    if (this.#ending.signal.aborted) return;
    if (this.#failuresCount === 0) return void this.#redial();
    const doubled = BACK_OFF_FIRST_MS * 2 ** Math.min(this.#failuresCount - 1, 10);
    // Half of it at random: many clients of one server must not come back all at once.
    const waitMs = Math.min(doubled, BACK_OFF_LAST_MS) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#redial();
    }, waitMs);
    this.#timer.unref();
  }

  /** Retires a connection that has not answered for `limitMs`, and gives up pieces whose deadline is over. */
  sweep(nowMs: number, limitMs: number): void {
    if (this.#active !== undefined && this.#active.oldestSentMs() + limitMs <= nowMs)
      this.#retire(this.#active, new NbdProtocolError(`the server did not answer within ${limitMs} ms`));
    const connections = this.#active === undefined ? [] : [this.#active];
    for (const connection of [...connections, ...this.#retired]) this.#giveUp(connection, nowMs);
  }

  /** Ends everything; what is in flight fails. Resolves when the server has closed, or after a second. */
  async close(): Promise<void> {
    this.#ending.abort(new NbdProtocolError("the device was closed"));
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const closed = new NbdProtocolError("the device was closed before the server answered");
    for (const connection of this.#retired) connection.cut(closed);
    const active = this.#active;
    if (active === undefined) return;
    if (active.pieces().length > 0) return active.cut(closed);
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    active.leave();
    const timer = setTimeout(() => active.cut(closed), FAREWELL_MS);
    await left;
    clearTimeout(timer);
  }

  async #redial(): Promise<void> {
    this.#isDialling = true;
    const attempts = this.#failuresCount + 1;
    try {
      const connection = await this.#ports.dial(this.#ending.signal);
      if (this.#ending.signal.aborted) return connection.cut(new NbdProtocolError("the device was closed"));
      this.adopt(connection);
      this.#ports.log.info(
        { event: "nbd.reconnected", url: this.#ports.url, attempts },
        "the server is back",
      );
    } catch (error) {
      this.#failuresCount += 1;
      this.#lastFailure = error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#isDialling = false;
    }
    if (this.#active === undefined) this.start();
    else this.#ports.ready();
  }

  #answered(connection: Connection, piece: Piece, errno: number, said: string): void {
    if (errno === ESHUTDOWN) {
      this.#failuresCount += 1;
      this.#retire(connection, new NbdProtocolError("the server is shutting down"));
      this.#ports.again([piece]);
    } else {
      this.#failuresCount = 0;
      this.#ports.answered(piece, errno, said);
    }
    if (this.#retired.has(connection)) this.#cutIfDone(connection);
  }

  #retire(connection: Connection, cause: Error): void {
    if (connection !== this.#active) return;
    this.#active = undefined;
    this.#lastFailure = cause;
    this.#ports.log.warn(
      { event: "nbd.connection-lost", url: this.#ports.url, err: cause },
      "connection retired",
    );
    this.#retired.add(connection);
    const reads = connection.forget(() => false);
    this.#cutIfDone(connection);
    this.#ports.again(reads);
    this.start();
  }

  #cutIfDone(connection: Connection): void {
    if (connection.pieces().length === 0) connection.cut(new NbdProtocolError("the connection was retired"));
  }

  #giveUp(connection: Connection, nowMs: number): void {
    const expired = connection.pieces().filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (expired.length === 0) return;
    const cause = this.#lastFailure ?? new NbdProtocolError("the server did not answer in time");
    // Its bytes may be half way out: only without the connection they are the caller's again.
    if (expired.some(({ isChange }) => isChange)) connection.cut(cause);
    else
      this.#ports.failed(
        connection.forget(({ deadlineMs }) => deadlineMs > nowMs),
        cause,
      );
  }

  #ended(connection: Connection, { cause, isByServer, unanswered }: ConnectionEnd): void {
    this.#retired.delete(connection);
    const isClosing = this.#ending.signal.aborted;
    if (connection === this.#active) {
      this.#active = undefined;
      this.#lastFailure = cause;
      if (!isClosing)
        this.#ports.log.warn(
          { event: "nbd.connection-lost", url: this.#ports.url, err: cause },
          "connection lost",
        );
    }
    this.#left?.();
    if (isClosing) return this.#ports.failed(unanswered, cause);
    const isLost = (piece: Piece): boolean => piece.isChange && !isByServer;
    this.#ports.failed(unanswered.filter(isLost), cause);
    this.#ports.again(unanswered.filter((piece) => !isLost(piece)));
    this.start();
  }
}
