/*
 * The member's side: one session with whichever server there is, over one connection at a time.
 *
 * Each connection runs through challenge, welcome and open. The machine remembers the term it met last: the same
 * term resumes the session, a later one restarts it (see session.ts), an earlier one is a server to turn away from.
 * A new server must be introduced before ordinary calls go to it: the owner gets `greeted`, makes the calls that
 * concern this server only (join, reclaim), then says `introduced`.
 */
import type { Cancel, Cryptography } from "@holdfast/environment";
import { FrameParser } from "@holdfast/wire-format";
import { COMMAND_CHALLENGE, COMMAND_FAREWELL, COMMAND_WELCOME, REFUSAL } from "./codes.ts";
import { FirstFrame } from "./first-frame.ts";
import {
  CHALLENGE_FRAME_BYTES,
  Challenge,
  PROTOCOL_VERSION,
  type SessionIdentity,
  WELCOME_FRAME_BYTES,
  Welcome,
  decodeGreetingPart,
  greetingFrame,
  isWelcomeProven,
} from "./greeting.ts";
import { firstPartBytes } from "./halves.ts";
import { Liveness, type LivenessVerdict } from "./liveness.ts";
import type { SessionLimits } from "./limits.ts";
import type { Done } from "./pending-requests.ts";
import type { SessionEvents } from "./session-events.ts";
import { Session } from "./session.ts";
import type { SessionTiming } from "./timing.ts";

/** Who a client is. */
export interface ClientMachineConfig {
  readonly identity: SessionIdentity;
  /** The member, not 0. */
  readonly rid: bigint;
  readonly isVoter: boolean;
  readonly timing: SessionTiming;
  readonly cryptography: Cryptography;
  readonly limits?: Partial<SessionLimits>;
}

/** What a client tells its owner, in the order of the server's bytes. */
export interface ClientMachineEvents extends SessionEvents {
  /** A server accepted us; `needsIntroduction`: ordinary calls wait for {@link ClientMachine.introduced}. */
  greeted(contact: {
    readonly term: bigint;
    readonly isNew: boolean;
    readonly needsIntroduction: boolean;
  }): void;
  /** We are refused, or turn away; unproven refusals come from a stranger and are never final. */
  refused(code: number, isProven: boolean): void;
  /** Half of what a read brings about waits: {@link ClientMachine.drain} it, and flush. */
  outputEarly(): void;
}

interface Link {
  readonly nonce: Uint8Array;
  readonly liveness: Liveness;
  readonly parser: FrameParser;
  step: "challenge" | "welcome" | "open" | "refused";
  first: FirstFrame;
  serverNonce: Uint8Array;
  unsentGreeting: Uint8Array | undefined;
}

/** A client's session and its connection. */
export class ClientMachine {
  readonly #config: ClientMachineConfig;
  readonly #events: ClientMachineEvents;
  readonly #session: Session;
  #link: Link | undefined;
  #attempt = 0;
  #term = 0n;
  #introducedTerm = 0n;
  #introducingTerm = 0n;
  #isLeaving = false;

  constructor(config: ClientMachineConfig, events: ClientMachineEvents) {
    if (config.rid === 0n) throw new RangeError("a member's rid is not 0");
    this.#config = config;
    this.#events = events;
    this.#session = new Session(events, true, config.limits);
  }

  /** The member. */
  get rid(): bigint {
    return this.#config.rid;
  }

  /** Term of the server met last; 0 before the first. */
  get term(): bigint {
    return this.#term;
  }

  /** True while a connection stands whose server accepted us. */
  get isOpen(): boolean {
    return this.#link?.step === "open";
  }

  /** True while ordinary calls go: the server is connected and knows what it must know of us. */
  get isIntroduced(): boolean {
    return this.isOpen && this.#introducedTerm === this.#term;
  }

  /** The session itself, for its counters. */
  get session(): Session {
    return this.#session;
  }

  /** A new connection was made; `nonce` is random and used once. */
  begin(nonce: Uint8Array, now: number): void {
    this.#attempt += 1;
    this.#link = {
      nonce,
      liveness: new Liveness(this.#config.timing, now),
      parser: new FrameParser(),
      step: "challenge",
      first: new FirstFrame({ command: COMMAND_CHALLENGE, frameBytes: CHALLENGE_FRAME_BYTES }),
      serverNonce: nonce,
      unsentGreeting: undefined,
    };
  }

  /** The connection is gone, or is not wanted any more. */
  end(): void {
    this.#link = undefined;
  }

  /**
   * Takes the connection's next bytes.
   *
   * @throws {@link SessionError}, FrameError: the connection must be cut.
   */
  receive(bytes: Uint8Array, now: number): void {
    const link = this.#link;
    if (link === undefined) return;
    link.liveness.heard(now);
    let offset = 0;
    if (link.step === "challenge") {
      offset = link.first.take(bytes);
      this.#takeChallenge(link);
    }
    if (link.step === "welcome") {
      offset += link.first.take(bytes.subarray(offset));
      this.#takeWelcome(link);
    }
    if (link.step !== "open" || this.#link !== link || offset === bytes.length) return;
    const session = this.#session;
    const earlyBytes = firstPartBytes(bytes.length);
    link.parser.push(offset === 0 ? bytes : bytes.subarray(offset), (frame) => {
      session.receive(frame);
      if (session.unsentBytes >= earlyBytes) this.#events.outputEarly();
      return this.#link === link;
    });
  }

  /** Gives unsent bytes to `write` until that returns false. */
  drain(write: (bytes: Uint8Array) => boolean, now: number): void {
    const link = this.#link;
    if (link === undefined) return;
    if (link.unsentGreeting !== undefined) {
      write(link.unsentGreeting);
      link.unsentGreeting = undefined;
    }
    if (link.step !== "open" || !this.#session.hasOutput) return;
    link.liveness.sent(now);
    this.#session.drain(write);
  }

  /** What the open connection needs, to be asked every `heartbeatMs`. */
  tick(now: number): LivenessVerdict {
    return this.#link?.step === "open" ? this.#link.liveness.tick(now) : "quiet";
  }

  /** Sends a request; see {@link Session.call}. A bound call is for the present server only and does not wait. */
  call(command: number, body: Uint8Array, done: Done, isBound = false): Cancel | undefined {
    return this.#session.call(command, body, done, isBound);
  }

  /** The server of `term` knows what it must know of us: ordinary calls go. */
  introduced(term: bigint): void {
    if (term !== this.#introducingTerm || term !== this.#term) return;
    this.#introducingTerm = 0n;
    this.#introducedTerm = term;
    this.#session.release();
  }

  /** The introduction failed: bound calls are aborted, the next greeting starts another. */
  introductionFailed(term: bigint): void {
    if (term !== this.#introducingTerm || term !== this.#term) return;
    this.#introducingTerm = 0n;
    this.#session.abortBound();
  }

  /** From now on greetings say that we leave: a server that has forgotten us lets us in once more (N30). */
  leave(): void {
    this.#isLeaving = true;
  }

  #takeChallenge(link: Link): void {
    const frame = link.first.frame();
    if (frame === undefined) return;
    const challenge = decodeGreetingPart(Challenge, frame.body);
    if (challenge.version !== PROTOCOL_VERSION) {
      this.#refuse(link, REFUSAL.WRONG_VERSION, false);
      return;
    }
    const { identity, rid, isVoter, cryptography } = this.#config;
    link.serverNonce = challenge.nonce;
    link.unsentGreeting = greetingFrame(
      {
        version: PROTOCOL_VERSION,
        fsid: identity.fsid,
        formatHash: identity.formatHash,
        rid,
        term: this.#term,
        attempt: this.#attempt,
        recvSeq: this.#session.receivedSeq,
        isVoter,
        isLeaving: this.#isLeaving,
        nonce: link.nonce,
      },
      challenge.nonce,
      identity.key,
      cryptography,
    );
    link.first = new FirstFrame({ command: COMMAND_WELCOME, frameBytes: WELCOME_FRAME_BYTES });
    link.step = "welcome";
  }

  #takeWelcome(link: Link): void {
    const frame = link.first.frame();
    if (frame === undefined) return;
    const { identity, cryptography } = this.#config;
    const welcome = decodeGreetingPart(Welcome, frame.body);
    const nonces = { client: link.nonce, server: link.serverNonce };
    const isProven = isWelcomeProven(frame.body, nonces, identity.key, cryptography);
    if (!isProven) this.#refuse(link, welcome.refusal === 0 ? REFUSAL.BAD_PROOF : welcome.refusal, false);
    else if (welcome.refusal !== 0) this.#refuse(link, welcome.refusal, true);
    else if (welcome.term < this.#term) this.#refuse(link, REFUSAL.STALE_TERM, true);
    else this.#open(link, welcome);
  }

  #refuse(link: Link, code: number, isProven: boolean): void {
    link.step = "refused";
    this.#events.refused(code, isProven);
  }

  #open(link: Link, { term, recvSeq, isFresh }: Welcome): void {
    const isNew = term !== this.#term;
    this.#term = term;
    // Only a leaving member is let in again by a server that has forgotten it, and with it what it did for that member:
    // all that may be said once more is farewell.
    const isForgotten = !isNew && isFresh;
    if (isNew || isFresh) this.#session.restart(isForgotten ? COMMAND_FAREWELL : undefined);
    this.#session.connected(recvSeq);
    link.step = "open";
    if (isForgotten) {
      this.#introducedTerm = term;
      this.#introducingTerm = 0n;
      this.#session.release();
    }
    const needsIntroduction = this.#introducedTerm !== term && this.#introducingTerm !== term;
    if (needsIntroduction) this.#introducingTerm = term;
    this.#events.greeted({ term, isNew, needsIntroduction });
  }
}
