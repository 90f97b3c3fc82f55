import type { SessionPorts } from "./session-ports.ts";

/** What byte streams need of the world. */
export type StreamPorts = SessionPorts;

/** What takes part in an exchange gets or gives: a body, and bytes after it. */
export interface StreamMessage {
  /** Any bytes, at most 1 MiB; the meaning is the application's. */
  readonly body: Uint8Array;
  /**
   * Bytes that follow, any number, in any pieces; none unless given. A piece is the stream's until the next is asked for;
   * then it may be used again.
   */
  readonly stream?: AsyncIterable<Uint8Array>;
  /**
   * False leaves out the checksum over these bytes: for data that has one of its own. Lengths and positions are checked all
   * the same. Unless given, true where the connection does not notice every changed byte itself, as TLS does.
   */
  readonly isSummed?: boolean;
}

/** A request that came, or an answer. */
export interface ReceivedStream {
  readonly body: Uint8Array;
  /**
   * The bytes that follow. A piece is valid until the next is asked for. Leaving the loop early tells the other side to
   * stop; whoever wants nothing of it calls `return()`, or both sides wait.
   *
   * @throws StreamError while it is read, if it does not come whole.
   */
  readonly stream: AsyncIterableIterator<Uint8Array>;
}

/** A request with its stream, at the side that answers. */
export interface StreamRequest extends ReceivedStream {
  /** Who asks, or who is asked: the member. */
  readonly rid: bigint;
  readonly command: number;
  /** Aborts when the exchange ends before its time: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * Answers a request. What it throws reaches the other side as its code alone; what is left of the request's stream is
 * dropped when it has answered.
 */
export type StreamHandler = (request: StreamRequest) => Promise<StreamMessage>;

/** What to send with a request. */
export interface StreamRequestOptions {
  /** Bytes that go with the request; see {@link StreamMessage.stream}. */
  readonly source?: AsyncIterable<Uint8Array>;
  /** As {@link StreamMessage.isSummed}. */
  readonly isSummed?: boolean;
  /** Ends the exchange, whatever state it is in. */
  readonly signal?: AbortSignal;
}

/** Counters of one side since its start. */
export interface StreamStats {
  /** Exchanges that go on now. */
  readonly activeCount: number;
  /** Exchanges that ended with both streams whole, or stopped by their reader. */
  readonly completedCount: number;
  /** Exchanges that ended otherwise. */
  readonly brokenCount: number;
}
