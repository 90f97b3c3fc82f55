/*
 * One side of a session with one peer: numbers, acknowledgements, unanswered requests, unsent answers.
 *
 * A session outlives its connections. The rules that make it exactly-once, by their numbers in docs/protocols/sessions.md:
 *
 *   - Frames are numbered 1, 2, 3 … per direction; one seen before is dropped, one that leaves a gap breaks the session.
 *   - A request's number counts as received before its handler runs, and its answer goes to the session, not to the
 *     connection it came by: so an answer is never lost with a connection (N1).
 *   - Only a new server resets the numbers; answers owed to the old one are dropped, unanswered requests are sent
 *     again under their old ids (N14, N15).
 *   - Handlers and callbacks run synchronously, in the order of the frames.
 *
 * This machine reads no clock and does no I/O. Frames go in by `receive`; bytes come out by `drain`. It calls back
 * instead of returning effects, because it is the hot path: an effect per frame would cost more than the frame.
 */
import { type Cancel, HoldfastError, invariant } from "@holdfast/environment";
import {
  FRAME_BODY_BYTES_MAX,
  FRAME_FLAG_RESPONSE,
  FRAME_HEADER_BYTES,
  type Frame,
  encodeFrame,
} from "@holdfast/wire-format";
import { CALL_ABORTED, CALL_MALFORMED, COMMAND_FAREWELL, COMMAND_HEARTBEAT, RESERVED_MIN } from "./codes.ts";
import { SessionError, outOfRange, unexpectedCommand } from "./errors.ts";
import { ACK_AFTER_BYTES, ACK_AFTER_FRAMES, OUTBOX_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import { type Done, type PendingRequest, PendingRequests } from "./pending-requests.ts";

export type { Done } from "./pending-requests.ts";

/** Answers a request: `error` 0 is success; called once, at any time; `body` is copied before it returns. */
export interface Respond {
  (error: number, body: Uint8Array): void;
}

/** What a session tells its owner. */
export interface SessionEvents {
  /**
   * The peer asks; `body` is valid only during the call. A codec's `RangeError` or protocol error that leaves it
   * before it has responded is answered with {@link CALL_MALFORMED}.
   */
  request(command: number, body: Uint8Array, respond: Respond): void;
  /** There is something to {@link Session.drain} where there was nothing. */
  output(): void;
}

/** Limits that a test may lower. */
export interface SessionLimits {
  readonly requestsInFlightMax: number;
  readonly outboxBytesMax: number;
}

/** The limits of a session unless told otherwise. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
  outboxBytesMax: OUTBOX_BYTES_MAX,
};

const EMPTY = new Uint8Array(0);

/** One side of a session. */
export class Session {
  readonly #events: SessionEvents;
  readonly #limits: SessionLimits;
  /** Unanswered requests of this side. */
  readonly #pending: PendingRequests = new PendingRequests();
  readonly #outbox: Outbox = new Outbox((id) => this.#pending.get(id));
  readonly #header: {
    seq: number;
    recvSeq: number;
    id: number;
    command: number;
    error: number;
    flags: number;
  };
  #receivedSeq = 0;
  /** The acknowledgement that travelled last, and the bytes received since. */
  #acknowledgingSeq = 0;
  #unacknowledgedBytes = 0;
  #owedCount = 0;
  /** Rises when owed answers lose their addressee. */
  #reign = 0;
  #isHeld: boolean;
  #isClosed = false;
  #isOverflowed = false;
  #duplicatesCount = 0;
  #malformedCount = 0;

  /** A held session keeps ordinary calls back until {@link release}. */
  constructor(events: SessionEvents, isHeld: boolean, limits: SessionLimits = DEFAULT_SESSION_LIMITS) {
    this.#events = events;
    this.#limits = limits;
    this.#isHeld = isHeld;
    this.#header = { seq: 0, recvSeq: 0, id: 0, command: 0, error: 0, flags: 0 };
  }

  /** Greatest seq received from the peer. */
  get receivedSeq(): number {
    return this.#receivedSeq;
  }

  /** Frames that were dropped because they had come before. */
  get duplicatesCount(): number {
    return this.#duplicatesCount;
  }

  /** Requests of the peer that its handler could not decode. */
  get malformedCount(): number {
    return this.#malformedCount;
  }

  /** Requests of this side without an answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** The peer acknowledges too little: the answers owed to it no longer fit, and the session must be given up. */
  get isOverflowed(): boolean {
    return this.#isOverflowed;
  }

  /** True if {@link drain} would write something. */
  get hasOutput(): boolean {
    return this.#outbox.hasUnsent || this.#isAcknowledgementDue;
  }

  /**
   * Sends a request; `body` is copied before this returns. `done` is called exactly once: in the order of the peer's
   * frames, or by {@link close}. The result cancels it: `done` is not called any more, the peer may still act on it.
   *
   * @returns undefined when a limit forbids it; `done` is not called then.
   * @throws RangeError when the command is reserved or the body longer than a frame allows.
   */
  call(command: number, body: Uint8Array, done: Done, isBound = false): Cancel | undefined {
    if (!isU16(command) || (command >= RESERVED_MIN && command !== COMMAND_FAREWELL))
      throw new RangeError(`command 0x${command.toString(16)} is reserved or no 16-bit number`);
    if (body.length > FRAME_BODY_BYTES_MAX)
      throw new RangeError(`a request has at most ${FRAME_BODY_BYTES_MAX} bytes, not ${body.length}`);
    if (
      this.#isClosed ||
      this.#pending.size >= this.#limits.requestsInFlightMax ||
      this.#outbox.keptBytes > this.#limits.outboxBytesMax
    )
      return undefined;
    const request = this.#pending.add(command, done, isBound);
    const { id } = request;
    if (this.#isHeld && !isBound) request.ownBody = body.slice();
    else this.#send(request, body);
    return () => this.#cancel(id);
  }

  /**
   * Takes the next frame of the peer's stream.
   *
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_SEQUENCE`, `_COMMAND`, `_LIMIT`: the connection must be cut.
   * @throws what a `done` callback throws; the connection must be cut then, too.
   */
  receive(frame: Frame): void {
    if (frame.recvSeq > this.#outbox.lastSeq)
      throw outOfRange("acknowledged", frame.recvSeq, this.#outbox.lastSeq);
    this.#outbox.acknowledge(frame.recvSeq);
    if (frame.seq === 0) {
      if (frame.command !== COMMAND_HEARTBEAT) throw unexpectedCommand(frame.command);
      return;
    }
    if (frame.seq <= this.#receivedSeq) {
      this.#duplicatesCount += 1;
      return;
    }
    if (frame.seq !== this.#receivedSeq + 1) throw outOfRange("received", frame.seq, this.#receivedSeq);
    const hadOutput = this.hasOutput;
    this.#receivedSeq = frame.seq;
    this.#unacknowledgedBytes += FRAME_HEADER_BYTES + frame.body.length;
    if (frame.flags === FRAME_FLAG_RESPONSE) this.#takeAnswer(frame);
    else this.#takeRequest(frame);
    if (!hadOutput && this.#isAcknowledgementDue) this.#events.output();
  }

  /**
   * A connection to the peer stands: whatever it has not received is sent again.
   *
   * @param peerReceivedSeq - What the peer said it has received.
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_SEQUENCE` when that cannot be.
   */
  connected(peerReceivedSeq: number): void {
    const { acknowledgedSeq, lastSeq } = this.#outbox;
    if (peerReceivedSeq < acknowledgedSeq || peerReceivedSeq > lastSeq)
      throw outOfRange("acknowledged", peerReceivedSeq, lastSeq);
    this.#outbox.acknowledge(peerReceivedSeq);
    this.#outbox.rewind();
    this.#acknowledged();
  }

  /**
   * Another server, or the same one without memory of us: numbers start at 1, answers owed to the old one are
   * dropped, bound calls are aborted, other unanswered calls wait for {@link release}, keeping ids and order.
   */
  restart(): void {
    this.#reign += 1;
    this.#owedCount = 0;
    this.#receivedSeq = 0;
    this.#acknowledged();
    this.#isHeld = true;
    const aborted: number[] = [];
    for (const request of this.#pending.list()) {
      if (request.done !== undefined && !request.isBound) {
        this.#outbox.detach(request);
        request.isSent = false;
      } else {
        this.#outbox.drop(request);
        aborted.push(request.id);
      }
    }
    this.#outbox.clear();
    this.#abort(aborted);
  }

  /** Aborts the calls that concern this server only; their late answers are dropped. */
  abortBound(): void {
    const bound = this.#pending.list().filter(({ isBound }) => isBound);
    for (const id of bound.map((request) => request.id)) {
      const done = this.#pending.get(id)?.done;
      this.#cancel(id);
      done?.(CALL_ABORTED, EMPTY);
    }
  }

  /** Lets ordinary calls go, first those that waited, in their order. */
  release(): void {
    if (!this.#isHeld || this.#isClosed) return;
    this.#isHeld = false;
    for (const request of this.#pending.list()) {
      if (!request.isSent) this.#send(request, request.ownBody ?? EMPTY);
    }
  }

  /** Ends the session: every unanswered call gets {@link CALL_ABORTED}, every owed answer is dropped. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reign += 1;
    this.#abort(this.#pending.list().map(({ id }) => id));
  }

  /** Gives unsent frames to `write` until that returns false; a due acknowledgement goes alone if nothing else does. */
  drain(write: (bytes: Uint8Array) => boolean): void {
    this.#outbox.drain(write);
    if (!this.#outbox.hasUnsent && this.#isAcknowledgementDue) write(this.#acknowledgement());
  }

  /**
   * A frame outside the sequence: shows that we live and acknowledges what we received. It goes out when nothing
   * else did, so the session gives back what memory only a busy one needs.
   */
  heartbeat(): Uint8Array {
    this.#pending.trim();
    this.#outbox.trim();
    return this.#acknowledgement();
  }

  #acknowledgement(): Uint8Array {
    this.#acknowledged();
    const recvSeq = this.#receivedSeq;
    return encodeFrame({ seq: 0, recvSeq, id: 0, command: COMMAND_HEARTBEAT, error: 0, flags: 0 }, EMPTY);
  }

  get #isAcknowledgementDue(): boolean {
    return (
      this.#unacknowledgedBytes >= ACK_AFTER_BYTES ||
      this.#receivedSeq - this.#acknowledgingSeq >= ACK_AFTER_FRAMES
    );
  }

  #acknowledged(): void {
    this.#acknowledgingSeq = this.#receivedSeq;
    this.#unacknowledgedBytes = 0;
  }

  #takeAnswer(frame: Frame): void {
    const request = this.#pending.get(frame.id);
    if (request === undefined || !request.isSent)
      throw outOfRange("answered", frame.id, this.#pending.nextId - 1);
    const { done } = request;
    this.#remove(request);
    done?.(frame.error, frame.body);
  }

  #takeRequest(frame: Frame): void {
    const { id, command } = frame;
    if (command >= RESERVED_MIN && command !== COMMAND_FAREWELL) throw unexpectedCommand(command);
    if (this.#owedCount >= this.#limits.requestsInFlightMax)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_LIMIT",
        `the peer has more than ${this.#limits.requestsInFlightMax} unanswered requests`,
        this.#owedCount,
      );
    this.#owedCount += 1;
    const reign = this.#reign;
    let isAnswered = false;
    const respond: Respond = (error, body) => {
      invariant(!isAnswered, "a request is answered once");
      invariant(isU16(error), "an answer's error is a 16-bit number");
      isAnswered = true;
      if (reign === this.#reign) this.#answer(id, command, error, body);
    };
    try {
      this.#events.request(command, frame.body, respond);
    } catch (error) {
      if (isAnswered || !isMalformed(error)) throw error;
      this.#malformedCount += 1;
      respond(CALL_MALFORMED, EMPTY);
    }
  }

  #answer(id: number, command: number, error: number, body: Uint8Array): void {
    this.#owedCount -= 1;
    if (this.#outbox.keptBytes > this.#limits.outboxBytesMax) {
      this.#isOverflowed = true;
      this.#events.output();
      return;
    }
    this.#append(id, command, error, FRAME_FLAG_RESPONSE, body);
  }

  #send(request: PendingRequest, body: Uint8Array): void {
    const chunk = this.#append(request.id, request.command, 0, 0, body);
    this.#outbox.keep(request, chunk, body.length);
    request.isSent = true;
  }

  #append(
    id: number,
    command: number,
    error: number,
    flags: number,
    body: Uint8Array,
  ): ReturnType<Outbox["append"]> {
    const hadOutput = this.hasOutput;
    const header = this.#header;
    header.seq = this.#outbox.lastSeq + 1;
    header.recvSeq = this.#receivedSeq;
    header.id = id;
    header.command = command;
    header.error = error;
    header.flags = flags;
    const chunk = this.#outbox.append(header, body);
    this.#acknowledged();
    if (!hadOutput) this.#events.output();
    return chunk;
  }

  /** A request already sent stays known, so that its answer is expected; one not yet sent is gone. */
  #cancel(id: number): void {
    const request = this.#pending.get(id);
    if (request === undefined) return;
    request.done = undefined;
    if (request.isSent) this.#outbox.drop(request);
    else this.#remove(request);
  }

  /** Goes by ids: a callback may cancel a call whose turn has not come yet, and its record is another's then. */
  #abort(ids: readonly number[]): void {
    for (const id of ids) {
      const request = this.#pending.get(id);
      if (request === undefined) continue;
      const { done } = request;
      this.#remove(request);
      done?.(CALL_ABORTED, EMPTY);
    }
  }

  #remove(request: PendingRequest): void {
    this.#outbox.drop(request);
    this.#pending.remove(request);
  }
}

function isU16(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

function isMalformed(error: unknown): boolean {
  return error instanceof RangeError || (error instanceof HoldfastError && error.category === "protocol");
}
