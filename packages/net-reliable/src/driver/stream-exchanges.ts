/*
 * The exchanges of one side: how many there are, how one is asked and how one is answered.
 */
import {
  CancelledError,
  HoldfastError,
  type Logger,
  SILENT_LOGGER,
  type ByteStream,
  makeAborter,
} from "@holdfast/environment";
import { StreamError, cut } from "../streams/stream-errors.ts";
import {
  DEFAULT_STREAM_LIMITS,
  STREAM_LOCAL_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  type StreamLimits,
} from "../streams/stream-limits.ts";
import type { SessionTiming } from "../timing.ts";
import { StreamConnection } from "./stream-connection.ts";
import type {
  ReceivedStream,
  StreamHandler,
  StreamPorts,
  StreamRequestOptions,
  StreamStats,
} from "./stream-ports.ts";

/** What the streams of one side are made of. */
export interface StreamSideOptions {
  /** Answers requests; without it they fail. */
  readonly handle?: StreamHandler | undefined;
  readonly timing: SessionTiming;
  /** `DEFAULT_STREAM_LIMITS` where not given. */
  readonly limits?: Partial<StreamLimits> | undefined;
}

const NOTHING: AsyncIterable<Uint8Array> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
};

const refuse: StreamHandler = () =>
  Promise.reject(
    new StreamError("ERR_HOLDFAST_STREAM_REFUSED", "this side takes no requests with streams", "UNKNOWN"),
  );

/** The exchanges of one side. */
export class StreamExchanges {
  readonly timing: SessionTiming;
  readonly limits: StreamLimits;
  readonly #ports: StreamPorts;
  readonly #log: Logger;
  readonly #handle: StreamHandler;
  readonly #active: Map<StreamConnection, bigint> = new Map();
  #completedCount = 0;
  #brokenCount = 0;

  constructor({ handle = refuse, timing, limits }: StreamSideOptions, ports: StreamPorts) {
    this.#handle = handle;
    this.timing = timing;
    this.limits = { ...DEFAULT_STREAM_LIMITS, ...limits };
    this.#ports = ports;
    this.#log = ports.log ?? SILENT_LOGGER;
  }

  /** True if there may be one more exchange with this peer. */
  hasRoom(rid: bigint): boolean {
    const { streamsMax, streamsPerPeerMax } = this.limits;
    if (this.#active.size >= streamsMax) return false;
    let count = 0;
    for (const peer of this.#active.values()) if (peer === rid) count += 1;
    return count < streamsPerPeerMax;
  }

  /** Makes an exchange of a stream whose two ends have greeted each other. */
  open(stream: ByteStream, rid: bigint): StreamConnection {
    // Bytes in the clear never leave the host; behind TLS, which authenticates them, they may.
    const isLocal = stream.isAuthenticated !== true;
    const connection = new StreamConnection({
      stream,
      ports: this.#ports,
      timing: this.timing,
      windowBytes: this.limits.windowBytes ?? (isLocal ? STREAM_LOCAL_WINDOW_BYTES : STREAM_WINDOW_BYTES),
      isLocal,
    });
    this.#active.set(connection, rid);
    void connection.ended.then((error) => {
      this.#active.delete(connection);
      if (error === undefined) this.#completedCount += 1;
      else this.#brokenCount += 1;
      if (error !== undefined)
        this.#log.debug({ event: "stream.ended", rid, err: error }, "stream ended before its time");
    });
    return connection;
  }

  /** Asks: sends a request and its stream, and waits for the answer's beginning. */
  async ask(
    connection: StreamConnection,
    request: { readonly command: number; readonly body: Uint8Array },
    { source = NOTHING, isSummed = connection.isLocal, signal }: StreamRequestOptions,
  ): Promise<ReceivedStream> {
    const onAbort = (): void => connection.abort(new CancelledError("the stream", { cause: signal?.reason }));
    let sourceError: unknown;
    try {
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      void connection.ended.then(() => signal?.removeEventListener("abort", onAbort));
      connection.sendHeading({ command: request.command, isSummed }, request.body);
      void connection.send(source).then((error) => (sourceError = error));
      const { body } = await connection.heading;
      return { body, stream: readerOf(connection) };
    } catch (error) {
      connection.abort(error instanceof Error ? error : cut("the request failed", error));
      throw sourceError ?? error;
    }
  }

  /** Answers what comes; resolves when the answer has gone, or nobody waits for it any more. */
  async answer(connection: StreamConnection, rid: bigint): Promise<void> {
    const control = makeAborter();
    void connection.ended.then((error) => {
      if (error !== undefined) control.abort(error);
    });
    try {
      const { command, body } = await connection.heading;
      const { signal } = control;
      const message = await this.#handle({ rid, command, body, stream: readerOf(connection), signal });
      const { stream: source = NOTHING, isSummed = connection.isLocal } = message;
      connection.sendHeading({ command, isSummed }, message.body);
      const error = await connection.send(source);
      if (error !== undefined) this.#failed(rid, error);
    } catch (error) {
      if (connection.error === undefined) this.#failed(rid, error);
      connection.fail(error);
    }
    connection.stopReading();
  }

  /** Ends all exchanges with a peer. */
  cut(rid: bigint, error: StreamError): void {
    for (const [connection, peer] of this.#active) if (peer === rid) connection.abort(error);
  }

  /** Ends all exchanges that there are. */
  close(error: StreamError): void {
    for (const connection of this.#active.keys()) connection.abort(error);
  }

  /** Counters. */
  stats(): StreamStats {
    return {
      activeCount: this.#active.size,
      completedCount: this.#completedCount,
      brokenCount: this.#brokenCount,
    };
  }

  #failed(rid: bigint, error: unknown): void {
    const facts = { event: "stream.failed", rid, err: error };
    if (error instanceof HoldfastError) this.#log.debug(facts, "request with a stream failed");
    else this.#log.warn(facts, "request with a stream failed for no reason that its sender is told");
  }
}

/** The other side's stream, read once. */
function readerOf(connection: StreamConnection): AsyncIterableIterator<Uint8Array> {
  let isDone = false;
  const reader: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => reader,
    next: async () => {
      if (isDone) return { done: true, value: undefined };
      try {
        const result = await connection.next();
        if (result.done === true) isDone = true;
        return result;
      } catch (error) {
        isDone = true;
        throw error;
      }
    },
    return: () => {
      isDone = true;
      connection.stopReading();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  return reader;
}
