/*
 * Drives the member's side of a session: finds the server, dials, moves bytes between stream and machine, dials again.
 *
 * Frames are written at most once per turn of the event loop: calls made in one turn gather in the machine and
 * leave together from a microtask; answers to what a chunk of bytes brought leave when that chunk is done.
 */
import { type ByteStream, type Cancel, makeAborter } from "@holdfast/environment";
import { Backoff } from "../backoff.ts";
import { ClientMachine } from "../client-machine.ts";
import {
  CALL_ABORTED,
  CALL_OVERLOADED,
  COMMAND_COME,
  COMMAND_FAREWELL,
  isFinalRefusal,
  refusalName,
} from "../codes.ts";
import { type CutCounts, cutCounts, cutReason, isPeersFault } from "../errors.ts";
import { NONCE_BYTES, completeIdentity } from "../greeting.ts";
import type { Done } from "../pending-requests.ts";
import { cut, refused } from "../streams/stream-errors.ts";
import { DEFAULT_SESSION_TIMING, type SessionTiming, checkSessionTiming } from "../timing.ts";
import type { ClientSession, ClientSessionOptions, ClientSessionStats } from "./client-options.ts";
import { FailingDials } from "./failing-dials.ts";
import { Introductions } from "./introductions.ts";
import { LogLimit } from "./log-limit.ts";
import { Requests } from "./requests.ts";
import { type SessionPorts, failLater, randomRid, refuseUnknown, withLog } from "./session-ports.ts";
import { ClientStreams } from "./stream-client.ts";
import type { ReceivedStream, StreamRequestOptions } from "./stream-ports.ts";

/** Drives one client machine. */
export class ClientDriver implements ClientSession {
  readonly rid: bigint;
  readonly #options: ClientSessionOptions;
  readonly #timing: SessionTiming;
  readonly #findServer: () => Promise<string | undefined>;
  readonly #ports: Required<SessionPorts>;
  readonly #machine: ClientMachine;
  readonly #backoff: Backoff;
  readonly #requests: Requests;
  readonly #streams: ClientStreams;
  readonly #introductions: Introductions;
  readonly #warnings: LogLimit;
  readonly #dials: FailingDials;
  readonly #write: (bytes: Uint8Array) => boolean;
  #stream: ByteStream | undefined;
  /** Of the newest connection's server. */
  #address = "";
  #attempt = 0;
  #isBlocked = false;
  #isFlushDue = false;
  #isClosed = false;
  #cancelTimer: Cancel = () => {};
  #giveUpDialling: Cancel = () => {};
  #cancelLook: Cancel = () => {};
  readonly #counts = { greetedCount: 0, refusedCount: 0, cutSilentCount: 0, greetingTimedOutCount: 0 };
  readonly #cut: CutCounts = cutCounts();

  constructor(options: ClientSessionOptions, ports: SessionPorts) {
    const { address, handle = refuseUnknown, limits, timing = DEFAULT_SESSION_TIMING } = options;
    const findServer = options.findServer?.bind(options);
    if ((address === undefined) === (findServer === undefined))
      throw new TypeError("a session needs either the server's address or findServer, to find it");
    const { rid = randomRid(ports.random) } = options;
    this.rid = rid;
    this.#options = options;
    // How long others take to recover is theirs to say (`checkSessionTiming` with their time).
    checkSessionTiming(timing, Number.POSITIVE_INFINITY);
    this.#timing = timing;
    this.#findServer = findServer ?? (() => Promise.resolve(address));
    this.#ports = withLog(ports);
    this.#backoff = new Backoff(timing);
    this.#warnings = new LogLimit(ports.clock, this.#ports.log);
    this.#dials = new FailingDials(ports.clock, this.#ports.log, 2 * timing.greetingTimeoutMs);
    const identity = completeIdentity(options.identity);
    this.#streams = new ClientStreams(
      rid,
      { identity, cryptography: ports.cryptography },
      { handle: options.handleStream, limits: options.streamLimits, timing },
      this.#ports,
    );
    this.#machine = new ClientMachine(
      {
        identity,
        rid,
        isVoter: options.isVoter ?? false,
        timing,
        cryptography: ports.cryptography,
        ...(limits === undefined ? {} : { limits }),
      },
      {
        request: (command, body, respond, id) =>
          command === COMMAND_COME
            ? this.#streams.called(body, respond)
            : handle(rid, command, body, respond, id),
        output: () => this.#flushSoon(),
        outputEarly: () => this.#flush(true),
        greeted: ({ term, isNew, needsIntroduction }) => this.#greeted(term, isNew, needsIntroduction),
        refused: (code, isProven) => this.#refused(code, isProven),
      },
    );
    this.#requests = new Requests((command, body, done) =>
      this.#isClosed ? failLater(done, CALL_ABORTED) : this.#machine.call(command, body, done),
    );
    this.#introductions = new Introductions({
      introduce: (contact) => options.onServer?.(contact),
      callBound: (command, body, done) => this.#submit(command, body, done, true),
      introduced: (term) => this.#introduced(term),
      failed: (term, error) => this.#introductionFailed(term, error),
    });
    this.#write = (bytes) => {
      if (this.#stream?.write(bytes) === false) this.#isBlocked = true;
      return !this.#isBlocked;
    };
  }

  get term(): bigint {
    return this.#machine.term;
  }

  get isConnected(): boolean {
    return this.#machine.isOpen;
  }

  get settledId(): number {
    return this.#machine.session.settledId;
  }

  start(): void {
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#cancelLook();
    this.#findServer().then(
      (address) => {
        if (attempt !== this.#attempt) return;
        if (address === undefined) this.#startLater();
        else this.#dial(address, attempt);
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#ports.log.warn({ event: "session.find-failed", err: error }, "cannot look for the server");
        this.#startLater();
      },
    );
  }

  call(command: number, body: Uint8Array, done: Done): Cancel {
    return this.#submit(command, body, done, false);
  }

  request(command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#requests.request(command, body, signal);
  }

  requestStream(command: number, body: Uint8Array, options?: StreamRequestOptions): Promise<ReceivedStream> {
    return this.#streams.request(command, body, options);
  }

  async farewell(body: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#streams.end(cut("the member leaves"));
    this.#machine.leave();
    if (this.#machine.term !== 0n) await this.request(COMMAND_FAREWELL, body, signal);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#flush();
    this.#attempt += 1;
    this.#cancelTimer();
    this.#cancelLook();
    this.#giveUpDialling();
    this.#machine.end();
    this.#stream?.close();
    this.#stream = undefined;
    this.#machine.session.close();
    this.#requests.resume();
    this.#streams.end(cut("the session was closed"));
  }

  stats(): ClientSessionStats {
    const { droppedAnswersCount, malformedCount, pendingCount, waitingBytes } = this.#machine.session;
    return {
      ...this.#counts,
      cutMalformedCount: Object.values(this.#cut).reduce((sum, count) => sum + count, 0),
      cut: { ...this.#cut },
      droppedAnswersCount,
      malformedRequestsCount: malformedCount,
      waitingBytes,
      pendingCount,
      waitingCount: this.#requests.waitingCount,
      streams: this.#streams.stats(),
    };
  }

  #submit(command: number, body: Uint8Array, done: Done, isBound: boolean): Cancel {
    if (this.#isClosed) return failLater(done, CALL_ABORTED);
    return this.#machine.call(command, body, done, isBound) ?? failLater(done, CALL_OVERLOADED);
  }

  #startLater(): void {
    if (this.#isClosed) return;
    const { clock, random } = this.#ports;
    this.#cancelTimer();
    this.#cancelTimer = clock.at(clock.now() + this.#backoff.next(random.u32()), () => this.start());
  }

  /** Dials; from here to the accepted greeting there are `greetingTimeoutMs`. */
  #dial(address: string, attempt: number): void {
    const { clock, transport } = this.#ports;
    this.#address = address;
    const giveUp = makeAborter();
    this.#giveUpDialling = () => giveUp.abort();
    this.#cancelTimer();
    this.#cancelTimer = clock.at(clock.now() + this.#timing.greetingTimeoutMs, () => {
      this.#counts.greetingTimedOutCount += 1;
      this.#dials.failed({ event: "session.greeting-timed-out", address }, "server does not greet");
      this.#attempt += 1;
      this.#giveUpDialling();
      if (this.#stream === undefined) this.#startLater();
      else this.#hangUp(this.#stream);
    });
    this.#lookAgain(address, attempt, this.#timing.heartbeatMs / 2);
    transport.dial(address, giveUp.signal).then(
      (stream) => {
        if (attempt === this.#attempt) this.#begin(stream);
        else stream.destroy();
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#dials.failed({ event: "session.dial-failed", address, err: error }, "server does not answer");
        this.#startLater();
      },
    );
  }

  /** A server that stands still greets nobody, and meanwhile another one may have taken its place. */
  #lookAgain(address: string, attempt: number, afterMs: number): void {
    const { clock, log } = this.#ports;
    this.#cancelLook();
    this.#cancelLook = clock.at(clock.now() + afterMs, () => {
      if (attempt !== this.#attempt) return;
      this.#findServer().then(
        (found) => {
          if (attempt !== this.#attempt || this.isConnected) return;
          if (found === undefined || found === address) this.#lookAgain(address, attempt, 2 * afterMs);
          else this.#turnTo(found);
        },
        // Who does not greet in time is looked for anew, and then the reason is told.
        (error: unknown) =>
          log.debug({ event: "session.find-failed", err: error }, "cannot look for the server"),
      );
    });
  }

  #turnTo(address: string): void {
    this.#attempt += 1;
    this.#giveUpDialling();
    this.#cancelTimer();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#machine.end();
    stream?.destroy();
    this.#dial(address, this.#attempt);
  }

  #begin(stream: ByteStream): void {
    const { clock, random } = this.#ports;
    this.#stream = stream;
    this.#isBlocked = false;
    this.#machine.begin(random.bytes(NONCE_BYTES), clock.now());
    stream.start({
      data: (bytes) => this.#received(stream, bytes),
      closed: () => this.#lost(stream),
      drained: () => {
        if (this.#stream !== stream) return;
        this.#isBlocked = false;
        this.#flush();
      },
    });
  }

  #received(stream: ByteStream, bytes: Uint8Array): void {
    if (this.#stream !== stream) return;
    const now = this.#ports.clock.now();
    // What this brings leaves at its end, without a microtask.
    this.#isFlushDue = true;
    try {
      this.#machine.receive(bytes, now);
    } catch (error) {
      this.#isFlushDue = false;
      this.#hangUp(stream);
      if (!isPeersFault(error)) throw error;
      const reason = cutReason(error);
      this.#cut[reason] += 1;
      const facts = { event: "session.malformed", peer: stream.peer, reason, err: error };
      this.#warnings.warn(facts, "server cut off");
      return;
    }
    if (this.#machine.isOpen) this.#options.onHeard?.(this.#machine.term);
    if (this.#requests.waitingCount > 0) this.#requests.resume();
    this.#flush(false, now);
  }

  #greeted(term: bigint, isNew: boolean, needsIntroduction: boolean): void {
    this.#counts.greetedCount += 1;
    this.#backoff.accepted();
    this.#dials.ended();
    this.#cancelTimer();
    this.#cancelLook();
    this.#armTick();
    this.#ports.log.info({ event: "session.greeted", term, isNew }, "server accepted us");
    this.#tellStreams();
    if (needsIntroduction) this.#introductions.begin(term, isNew);
  }

  #introduced(term: bigint): void {
    this.#machine.introduced(term);
    if (this.#machine.isOpen) this.#tellStreams();
  }

  #tellStreams(): void {
    this.#streams.connected({ address: this.#address, term: this.term }, this.#machine.isIntroduced);
  }

  #introductionFailed(term: bigint, error: unknown): void {
    if (this.#isClosed) return;
    const facts = { event: "session.introduction-failed", term, err: error };
    this.#ports.log.warn(facts, "server will be met again");
    this.#machine.introductionFailed(term);
    if (this.#stream !== undefined) this.#hangUp(this.#stream);
  }

  #refused(code: number, isProven: boolean): void {
    this.#counts.refusedCount += 1;
    const facts = { event: "session.refused", refusal: refusalName(code), isProven };
    if (isProven && isFinalRefusal(code)) {
      this.#ports.log.error(facts, "server refused us for good");
      const stream = this.#stream;
      this.#streams.end(refused(refusalName(code)));
      this.#options.onRefused?.(code);
      this.close();
      stream?.destroy();
      return;
    }
    this.#warnings.warn(facts, "server turned us away");
    if (this.#stream !== undefined) this.#hangUp(this.#stream);
  }

  /** Ends the connection by our own decision. */
  #hangUp(stream: ByteStream): void {
    stream.destroy();
    this.#lost(stream);
  }

  #lost(stream: ByteStream): void {
    if (this.#stream !== stream) return;
    const wasOpen = this.#machine.isOpen;
    this.#stream = undefined;
    this.#machine.end();
    this.#streams.disconnected();
    this.#startLater();
    if (!wasOpen) return;
    this.#ports.log.info({ event: "session.disconnected", term: this.term }, "connection to the server lost");
    this.#options.onDisconnected?.();
  }

  #armTick(): void {
    const { clock } = this.#ports;
    this.#cancelTimer = clock.at(clock.now() + this.#timing.heartbeatMs, () => this.#tick());
  }

  #tick(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const verdict = this.#machine.tick(this.#ports.clock.now());
    if (verdict === "dead") {
      this.#counts.cutSilentCount += 1;
      this.#hangUp(stream);
      return;
    }
    if (verdict === "beat" && !this.#isBlocked) this.#write(this.#machine.session.heartbeat());
    this.#armTick();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    void Promise.resolve().then(() => this.#flush());
  }

  /** @param isEarly - Bytes are still being taken: what else they bring leaves at their end. */
  #flush(isEarly = false, now: number = this.#ports.clock.now()): void {
    this.#isFlushDue = isEarly;
    if (this.#stream === undefined || this.#isBlocked) return;
    this.#machine.drain(this.#write, now);
    if (isEarly) this.#stream.flush?.();
  }
}
