/*
 * One connection to an export after its handshake: sends requests, matches answers, and says how it ended.
 *
 * How it ended decides what may be repeated. A server that ends a connection itself is done with what came over it: a
 * change that it had not answered may be sent again. A connection that fell silent, or that this side cut, may still
 * have its changes carried out at any time; repeating one, and then writing something newer to the same place, would
 * let the older bytes come last.
 */
import type { Duplex } from "node:stream";
import { InFlight, type ReplyTarget } from "./in-flight.ts";
import { NbdProtocolError } from "./nbd-error.ts";
import type { NbdExport } from "./negotiation.ts";
import type { Piece } from "./piece.ts";
import { COMMAND, COMMAND_FUA, EXPORT_FLAG } from "./protocol.ts";
import { ReplyParser } from "./reply-parser.ts";
import { RequestSender } from "./request-sender.ts";

/** Requests that one connection carries at once; servers work on 16 or so at a time. */
export const IN_FLIGHT_COUNT_MAX = 128;
/** Bytes of the requests that one connection carries at once; a single longer one goes alone. */
export const IN_FLIGHT_BYTES_MAX: number = 32 * 1024 * 1024;

/** How a connection ended. */
export interface ConnectionEnd {
  readonly cause: Error;
  /** True if the server ended it, and so is done with all that came over it. */
  readonly isByServer: boolean;
  /** What it had not answered. */
  readonly unanswered: readonly Piece[];
}

/** Whom a connection reports to. */
export interface ConnectionHandlers {
  /** A piece was answered: 0, or the server's error with its words. */
  answered(piece: Piece, errno: number, said: string): void;
  /** Called once; nothing is in flight any more, and no memory of a piece is used. */
  ended(end: ConnectionEnd): void;
}

/** Errors of a socket that only the server's side causes, by closing it. */
const CLOSED_BY_SERVER: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE"]);

class Entry implements ReplyTarget {
  readonly isRead: boolean;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  memory: Uint8Array | undefined;
  /** Whose request it is; undefined once nobody waits for the answer, or when it is a flush of this connection. */
  piece: Piece | undefined;
  /** Writes that a flush of this connection makes durable. */
  readonly covers: readonly Piece[];
  readonly sentMs: number;
  /** See {@link RequestSender.send}. */
  payloadEnd = 0;
  /** An answer that came while the socket still had the payload: servers answer the first of many that leave together. */
  early: { readonly errno: number; readonly said: string } | undefined;

  constructor(piece: Piece | undefined, covers: readonly Piece[], sentMs: number) {
    this.isRead = piece?.verb === "read";
    this.offsetBytes = piece?.offsetBytes ?? 0;
    this.lengthBytes = piece?.lengthBytes ?? 0;
    this.memory = piece?.memory;
    this.piece = piece;
    this.covers = covers;
    this.sentMs = sentMs;
  }
}

const COVERS_NOTHING: readonly Piece[] = [];

/** An open connection. */
export class Connection {
  /** What the export can do, as this connection's handshake told. */
  readonly export: NbdExport;
  readonly #stream: Duplex;
  #handlers: ConnectionHandlers | undefined;
  readonly #inFlight: InFlight<Entry> = new InFlight(IN_FLIGHT_COUNT_MAX);
  readonly #parser: ReplyParser<Entry>;
  readonly #sender: RequestSender;
  readonly #hasFua: boolean;
  /** Answered writes that wait for a flush, where the server has no FUA. */
  #unflushed: Piece[] = [];
  #isFlushing = false;
  /** Slots with an early answer. */
  #early: number[] = [];
  #end: ConnectionEnd | undefined;
  #error: Error | undefined;

  /** Takes over a stream whose handshake is done; its bytes go to {@link receive}. */
  constructor(stream: Duplex, facts: NbdExport) {
    this.export = facts;
    this.#stream = stream;
    this.#hasFua = (facts.flags & EXPORT_FLAG.fua) !== 0;
    this.#sender = new RequestSender(stream, () => this.#sent());
    this.#parser = new ReplyParser(this.#inFlight, facts.isStructured, (slot, errno, said) =>
      this.#answered(slot, errno, said),
    );
    stream.on("error", (error) => {
      this.#error ??= error;
      // A record of TLS that cannot be read is told, and nothing else: the stream would stay, dead, for ever.
      stream.destroy();
    });
    stream.on("close", () => this.#closed());
  }

  /** Whom to report to from now on; told at once if the connection is over already. Called once, before any {@link send}. */
  attend(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#end !== undefined) handlers.ended(this.#end);
  }

  /** Requests in flight. */
  get inFlightCount(): number {
    return this.#inFlight.count;
  }

  /** True if a request of this length can be sent now. A slot is kept for a flush of the connection's own. */
  hasRoom(lengthBytes: number): boolean {
    const { count, bytes } = this.#inFlight;
    if (this.#end !== undefined || count >= IN_FLIGHT_COUNT_MAX - 1) return false;
    return bytes === 0 || bytes + lengthBytes <= IN_FLIGHT_BYTES_MAX;
  }

  /** Sends a piece; only with room for it. */
  send(piece: Piece, nowMs: number): void {
    const entry = new Entry(piece, COVERS_NOTHING, nowMs);
    const flags = piece.isDurable && this.#hasFua ? COMMAND_FUA : 0;
    this.#put(entry, piece.command, flags, piece.verb === "write" ? piece.memory : undefined);
  }

  /** Takes bytes from the server; they may be overwritten afterwards. */
  receive(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    try {
      this.#parser.feed(bytes);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.cut(error);
    }
  }

  /** When the oldest request in flight was sent; infinity when there is none. */
  oldestSentMs(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { sentMs } of this.#inFlight.targets()) if (sentMs < oldest) oldest = sentMs;
    return oldest;
  }

  /** Everybody's pieces that are not answered. */
  pieces(): readonly Piece[] {
    const found: Piece[] = [];
    for (const { piece, covers } of this.#inFlight.targets()) {
      if (piece !== undefined) found.push(piece);
      found.push(...covers);
    }
    found.push(...this.#unflushed);
    return found;
  }

  /**
   * Lets go of the pieces that are not wanted: their late answers are dropped. A write stays as long as the socket, or a
   * flush, still needs it.
   *
   * @returns those that it let go.
   */
  forget(isWanted: (piece: Piece) => boolean): readonly Piece[] {
    const forgotten: Piece[] = [];
    const { sentBytes } = this.#sender;
    for (const entry of this.#inFlight.targets()) {
      const { piece } = entry;
      if (piece === undefined || entry.payloadEnd > sentBytes || isWanted(piece)) continue;
      forgotten.push(piece);
      entry.piece = undefined;
      entry.memory = undefined;
    }
    return forgotten;
  }

  /** Ends the connection from this side, at once. */
  cut(cause: Error): void {
    this.#finish({ cause, isByServer: false });
  }

  /** Says goodbye; the server closes. Only with nothing in flight. */
  leave(): void {
    if (this.#end !== undefined) return;
    this.#sender.send(
      { flags: 0, command: COMMAND.disconnect, sequence: 0, slot: 0, offsetBytes: 0, lengthBytes: 0 },
      undefined,
    );
    this.#sender.end();
  }

  #put(entry: Entry, command: number, flags: number, payload: Uint8Array | undefined): void {
    const slot = this.#inFlight.add(entry);
    const { offsetBytes, lengthBytes } = entry;
    const sequence = this.#inFlight.sequence(slot);
    const header = { flags, command, sequence, slot, offsetBytes, lengthBytes };
    entry.payloadEnd = this.#sender.send(header, payload);
  }

  #answered(slot: number, errno: number, said: string): void {
    const entry = this.#inFlight.at(slot);
    // An answer before this one may have ended the connection.
    if (entry === undefined || this.#end !== undefined) return;
    // Its memory goes back to the caller, so the socket must be done with it.
    if (entry.payloadEnd > this.#sender.sentBytes) {
      if (entry.early !== undefined) throw new NbdProtocolError("it answers a write twice");
      entry.early = { errno, said };
      this.#early.push(slot);
      return;
    }
    this.#inFlight.remove(slot);
    const { piece, covers } = entry;
    if (covers.length > 0) this.#flushed(covers, errno, said);
    else if (piece !== undefined) this.#settle(piece, errno, said);
  }

  /** The socket is done with a payload. */
  #sent(): void {
    if (this.#early.length === 0 || this.#end !== undefined) return;
    const slots = this.#early;
    this.#early = [];
    for (const slot of slots) {
      const entry = this.#inFlight.at(slot);
      if (entry?.early === undefined) continue;
      const { errno, said } = entry.early;
      entry.early = undefined;
      this.#answered(slot, errno, said);
    }
  }

  #settle(piece: Piece, errno: number, said: string): void {
    const needsFlush = errno === 0 && piece.isDurable && piece.isChange && !this.#hasFua;
    if (!needsFlush) return this.#handlers?.answered(piece, errno, said);
    this.#unflushed.push(piece);
    if (!this.#isFlushing) this.#flush();
  }

  /** One flush at a time: the writes that are answered meanwhile share the next. */
  #flush(): void {
    const covers = this.#unflushed;
    this.#unflushed = [];
    this.#isFlushing = true;
    this.#put(new Entry(undefined, covers, performance.now()), COMMAND.flush, 0, undefined);
  }

  #flushed(covers: readonly Piece[], errno: number, said: string): void {
    this.#isFlushing = false;
    if (this.#unflushed.length > 0) this.#flush();
    for (const piece of covers) this.#handlers?.answered(piece, errno, said);
  }

  #closed(): void {
    const isByServer = this.#error === undefined || CLOSED_BY_SERVER.has(codeOf(this.#error));
    const cause = this.#error ?? new NbdProtocolError("the server closed the connection");
    this.#finish({ cause, isByServer });
  }

  #finish({ cause, isByServer }: { readonly cause: Error; readonly isByServer: boolean }): void {
    if (this.#end !== undefined) return;
    this.#end = { cause, isByServer, unanswered: this.pieces() };
    this.#stream.destroy();
    this.#handlers?.ended(this.#end);
  }
}

function codeOf(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}
