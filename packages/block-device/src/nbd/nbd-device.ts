/*
 * The port over NBD.
 *
 * A write is on stable storage when it resolves, durable or not: what a server had answered but not stored is lost with
 * the server, a connection that comes back does not tell whether it was, and so a later flush could not vouch for it.
 * Requests that are longer than a server takes go in pieces. Each piece is sent over any connection with room, waits
 * in line while there is none, and fails at its deadline.
 */
import { DeviceError, type Logger, type WriteOptions } from "@holdfast/environment";
import { checkRequest, requestError } from "../device-request.ts";
import type { OpenedBlockDevice } from "../opened-block-device.ts";
import type { Connection } from "./connection.ts";
import { Lane } from "./lane.ts";
import { NbdServerError } from "./nbd-error.ts";
import { Piece, type Verb } from "./piece.ts";
import { PieceQueue } from "./piece-queue.ts";

/** Time limits of a device, in milliseconds. */
export interface NbdLimits {
  /** A connection that leaves a request unanswered for so long is replaced. Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** A request that was sent fails after so long, one in line when nothing was answered for so long. Default 30 s. */
  readonly giveUpMs?: number;
  /** Connecting and the handshake may take so long. Default 5 s. */
  readonly connectTimeoutMs?: number;
}

/** What was found out when the device was opened. */
export interface NbdDeviceFacts {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  readonly isReadOnly: boolean;
  readonly connectionsCount: number;
  /** Longest request that the server is sent; a multiple of the sector. */
  readonly pieceBytesMax: number;
  readonly canFlush: boolean;
  readonly canTrim: boolean;
  readonly canZero: boolean;
  readonly requestTimeoutMs: number;
  readonly giveUpMs: number;
  readonly log: Logger;
  /** Connects once more. */
  dial(signal: AbortSignal): Promise<Connection>;
}

/** Pieces that may wait for a connection; more are refused. */
export const PIECES_WAITING_MAX = 16_384;

/** Longest range to trim or zero in one request: a server must be done with it in time. */
const RANGE_BYTES_MAX: number = 128 * 1024 * 1024;
/** How long closing waits for requests in flight, in milliseconds. */
const CLOSE_LIMIT_MS = 5000;
/** Longest time between looks at the deadlines, in milliseconds. */
const SWEEP_MS_MAX = 1000;

const CODES = {
  read: "ERR_HOLDFAST_DEVICE_READ",
  write: "ERR_HOLDFAST_DEVICE_WRITE",
  trim: "ERR_HOLDFAST_DEVICE_WRITE",
  zeroing: "ERR_HOLDFAST_DEVICE_WRITE",
  flush: "ERR_HOLDFAST_DEVICE_FLUSH",
} as const;

/** An export of an NBD server. */
export class NbdDevice implements OpenedBlockDevice {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  /** Never: a process that died may have requests at the server. */
  readonly isLocal = false;
  readonly isDirect = true;
  readonly isReadOnly: boolean;
  readonly #facts: NbdDeviceFacts;
  readonly #lanes: readonly Lane[];
  readonly #queue: PieceQueue = new PieceQueue();
  #unsettledCount = 0;
  /** True if anything was answered since the last look at the deadlines. */
  #hasAnswered = false;
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #sweepTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #isQuiet: (() => void) | undefined;

  /** @param first - Its first connection; the others follow by themselves. */
  constructor(facts: NbdDeviceFacts, first: Connection) {
    this.url = facts.url;
    this.sizeBytes = facts.sizeBytes;
    this.sectorBytes = facts.sectorBytes;
    this.isReadOnly = facts.isReadOnly;
    this.#facts = facts;
    this.#lanes = Array.from({ length: facts.connectionsCount }, () => this.#newLane());
    this.#lanes[0]?.adopt(first);
    for (const lane of this.#lanes) lane.start();
  }

  read(offsetBytes: bigint, into: Uint8Array): Promise<void> {
    return this.#request("read", offsetBytes, into.length, into);
  }

  write(offsetBytes: bigint, bytes: Uint8Array, _options: WriteOptions): Promise<void> {
    return this.#request("write", offsetBytes, bytes.length, bytes);
  }

  flush(): Promise<void> {
    return this.#request("flush", 0n, 0, undefined);
  }

  /** Tells the server that the content of a range does not matter any more. Does nothing where it cannot be told. */
  trim(offsetBytes: bigint, lengthBytes: number): Promise<void> {
    return this.#request("trim", offsetBytes, lengthBytes, undefined);
  }

  /** Makes a range read as zeros, on stable storage, without sending zeros where the server can do without. */
  async writeZeroes(offsetBytes: bigint, lengthBytes: number): Promise<void> {
    if (this.#facts.canZero) return this.#request("zeroing", offsetBytes, lengthBytes, undefined);
    const zeros = new Uint8Array(Math.min(lengthBytes, this.#facts.pieceBytesMax));
    checkRequest(this, this.#closing !== undefined, "zeroing", offsetBytes, lengthBytes);
    for (let done = 0; done < lengthBytes; done += zeros.length) {
      const part = zeros.subarray(0, lengthBytes - done);
      await this.#request("write", offsetBytes + BigInt(done), part.length, part);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #newLane(): Lane {
    const { url, log } = this.#facts;
    return new Lane({
      url,
      log,
      dial: (signal) => this.#facts.dial(signal),
      ready: () => this.#pump(),
      answered: (piece, errno, said) => this.#answered(piece, errno, said),
      again: (pieces) => this.#again(pieces),
      failed: (pieces, cause) => {
        for (const piece of pieces) this.#fail(piece, cause);
      },
    });
  }

  #request(
    verb: Verb,
    offsetBytes: bigint,
    lengthBytes: number,
    memory: Uint8Array | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      checkRequest(this, this.#closing !== undefined, verb, offsetBytes, lengthBytes);
      if (this.isReadOnly && verb !== "read" && verb !== "flush") {
        const request = { verb, offsetBytes, lengthBytes };
        throw requestError(CODES[verb], this.url, request, "it was opened for reading only");
      }
      const isNothing = verb === "flush" ? !this.#facts.canFlush || this.isReadOnly : lengthBytes === 0;
      if (isNothing || (verb === "trim" && !this.#facts.canTrim)) return resolve();
      const settle = settleAfter(
        Math.max(1, Math.ceil(lengthBytes / this.#pieceBytesMax(verb))),
        resolve,
        reject,
      );
      this.#split({ verb, offsetBytes: Number(offsetBytes), lengthBytes, memory, settle });
    });
  }

  /** Ranges that carry no bytes may be longer. */
  #pieceBytesMax(verb: Verb): number {
    return verb === "trim" || verb === "zeroing" ? RANGE_BYTES_MAX : this.#facts.pieceBytesMax;
  }

  #split(request: {
    readonly verb: Verb;
    readonly offsetBytes: number;
    readonly lengthBytes: number;
    readonly memory: Uint8Array | undefined;
    readonly settle: (error: DeviceError | undefined) => void;
  }): void {
    const { verb, offsetBytes, lengthBytes, memory, settle } = request;
    const pieceBytesMax = this.#pieceBytesMax(verb);
    const { giveUpMs } = this.#facts;
    const deadlineMs = performance.now() + giveUpMs;
    const isDurable = verb === "write" || verb === "zeroing";
    let start = 0;
    do {
      const length = Math.min(pieceBytesMax, lengthBytes - start);
      const part = length === lengthBytes ? memory : memory?.subarray(start, start + length);
      const facts = {
        verb,
        offsetBytes: offsetBytes + start,
        lengthBytes: length,
        isDurable,
        deadlineMs,
        settle,
      };
      this.#enter(new Piece(part === undefined ? facts : { ...facts, memory: part }));
      start += length;
    } while (start < lengthBytes);
  }

  #enter(piece: Piece): void {
    this.#unsettledCount += 1;
    if (this.#queue.length >= PIECES_WAITING_MAX)
      return this.#fail(piece, new RangeError(`${PIECES_WAITING_MAX} requests wait already`));
    this.#armSweep();
    const connection = this.#queue.length === 0 ? this.#freeConnection(piece.lengthBytes) : undefined;
    if (connection === undefined) this.#queue.push(piece);
    else this.#send(piece, connection);
  }

  #send(piece: Piece, connection: Connection): void {
    const nowMs = performance.now();
    if (!piece.isSent) piece.deadlineMs = nowMs + this.#facts.giveUpMs;
    piece.isSent = true;
    connection.send(piece, nowMs);
  }

  /** The connection with the fewest requests among those with room. */
  #freeConnection(lengthBytes: number): Connection | undefined {
    let best: Connection | undefined;
    for (const { active } of this.#lanes) {
      if (active === undefined || !active.hasRoom(lengthBytes)) continue;
      if (best === undefined || active.inFlightCount < best.inFlightCount) best = active;
    }
    return best;
  }

  #pump(): void {
    for (let piece = this.#queue.peek(); piece !== undefined; piece = this.#queue.peek()) {
      const connection = this.#freeConnection(piece.lengthBytes);
      if (connection === undefined) return;
      this.#queue.drop();
      this.#send(piece, connection);
    }
  }

  #answered(piece: Piece, errno: number, said: string): void {
    this.#hasAnswered = true;
    if (errno === 0) this.#settle(piece, undefined);
    else this.#fail(piece, new NbdServerError(errno, said));
    if (this.#queue.length > 0) this.#pump();
  }

  #again(pieces: readonly Piece[]): void {
    if (pieces.length > 0) this.#queue.putBack(pieces);
    this.#pump();
  }

  #fail(piece: Piece, cause: Error): void {
    const { verb, offsetBytes, lengthBytes } = piece;
    const request = { verb, offsetBytes: BigInt(offsetBytes), lengthBytes };
    this.#settle(piece, requestError(CODES[verb], this.url, request, cause.message, cause));
  }

  #settle(piece: Piece, error: DeviceError | undefined): void {
    this.#unsettledCount -= 1;
    piece.settle(error);
    if (this.#unsettledCount === 0) this.#isQuiet?.();
  }

  /** Armed at most once per period, so that it costs nothing per request. */
  #armSweep(): void {
    if (this.#sweepTimer !== undefined) return;
    const { requestTimeoutMs, giveUpMs } = this.#facts;
    const periodMs = Math.min(SWEEP_MS_MAX, requestTimeoutMs / 4, giveUpMs / 4);
    this.#sweepTimer = setTimeout(() => {
      this.#sweepTimer = undefined;
      this.#sweep(performance.now());
      if (this.#unsettledCount > 0) this.#armSweep();
    }, periodMs);
  }

  #sweep(nowMs: number): void {
    for (const lane of this.#lanes) lane.sweep(nowMs, this.#facts.requestTimeoutMs);
    if (this.#hasAnswered) this.#lastAnswerMs = nowMs;
    this.#hasAnswered = false;
    // One that was sent has had its time, whatever else was answered: it may be what ends each connection.
    const isStuck = this.#lastAnswerMs + this.#facts.giveUpMs <= nowMs;
    const late = this.#queue.removeUnless(
      ({ deadlineMs, isSent }) => deadlineMs > nowMs || !(isSent || isStuck),
    );
    if (late.length === 0) return;
    const { lastFailure } = this.#lanes[0] ?? {};
    const why = lastFailure === undefined ? "" : `: ${lastFailure.message}`;
    const message = `it was not answered within ${this.#facts.giveUpMs} ms${why}`;
    const cause = new Error(message, { cause: lastFailure });
    for (const piece of late) this.#fail(piece, cause);
  }

  async #close(): Promise<void> {
    if (this.#lanes.every(({ active }) => active === undefined)) this.#failQueue();
    if (this.#unsettledCount > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#isQuiet = resolve;
        timer = setTimeout(resolve, Math.min(CLOSE_LIMIT_MS, this.#facts.giveUpMs));
      });
      clearTimeout(timer);
    }
    this.#failQueue();
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    clearTimeout(this.#sweepTimer);
  }

  #failQueue(): void {
    for (const piece of this.#queue.removeUnless(() => false))
      this.#fail(piece, new Error("the device was closed before there was a connection"));
  }
}

/** Resolves after `count` calls, or rejects then with the first error: until then, memory is in use. */
function settleAfter(
  count: number,
  resolve: () => void,
  reject: (error: DeviceError) => void,
): (error: DeviceError | undefined) => void {
  let left = count;
  let first: DeviceError | undefined;
  return (error) => {
    left -= 1;
    first ??= error;
    if (left > 0) return;
    if (first === undefined) resolve();
    else reject(first);
  };
}
