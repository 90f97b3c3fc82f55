/*
 * One side of a session with one peer: numbers, acknowledgements, unanswered requests, unsent answers.
 *
 * A session outlives its connections. The rules that make it exactly-once, by their numbers in docs/protocols/sessions.md:
 *
 *   - Frames are numbered 1, 2, 3 … per direction. A connection goes on exactly where the greeting said, so a number that
 *     comes twice or leaves a gap is no accident of the network: the connection is cut (M1).
 *   - A request's number counts as received before its handler runs, and its answer goes to the session, not to the
 *     connection it came by: so an answer is never lost with a connection (N1).
 *   - Only a new server resets the numbers; answers owed to the old one are dropped, unanswered requests are sent
 *     again under their old ids (N14, N15).
 *   - Handlers and callbacks run synchronously, in the order of the frames. With too much of ours unacknowledged they
 *     wait in the inbox; they count as received all the same, or two sides that both wait would wait for ever.
 *
 * This machine reads no clock and does no I/O. Frames go in by `receive`; bytes come out by `drain`. It calls back
 * instead of returning effects, because it is the hot path: an effect per frame would cost more than the frame.
 */
import { type Cancel, invariant } from "@holdfast/environment";
import { FRAME_FLAG_RESPONSE, FRAME_HEADER_BYTES, type Frame } from "@holdfast/wire-format";
import { checkAnswer, checkAsked, checkRequest } from "./check-request.ts";
import { CALL_ABORTED, CALL_ANSWER_DROPPED, CALL_MALFORMED, COMMAND_HEARTBEAT } from "./codes.ts";
import { isPeersFault, outOfRange, overLimit, unexpectedCommand } from "./errors.ts";
import { heartbeatFrame } from "./heartbeat.ts";
import { Inbox } from "./inbox.ts";
import {
  ACK_AFTER_BYTES,
  ACK_AFTER_FRAMES,
  DEFAULT_SESSION_LIMITS,
  SMALL_ANSWER_BYTES,
  type SessionLimits,
} from "./limits.ts";
import { type Chunk, Outbox } from "./outbox.ts";
import { type Done, type PendingRequest, PendingRequests } from "./pending-requests.ts";
import type { Respond, SessionEvents } from "./session-events.ts";

const EMPTY = new Uint8Array(0);

/** One side of a session. */
export class Session {
  readonly #events: SessionEvents;
  readonly #limits: SessionLimits;
  /** Unanswered requests of this side. */
  readonly #pending: PendingRequests = new PendingRequests();
  readonly #outbox: Outbox = new Outbox((id) => this.#pending.get(id));
  /** Frames of the peer that wait because it takes answers too slowly. */
  readonly #inbox: Inbox = new Inbox();
  readonly #header = { id: 0, command: 0, error: 0, flags: 0 };
  #receivedSeq = 0;
  /** The acknowledgement that travelled last, and the bytes received since. */
  #acknowledgingSeq = 0;
  #unacknowledgedBytes = 0;
  /** Bytes of the bodies of unanswered requests. */
  #pendingBytes = 0;
  #owedCount = 0;
  /** Rises when owed answers lose their addressee. */
  #reign = 0;
  #isHeld: boolean;
  #isClosed = false;
  #malformedCount = 0;
  #droppedAnswersCount = 0;

  /** A held session keeps ordinary calls back until {@link release}. */
  constructor(events: SessionEvents, isHeld: boolean, limits?: Partial<SessionLimits>) {
    this.#events = events;
    this.#limits = limits === undefined ? DEFAULT_SESSION_LIMITS : { ...DEFAULT_SESSION_LIMITS, ...limits };
    this.#isHeld = isHeld;
  }

  /** Greatest seq received from the peer. */
  get receivedSeq(): number {
    return this.#receivedSeq;
  }

  /** Requests of the peer that its handler could not decode. */
  get malformedCount(): number {
    return this.#malformedCount;
  }

  /** Answers that were replaced by {@link CALL_ANSWER_DROPPED}. */
  get droppedAnswersCount(): number {
    return this.#droppedAnswersCount;
  }

  /** Requests of this side without an answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Every request of this side up to this id has its answer, or was aborted. */
  get settledId(): number {
    return this.#pending.settledId;
  }

  /** Bytes of the peer's frames that wait. */
  get waitingBytes(): number {
    return this.#inbox.bytes;
  }

  /** True if {@link drain} would write something. */
  get hasOutput(): boolean {
    return this.#outbox.hasUnsent || this.#isAcknowledgementDue();
  }

  /** Bytes of frames that {@link drain} would write. */
  get unsentBytes(): number {
    return this.#outbox.unsentBytes;
  }

  /**
   * Sends a request; `body` is copied before this returns. `done` is called exactly once: in the order of the peer's
   * frames, or by {@link close}. The result cancels it: `done` is not called any more, the peer may still act on it.
   *
   * @returns undefined when a limit forbids it; `done` is not called then.
   * @throws RangeError when the command is reserved or the body longer than a frame allows.
   */
  call(command: number, body: Uint8Array, done: Done, isBound = false): Cancel | undefined {
    checkRequest(command, body);
    // What waits for a server's acquaintance keeps its room meanwhile: an introduction needs none, or it would never end.
    if (this.#isClosed || (!isBound && !this.#hasRoom(body.length))) return undefined;
    const request = this.#pending.add(command, done, isBound);
    const { id } = request;
    request.bodyBytes = body.length;
    this.#pendingBytes += body.length;
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
    this.#outbox.acknowledge(frame.recvSeq);
    if (!this.#inbox.isEmpty) this.#takeWaiting();
    if (frame.seq === 0) {
      if (frame.command !== COMMAND_HEARTBEAT) throw unexpectedCommand(frame.command);
      return;
    }
    if (frame.seq !== this.#receivedSeq + 1) throw outOfRange("sent", frame.seq, this.#receivedSeq);
    while (this.#inbox.bytes > this.#limits.inboxBytesMax) this.#takeOverdue();
    if (this.#isClosed) return;
    this.#check(frame);
    this.#receivedSeq = frame.seq;
    this.#unacknowledgedBytes += FRAME_HEADER_BYTES + frame.body.length;
    if (!this.#inbox.isEmpty || (frame.flags === 0 && this.#isBusy())) this.#inbox.add(frame);
    else this.#take(frame);
    if (!this.#outbox.hasUnsent && this.#isAcknowledgementDue()) this.#events.output();
  }

  /**
   * A connection to the peer stands: whatever it has not received is sent again.
   *
   * @param peerReceivedSeq - What the peer said it has received.
   * @throws {@link SessionError} `ERR_HOLDFAST_SESSION_SEQUENCE` when that cannot be.
   */
  connected(peerReceivedSeq: number): void {
    const { acknowledgedSeq, lastSeq } = this.#outbox;
    if (peerReceivedSeq < acknowledgedSeq) throw outOfRange("acknowledged", peerReceivedSeq, lastSeq);
    this.#outbox.acknowledge(peerReceivedSeq);
    this.#outbox.rewind();
    this.#acknowledged();
  }

  /** Breaks the first rule on purpose: what the peer was not told to be received comes once more. */
  forgetUnacknowledged(): void {
    this.#receivedSeq = this.#acknowledgingSeq;
  }

  /**
   * Another server, or the same one without memory of us: numbers start at 1, answers owed to the old one are
   * dropped, bound calls are aborted, other unanswered calls (only those of `command`, if one is given) wait for
   * {@link release}, keeping ids and order.
   */
  restart(command?: number): void {
    this.#reign += 1;
    this.#owedCount = 0;
    this.#inbox.clear();
    this.#receivedSeq = 0;
    this.#acknowledged();
    this.#isHeld = true;
    const aborted: number[] = [];
    for (const request of this.#pending.list()) {
      const isWanted = request.done !== undefined && !request.isBound;
      if (isWanted && (command === undefined || request.command === command)) {
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
    this.#inbox.clear();
    this.#abort(this.#pending.list().map(({ id }) => id));
  }

  /** Gives unsent frames to `write` until that returns false; a due acknowledgement goes alone if nothing else does. */
  drain(write: (bytes: Uint8Array) => boolean): void {
    if (this.#outbox.hasUnsent) {
      this.#outbox.drain(this.#receivedSeq, write);
      this.#acknowledged();
    }
    if (!this.#outbox.hasUnsent && this.#isAcknowledgementDue()) write(this.#acknowledgement());
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
    return heartbeatFrame(this.#receivedSeq);
  }

  /** A method, as {@link #isBusy}: V8 calls into its runtime for a private getter, once per frame here. */
  #isAcknowledgementDue(): boolean {
    return (
      this.#unacknowledgedBytes >= ACK_AFTER_BYTES ||
      this.#receivedSeq - this.#acknowledgingSeq >= ACK_AFTER_FRAMES
    );
  }

  #acknowledged(): void {
    this.#acknowledgingSeq = this.#receivedSeq;
    this.#unacknowledgedBytes = 0;
  }

  /** True while the peer has acknowledged so little that its requests must wait. */
  #isBusy(): boolean {
    return this.#outbox.keptBytes > this.#limits.outboxBusyBytes;
  }

  #hasRoom(bodyBytes: number): boolean {
    const { requestsInFlightMax, requestBytesMax, outboxBytesMax } = this.#limits;
    return (
      this.#pending.size < requestsInFlightMax &&
      this.#pendingBytes + bodyBytes <= requestBytesMax &&
      this.#outbox.keptBytes <= outboxBytesMax
    );
  }

  /** A handler may close the session, which empties the inbox. */
  #takeWaiting(): void {
    while (!this.#isBusy()) {
      const frame = this.#inbox.take();
      if (frame === undefined) return;
      this.#take(frame);
    }
  }

  /** A frame that breaks the rules is not counted as received: it changes nothing. */
  #check({ flags, id, command }: Frame): void {
    if (flags === FRAME_FLAG_RESPONSE) return void this.#awaited(id);
    checkAsked(command);
    if (this.#owedCount >= this.#limits.requestsInFlightMax)
      throw overLimit("unanswered requests", this.#limits.requestsInFlightMax);
    this.#owedCount += 1;
  }

  /** The request that an answer is for; one of two answers that waited for their turn has none any more. */
  #awaited(id: number): PendingRequest {
    const request = this.#pending.get(id);
    if (request?.isSent !== true) throw outOfRange("answered", id, this.#pending.nextId - 1);
    return request;
  }

  /** Too much waits: the oldest goes on although its answer may be dropped, unless the peer takes nothing at all. */
  #takeOverdue(): void {
    const keptBytesMax = 2 * this.#limits.outboxBytesMax;
    if (this.#outbox.keptBytes > keptBytesMax) throw overLimit("unacknowledged bytes", keptBytesMax);
    const frame = this.#inbox.take();
    if (frame !== undefined) this.#take(frame);
  }

  #take(frame: Frame): void {
    if (frame.flags === FRAME_FLAG_RESPONSE) this.#takeAnswer(frame);
    else this.#takeRequest(frame);
  }

  #takeAnswer(frame: Frame): void {
    const request = this.#awaited(frame.id);
    const { done } = request;
    this.#remove(request);
    done?.(frame.error, frame.body);
  }

  #takeRequest(frame: Frame): void {
    const { id, command } = frame;
    const reign = this.#reign;
    let isAnswered = false;
    const respond: Respond = (error, body) => {
      invariant(!isAnswered, "a request is answered once");
      checkAnswer(error, body);
      isAnswered = true;
      if (reign === this.#reign) this.#answer(id, command, error, body);
    };
    try {
      this.#events.request(command, frame.body, respond, id);
    } catch (error) {
      if (isAnswered || !isPeersFault(error)) throw error;
      this.#malformedCount += 1;
      respond(CALL_MALFORMED, EMPTY);
    }
  }

  #answer(id: number, command: number, error: number, body: Uint8Array): void {
    this.#owedCount -= 1;
    if (
      body.length > SMALL_ANSWER_BYTES &&
      this.#outbox.keptBytes + body.length > this.#limits.outboxBytesMax
    ) {
      this.#droppedAnswersCount += 1;
      this.#append(id, command, CALL_ANSWER_DROPPED, FRAME_FLAG_RESPONSE, EMPTY);
      return;
    }
    this.#append(id, command, error, FRAME_FLAG_RESPONSE, body);
  }

  #send(request: PendingRequest, body: Uint8Array): void {
    const chunk = this.#append(request.id, request.command, 0, 0, body);
    this.#outbox.keep(request, chunk, body.length);
    request.isSent = true;
  }

  #append(id: number, command: number, error: number, flags: number, body: Uint8Array): Chunk {
    const wasQuiet = !this.#outbox.hasUnsent;
    const header = this.#header;
    header.id = id;
    header.command = command;
    header.error = error;
    header.flags = flags;
    const chunk = this.#outbox.append(header, body);
    if (wasQuiet) this.#events.output();
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
    this.#pendingBytes -= request.bodyBytes;
    this.#pending.remove(request);
  }
}
