/*
 * Drives the member's side of a session: finds the server, dials, moves bytes between stream and machine, dials again.
 *
 * Frames are written at most once per turn of the event loop: calls made in one turn gather in the machine and
 * leave together from a microtask; answers to what a chunk of bytes brought leave when that chunk is done.
 */
import { type ByteStream, type Cancel, CancelledError, HoldfastError, deferred } from "@holdfast/environment";
import { Backoff } from "../backoff.ts";
import { ClientMachine } from "../client-machine.ts";
import { CALL_ABORTED, CALL_OVERLOADED, COMMAND_FAREWELL, isFinalRefusal, refusalName } from "../codes.ts";
import { RequestError } from "../errors.ts";
import { NONCE_BYTES, type SessionIdentity } from "../greeting.ts";
import type { Done } from "../pending-requests.ts";
import type { Respond } from "../session.ts";
import type { SessionTiming } from "../timing.ts";
import { type SessionPorts, failLater } from "./session-ports.ts";

/** Takes a request of a peer, in order, synchronously while frames are parsed. */
export type RequestHandler = (rid: bigint, command: number, body: Uint8Array, respond: Respond) => void;

/** A server that was met for the first time. */
export interface ServerContact {
  /** Its term. */
  readonly term: bigint;
  /** False if the introduction to this server is repeated, because the one before failed. */
  readonly isNew: boolean;
  /** Calls that go ahead of the waiting ones, to this server only: another server aborts them. */
  readonly call: ClientSession["call"];
}

/** What a member's session is made of. */
export interface ClientSessionOptions {
  readonly identity: SessionIdentity;
  /** The member, not 0. */
  readonly rid: bigint;
  readonly isVoter: boolean;
  readonly timing: SessionTiming;
  /** Address of the newest server known, if any. */
  findServer(): Promise<string | undefined>;
  /** Takes requests of the server; its `rid` is the member's own. */
  readonly handle: RequestHandler;
  /** Introduces the member to a new server (join, reclaim); ordinary calls wait until it resolves. */
  onServer(contact: ServerContact): Promise<void>;
  /** Bytes came from the server of that term. */
  onHeard(term: bigint): void;
  /** A server that knows the volume key refused the member for good; the session is closed. */
  onRefused(code: number): void;
  /** The connection to a server that had accepted us is gone. */
  onDisconnected(): void;
}

/** Counters of a session since its start. */
export interface ClientSessionStats {
  readonly greetedCount: number;
  readonly refusedCount: number;
  readonly cutMalformedCount: number;
  readonly cutSilentCount: number;
  readonly duplicatesCount: number;
  readonly pendingCount: number;
}

/** A member's session with whichever server there is. */
export interface ClientSession {
  /** Term of the server met last; 0 before the first. */
  readonly term: bigint;
  /** True while a connection stands whose server accepted us. */
  readonly isConnected: boolean;
  /**
   * Sends a request; `body` is copied. `done` is called exactly once, in the order of the server's frames, or with
   * `CALL_ABORTED` when the session closes, or with `CALL_OVERLOADED`; never before this returns, and not after the
   * returned cancel.
   */
  call(command: number, body: Uint8Array, done: Done): Cancel;
  /**
   * Sends a request and waits for its answer.
   *
   * @throws RequestError `ERR_HOLDFAST_REQUEST` with the answer's error; {@link CancelledError} when `signal` aborts.
   */
  request(command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Says farewell and waits for its answer, over as many servers as it takes; at once if no server ever knew us. */
  farewell(body: Uint8Array): Promise<void>;
  /** Ends the session: every unanswered call is aborted. Idempotent. */
  close(): void;
  /** Counters for tests and metrics. */
  stats(): ClientSessionStats;
}

/** Opens a member's session; it goes on until it is closed or refused. */
export function startClientSession(options: ClientSessionOptions, ports: SessionPorts): ClientSession {
  const session = new ClientDriver(options, ports);
  session.start();
  return session;
}

class ClientDriver implements ClientSession {
  readonly #options: ClientSessionOptions;
  readonly #ports: SessionPorts;
  readonly #machine: ClientMachine;
  readonly #backoff: Backoff;
  readonly #write: (bytes: Uint8Array) => boolean;
  #stream: ByteStream | undefined;
  #attempt = 0;
  #contact = 0;
  #isBlocked = false;
  #isFlushDue = false;
  #isClosed = false;
  #cancelTimer: Cancel = () => {};
  #greetedCount = 0;
  #refusedCount = 0;
  #cutMalformedCount = 0;
  #cutSilentCount = 0;

  constructor(options: ClientSessionOptions, ports: SessionPorts) {
    const { identity, rid, isVoter, timing } = options;
    this.#options = options;
    this.#ports = ports;
    this.#backoff = new Backoff(timing);
    this.#machine = new ClientMachine(
      { identity, rid, isVoter, timing, cryptography: ports.cryptography },
      {
        request: (command, body, respond) => options.handle(rid, command, body, respond),
        output: () => this.#flushSoon(),
        greeted: ({ term, isNew, needsIntroduction }) => this.#greeted(term, isNew, needsIntroduction),
        refused: (code, isProven) => this.#refused(code, isProven),
      },
    );
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

  start(): void {
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#options.findServer().then(
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
    if (signal?.aborted === true)
      return Promise.reject(new CancelledError("the request", { cause: signal.reason }));
    const answer = deferred<Uint8Array>();
    const cancel = this.call(command, body, (error, bytes) => {
      signal?.removeEventListener("abort", onAbort);
      if (error === 0) answer.resolve(bytes.slice());
      else answer.reject(new RequestError(command, error, bytes.slice()));
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    return answer.promise;

    function onAbort(): void {
      cancel();
      answer.reject(new CancelledError("the request", { cause: signal?.reason }));
    }
  }

  async farewell(body: Uint8Array): Promise<void> {
    this.#machine.leave();
    if (this.#machine.term !== 0n) await this.request(COMMAND_FAREWELL, body);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#flush();
    this.#attempt += 1;
    this.#cancelTimer();
    this.#machine.end();
    this.#stream?.close();
    this.#stream = undefined;
    this.#machine.session.close();
  }

  stats(): ClientSessionStats {
    const { duplicatesCount, pendingCount } = this.#machine.session;
    return {
      greetedCount: this.#greetedCount,
      refusedCount: this.#refusedCount,
      cutMalformedCount: this.#cutMalformedCount,
      cutSilentCount: this.#cutSilentCount,
      duplicatesCount,
      pendingCount,
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
    const { clock, transport, log } = this.#ports;
    this.#cancelTimer();
    this.#cancelTimer = clock.at(clock.now() + this.#options.timing.greetingTimeoutMs, () => {
      log.debug({ event: "session.greeting-timed-out", address }, "server does not greet");
      this.#attempt += 1;
      if (this.#stream === undefined) this.#startLater();
      else this.#cut(this.#stream);
    });
    transport.dial(address).then(
      (stream) => {
        if (attempt === this.#attempt) this.#begin(stream);
        else stream.destroy();
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        log.debug({ event: "session.dial-failed", address, err: error }, "server does not answer");
        this.#startLater();
      },
    );
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
    try {
      this.#machine.receive(bytes, this.#ports.clock.now());
    } catch (error) {
      this.#cut(stream);
      if (!isPeersFault(error)) throw error;
      this.#cutMalformedCount += 1;
      this.#ports.log.warn({ event: "session.malformed", peer: stream.peer, err: error }, "server cut off");
      return;
    }
    if (this.#machine.isOpen) this.#options.onHeard(this.#machine.term);
    this.#flush();
  }

  #greeted(term: bigint, isNew: boolean, needsIntroduction: boolean): void {
    this.#greetedCount += 1;
    this.#backoff.accepted();
    this.#cancelTimer();
    this.#armTick();
    this.#ports.log.info({ event: "session.greeted", term, isNew }, "server accepted us");
    if (!needsIntroduction) return;
    this.#contact += 1;
    const contact = this.#contact;
    const call: ClientSession["call"] = (command, body, done) =>
      contact === this.#contact ? this.#submit(command, body, done, true) : failLater(done, CALL_ABORTED);
    this.#options.onServer({ term, isNew, call }).then(
      () => {
        if (contact === this.#contact) this.#machine.introduced(term);
      },
      (error: unknown) => this.#introductionFailed(contact, term, error),
    );
  }

  #introductionFailed(contact: number, term: bigint, error: unknown): void {
    if (contact !== this.#contact || this.#isClosed) return;
    this.#contact += 1;
    this.#ports.log.warn(
      { event: "session.introduction-failed", term, err: error },
      "server will be met again",
    );
    this.#machine.introductionFailed(term);
    if (this.#stream !== undefined) this.#cut(this.#stream);
  }

  #refused(code: number, isProven: boolean): void {
    this.#refusedCount += 1;
    const facts = { event: "session.refused", refusal: refusalName(code), isProven };
    if (isProven && isFinalRefusal(code)) {
      this.#ports.log.error(facts, "server refused us for good");
      this.#giveUp(code);
      return;
    }
    this.#ports.log.warn(facts, "server turned us away");
    if (this.#stream !== undefined) this.#cut(this.#stream);
  }

  #giveUp(code: number): void {
    const stream = this.#stream;
    this.#options.onRefused(code);
    this.close();
    stream?.destroy();
  }

  /** Ends the connection by our own decision. */
  #cut(stream: ByteStream): void {
    stream.destroy();
    this.#lost(stream);
  }

  #lost(stream: ByteStream): void {
    if (this.#stream !== stream) return;
    const wasOpen = this.#machine.isOpen;
    this.#stream = undefined;
    this.#machine.end();
    this.#startLater();
    if (!wasOpen) return;
    this.#ports.log.info({ event: "session.disconnected", term: this.term }, "connection to the server lost");
    this.#options.onDisconnected();
  }

  #armTick(): void {
    const { clock } = this.#ports;
    this.#cancelTimer = clock.at(clock.now() + this.#options.timing.heartbeatMs, () => this.#tick());
  }

  #tick(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const verdict = this.#machine.tick(this.#ports.clock.now());
    if (verdict === "dead") {
      this.#cutSilentCount += 1;
      this.#cut(stream);
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

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#stream !== undefined && !this.#isBlocked)
      this.#machine.drain(this.#write, this.#ports.clock.now());
    if (!this.#machine.session.isOverflowed || this.#isClosed) return;
    this.#ports.log.error({ event: "session.overflowed" }, "server acknowledges too little");
    this.#giveUp(CALL_OVERLOADED);
  }
}

/** True for errors that say something about the peer's bytes, not about this program. */
export function isPeersFault(error: unknown): boolean {
  return error instanceof RangeError || (error instanceof HoldfastError && error.category === "protocol");
}
