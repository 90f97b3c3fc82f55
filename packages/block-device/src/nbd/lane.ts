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
    const attempts = this.#failuresCount;
    try {
      const connection = await this.#ports.dial(this.#ending.signal);
      if (this.#ending.signal.aborted) return connection.cut(new NbdProtocolError("the device was closed"));
      const facts = { event: "nbd.reconnected", url: this.#ports.url, attempts };
      if (attempts > 0) this.#ports.log.info(facts, "the server is back");
      this.adopt(connection);
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
    this.#lose(cause);
    this.#retired.add(connection);
    const reads = connection.forget(({ isChange }) => isChange);
    this.#cutIfDone(connection);
    this.#ports.again(reads);
    this.start();
  }

  /** There is no active connection any more: a failure until an answer comes, since a server may take connections only to end them. */
  #lose(cause: Error): void {
    this.#active = undefined;
    this.#lastFailure = cause;
    this.#failuresCount += 1;
    const facts = { event: "nbd.connection-lost", url: this.#ports.url, err: cause };
    if (!this.#ending.signal.aborted) this.#ports.log.warn(facts, "a connection to the server was lost");
  }

  #cutIfDone(connection: Connection): void {
    if (connection.pieces().length === 0) connection.cut(new NbdProtocolError("the connection was retired"));
  }

  #giveUp(connection: Connection, nowMs: number): void {
    const isLate = ({ deadlineMs }: Piece): boolean => deadlineMs <= nowMs;
    if (!connection.pieces().some(isLate)) return;
    const cause = this.#lastFailure ?? new NbdProtocolError("the server did not answer in time");
    this.#ports.failed(
      connection.forget((piece) => !isLate(piece)),
      cause,
    );
    // Bytes that are half way out are the caller's again only without the connection.
    if (connection.pieces().some(isLate)) connection.cut(cause);
    else if (this.#retired.has(connection)) this.#cutIfDone(connection);
  }

  #ended(connection: Connection, { cause, isByServer, unanswered }: ConnectionEnd): void {
    this.#retired.delete(connection);
    if (connection === this.#active) this.#lose(cause);
    this.#left?.();
    if (this.#ending.signal.aborted) return this.#ports.failed(unanswered, cause);
    const isLost = (piece: Piece): boolean => piece.isChange && !isByServer;
    this.#ports.failed(unanswered.filter(isLost), cause);
    this.#ports.again(unanswered.filter((piece) => !isLost(piece)));
    this.start();
  }
}
