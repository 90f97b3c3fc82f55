import type { BrokenRules, Cancel } from "@holdfast/environment";
import type { CutReason } from "../errors.ts";
import type { IdentityOptions } from "../greeting.ts";
import type { SessionLimits } from "../limits.ts";
import type { Done } from "../pending-requests.ts";
import type { EndReason, PeerGreeting, ServerMachineCounts } from "../server-machine.ts";
import type { StreamLimits } from "../streams/stream-limits.ts";
import type { SessionTiming } from "../timing.ts";
import type { RequestHandler } from "./client-options.ts";
import type { ReceivedStream, StreamHandler, StreamRequestOptions, StreamStats } from "./stream-ports.ts";

/** What a server's sessions are made of. */
export interface ServerSessionsOptions {
  /** What both sides must agree on, the key at least. */
  readonly identity: IdentityOptions;
  /** Where to listen; port 0 picks a free one. */
  readonly listenAddress: string;
  /**
   * Term of this server, greater than that of any server before it, at least 1. Unless given, the milliseconds since
   * 1970: enough for one program that is started again, not for several that may think they serve.
   */
  readonly term?: bigint;
  /** `DEFAULT_SESSION_TIMING` unless given. */
  readonly timing?: SessionTiming;
  /** `DEFAULT_SESSION_LIMITS` where not given. */
  readonly limits?: Partial<SessionLimits>;
  /** Rules to break in a test run: "session-dedupe". */
  readonly brokenRules?: BrokenRules;
  /** Last word about a greeting: 0 or a refusal code; without it, who knows the key is let in. */
  admit?(greeting: PeerGreeting): number;
  /** Takes requests of members; without it they fail with `CALL_UNKNOWN`. */
  readonly handle?: RequestHandler;
  /** Takes requests of members that come with a byte stream, on connections to the same address; without it they fail. */
  readonly handleStream?: StreamHandler;
  /** `DEFAULT_STREAM_LIMITS` where not given. */
  readonly streamLimits?: Partial<StreamLimits>;
  /** The member is connected and was not before. */
  onPeerUp?(rid: bigint): void;
  /** The member is not connected any more; its session is kept unless it was forgotten or evicted. */
  onPeerDown?(rid: bigint): void;
  /** The member has been away for `timing.forgetMs`; told once per absence. Without it, its session is forgotten. */
  onPeerExpired?(rid: bigint): void;
}

/** Counters of a server since its start. */
export interface ServerSessionsStats extends ServerMachineCounts {
  readonly sessionsCount: number;
  readonly greetingCount: number;
  readonly refusedCount: number;
  /** Refused greetings, of sessions and of streams, by name of the refusal; those of the layer above as `OTHER`. */
  readonly refused: Readonly<Record<string, number>>;
  /** Connections that were cut because of what the peer sent. */
  readonly cutMalformedCount: number;
  /** The same, by reason. */
  readonly cut: Readonly<Record<CutReason, number>>;
  /** Connections ended by this side, by reason. */
  readonly ended: Readonly<Record<EndReason, number>>;
  readonly streams: StreamStats;
}

/** The sessions of one server. */
export interface ServerSessions {
  /** Where members dial. */
  readonly address: string;
  /** Term of this server. */
  readonly term: bigint;
  /**
   * Sends a request to a member, connected or not; `body` is copied. `done` is called exactly once, never before this
   * returns: with the answer, `CALL_ABORTED` (forgotten, evicted, closed), `CALL_NO_SESSION` or `CALL_OVERLOADED`.
   */
  call(rid: bigint, command: number, body: Uint8Array, done: Done): Cancel;
  /**
   * The same as a promise.
   *
   * @throws RequestError `ERR_HOLDFAST_REQUEST` with the answer's error; CancelledError when `signal` aborts.
   */
  request(rid: bigint, command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * Asks a member with a byte stream: the counterpart of `ClientSession.requestStream`, with the same errors. The member is
   * called through its session and dials; `_CUT` when it does not come within `timing.peerTimeoutMs`.
   */
  requestStream(
    rid: bigint,
    command: number,
    body: Uint8Array,
    options?: StreamRequestOptions,
  ): Promise<ReceivedStream>;
  /** True if the member has a connection. */
  isConnected(rid: bigint): boolean;
  /** Drops a member's session after its farewell; answers already given still go out, its streams end. */
  forget(rid: bigint): void;
  /** Drops a member's session and its streams, and refuses that member from now on. */
  evict(rid: bigint): void;
  /** Stops listening and ends all sessions and streams; calls to members are aborted. Idempotent. */
  close(): Promise<void>;
  /** Counters for tests and metrics. */
  stats(): ServerSessionsStats;
}
