import type { Cancel } from "@holdfast/environment";
import type { CutReason } from "../errors.ts";
import type { IdentityOptions } from "../greeting.ts";
import type { SessionLimits } from "../limits.ts";
import type { Done } from "../pending-requests.ts";
import type { Respond } from "../session-events.ts";
import type { StreamLimits } from "../streams/stream-limits.ts";
import type { SessionTiming } from "../timing.ts";
import type { ReceivedStream, StreamHandler, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/**
 * Takes a request of a peer, in order, synchronously while frames are parsed. `id` is the request's for the life of
 * that peer: sent again to another server it has the same.
 */
export type RequestHandler = (
  rid: bigint,
  command: number,
  body: Uint8Array,
  respond: Respond,
  id: number,
) => void;

/** A server that was met for the first time. */
export interface ServerContact {
  /** Its term. */
  readonly term: bigint;
  /** False if the introduction to this server is repeated, because the one before failed. */
  readonly isNew: boolean;
  /** Calls that go ahead of the waiting ones, to this server only: another server aborts them. */
  readonly call: ClientSession["call"];
}

/** What a member's session is made of; either `address` or `findServer` is given. */
export interface ClientSessionOptions {
  /** What both sides must agree on, the key at least. */
  readonly identity: IdentityOptions;
  /** Where the server is, if it is always there. */
  readonly address?: string;
  /** Address of the newest server known, if any; asked before each connection. */
  findServer?(): Promise<string | undefined>;
  /** The member, not 0, and another one at each start of a program; a random number unless given. */
  readonly rid?: bigint;
  /** It takes part in elections; false unless given. */
  readonly isVoter?: boolean;
  /** `DEFAULT_SESSION_TIMING` unless given. */
  readonly timing?: SessionTiming;
  /** `DEFAULT_SESSION_LIMITS` where not given. */
  readonly limits?: Partial<SessionLimits>;
  /** Takes requests of the server, whose `rid` is the member's own; without it they fail with `CALL_UNKNOWN`. */
  readonly handle?: RequestHandler;
  /** Takes requests of the server that come with a byte stream; without it they fail. */
  readonly handleStream?: StreamHandler;
  /** `DEFAULT_STREAM_LIMITS` where not given. */
  readonly streamLimits?: Partial<StreamLimits>;
  /** Introduces the member to a new server (join, reclaim); ordinary calls wait until it resolves. */
  onServer?(contact: ServerContact): Promise<void>;
  /** Bytes came from the server of that term. */
  onHeard?(term: bigint): void;
  /** A server that knows the key refused the member for good; the session is closed. */
  onRefused?(code: number): void;
  /** The connection to a server that had accepted us is gone. */
  onDisconnected?(): void;
}

/** Counters of a session since its start. */
export interface ClientSessionStats {
  readonly greetedCount: number;
  readonly refusedCount: number;
  /** Connections that were cut because of what the server sent. */
  readonly cutMalformedCount: number;
  /** The same, by reason. */
  readonly cut: Readonly<Record<CutReason, number>>;
  readonly cutSilentCount: number;
  /** Servers that did not greet in time, or did not even answer in that time. */
  readonly greetingTimedOutCount: number;
  /** Answers to the server that were replaced by `CALL_ANSWER_DROPPED`. */
  readonly droppedAnswersCount: number;
  /** Requests of the server that our handler could not decode. */
  readonly malformedRequestsCount: number;
  /** Bytes of the server's frames that wait now. */
  readonly waitingBytes: number;
  /** Requests without an answer. */
  readonly pendingCount: number;
  /** Requests that wait for room. */
  readonly waitingCount: number;
  readonly streams: StreamStats;
}

/** A member's session with whichever server there is. */
export interface ClientSession {
  /** The member. */
  readonly rid: bigint;
  /** Term of the server met last; 0 before the first. */
  readonly term: bigint;
  /** True while a connection stands whose server accepted us. */
  readonly isConnected: boolean;
  /**
   * Every request up to this id has been answered or aborted: results that a server stores under them are not asked
   * for any more. To be put into the bodies of requests whose handlers store results.
   */
  readonly settledId: number;
  /**
   * Sends a request; `body` is copied. `done` is called exactly once, in the order of the server's frames, or with
   * `CALL_ABORTED` when the session closes, or with `CALL_OVERLOADED`; never before this returns, and not after the
   * returned cancel.
   */
  call(command: number, body: Uint8Array, done: Done): Cancel;
  /**
   * Sends a request and waits for its answer; `body` is copied. While too much is unanswered it waits for its turn first.
   *
   * @throws RequestError `ERR_HOLDFAST_REQUEST` with the answer's error; CancelledError when `signal` aborts.
   */
  request(command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * Sends a request that carries a byte stream, or whose answer does, on a connection of its own to the session's server;
   * while there is none it waits. It is sent once: after an error the server may or may not have acted. A stream goes on
   * while the session reconnects, and ends with it, and with its server.
   *
   * @throws StreamError `_CUT` (the session's end, another server), `_FAILED` with the code of the other side's error,
   * `_BROKEN`, `_LIMIT`, `_REFUSED`; CancelledError; whatever `source` throws.
   */
  requestStream(command: number, body: Uint8Array, options?: StreamRequestOptions): Promise<ReceivedStream>;
  /**
   * Says farewell and waits for its answer, over as many servers as it takes; at once if no server ever knew us. Streams are
   * ended first: who is gone does nothing any more.
   *
   * @throws as {@link request}: a signal bounds the wait (F10).
   */
  farewell(body: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Ends the session: every unanswered call is aborted, every stream ends. Idempotent. */
  close(): void;
  /** Counters for tests and metrics. */
  stats(): ClientSessionStats;
}
