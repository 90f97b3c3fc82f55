import { type Frame, FrameParser } from "@holdfast/wire-format";
import { COMMAND_GREETING, COMMAND_STREAM_GREETING } from "./codes.ts";
import { SessionError } from "./errors.ts";
import { type DueFrame, FirstFrame } from "./first-frame.ts";
import { GREETING_FRAME_BYTES, challengeFrame } from "./greeting.ts";
import { firstPartBytes } from "./halves.ts";
import type { Liveness } from "./liveness.ts";
import type { Session } from "./session.ts";
import type { StreamGreeting } from "./streams/stream-greeting-layouts.ts";
import { STREAM_GREETING_FRAME_BYTES } from "./streams/stream-greeting.ts";

/** What becomes of a greeting: its answer, and the session, or the stream's member, if it was accepted. */
export interface Reception<Accepted> {
  readonly welcome: Uint8Array;
  readonly accepted: Accepted | undefined;
}

/** Decides about a greeting; told again by `opened` or `handedOver` when the connection is ready to send. */
export interface Receptionist {
  receive(
    connection: ServerConnection,
    frame: Frame,
  ): Reception<{ readonly rid: bigint; readonly session: Session }>;
  receiveStream(connection: ServerConnection, frame: Frame): Reception<StreamVisit>;
  opened(connection: ServerConnection, rid: bigint): void;
  handedOver(connection: ServerConnection, visit: StreamVisit): void;
  /** Half of what a read brings about waits: {@link ServerConnection.drain} it, and flush. */
  outputEarly(connection: ServerConnection): void;
}

/** Whose byte stream has come, by which ticket (0: by none). */
export type StreamVisit = Pick<StreamGreeting, "rid" | "ticket">;

/** With what a connection may begin. */
const GREETINGS: readonly DueFrame[] = [
  { command: COMMAND_GREETING, frameBytes: GREETING_FRAME_BYTES },
  { command: COMMAND_STREAM_GREETING, frameBytes: STREAM_GREETING_FRAME_BYTES },
];

/** Where a connection comes from. */
export interface ConnectionOrigin {
  /** Random, used once. */
  readonly nonce: Uint8Array;
  /** The host that dialled, if the transport tells. */
  readonly address: string | undefined;
  /** When, in milliseconds of the driver's clock. */
  readonly acceptedAt: number;
}

/** One connection as the server sees it: greeting, then open, then ended; a stream's is handed over after its greeting. */
export class ServerConnection {
  /** When it was accepted, in milliseconds of the driver's clock. */
  readonly acceptedAt: number;
  /** The nonce of this connection. */
  readonly nonce: Uint8Array;
  /** The host that dialled, if the transport tells. */
  readonly address: string | undefined;
  readonly #receptionist: Receptionist;
  readonly #liveness: Liveness;
  #step: "greeting" | "open" | "refused" | "ended" = "greeting";
  #first: FirstFrame | undefined = new FirstFrame(...GREETINGS);
  #parser: FrameParser | undefined;
  #unsent: Uint8Array | undefined;
  #session: Session | undefined;
  #rid = 0n;

  constructor(receptionist: Receptionist, origin: ConnectionOrigin, liveness: Liveness) {
    const { nonce, address, acceptedAt } = origin;
    this.#receptionist = receptionist;
    this.nonce = nonce;
    this.address = address;
    this.acceptedAt = acceptedAt;
    this.#liveness = liveness;
    this.#unsent = challengeFrame(nonce);
  }

  /** The member at the other end; 0 before its greeting is accepted. */
  get rid(): bigint {
    return this.#rid;
  }

  /** True between an accepted greeting and the end. */
  get isOpen(): boolean {
    return this.#step === "open";
  }

  /** True if the greeting was refused: close the connection after what is unsent. */
  get isRefused(): boolean {
    return this.#step === "refused";
  }

  /** When to beat and when the peer is dead. */
  get liveness(): Liveness {
    return this.#liveness;
  }

  /**
   * Takes the connection's next bytes; ignores them once it has ended.
   *
   * @throws {@link SessionError}, FrameError: the connection must be cut.
   */
  receive(bytes: Uint8Array, now: number): void {
    this.#liveness.heard(now);
    let offset = 0;
    if (this.#first !== undefined && this.#step === "greeting") {
      offset = this.#first.take(bytes);
      const frame = this.#first.frame();
      if (frame === undefined) return;
      this.#first = undefined;
      if (frame.command === COMMAND_GREETING) this.#greet(frame);
      else this.#greetStream(frame, bytes.length - offset);
    }
    const session = this.#session;
    if (session === undefined || this.#parser === undefined || offset === bytes.length) return;
    const earlyBytes = firstPartBytes(bytes.length);
    this.#parser.push(offset === 0 ? bytes : bytes.subarray(offset), (frame) => {
      if (this.#step !== "open") return false;
      session.receive(frame);
      if (session.unsentBytes >= earlyBytes) this.#receptionist.outputEarly(this);
      return this.#step === "open";
    });
  }

  /** Gives unsent bytes to `write` until that returns false. */
  drain(write: (bytes: Uint8Array) => boolean, now: number): void {
    if (this.#unsent !== undefined) {
      write(this.#unsent);
      this.#unsent = undefined;
    }
    if (this.#session?.hasOutput !== true) return;
    this.#liveness.sent(now);
    this.#session.drain(write);
  }

  /** The frame to send when {@link liveness} wants a heartbeat. */
  heartbeat(): Uint8Array {
    return this.#session === undefined ? new Uint8Array(0) : this.#session.heartbeat();
  }

  /** Takes nothing in any more. */
  end(): void {
    this.#step = "ended";
  }

  /** Takes nothing in and sends nothing any more: its session lives on elsewhere. */
  detach(): void {
    this.#step = "ended";
    this.#session = undefined;
  }

  #greet(frame: Frame): void {
    const { welcome, accepted } = this.#receptionist.receive(this, frame);
    this.#unsent = welcome;
    if (accepted === undefined) {
      this.#step = "refused";
      return;
    }
    this.#rid = accepted.rid;
    this.#session = accepted.session;
    this.#parser = new FrameParser();
    this.#step = "open";
    this.#receptionist.opened(this, accepted.rid);
  }

  #greetStream(frame: Frame, followingBytes: number): void {
    if (followingBytes > 0)
      throw new SessionError(
        "ERR_HOLDFAST_SESSION_GREETING",
        `${followingBytes} bytes of a stream came before its welcome`,
        followingBytes,
      );
    const { welcome, accepted } = this.#receptionist.receiveStream(this, frame);
    this.#unsent = welcome;
    this.#step = accepted === undefined ? "refused" : "ended";
    if (accepted !== undefined) this.#receptionist.handedOver(this, accepted);
  }
}
