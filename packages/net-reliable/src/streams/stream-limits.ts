/*
 * Limits of byte streams, each with its reason.
 */

/** Payload of a data frame: large enough that its header and its system calls do not count; nobody gathers it. */
export const STREAM_DATA_BYTES_MAX: number = 1024 * 1024;

/**
 * Bytes that a reader takes in before they are read, when the sender may be on another host: a window is what one round
 * trip carries, here 10 Gbit/s over 6 ms. The system gives memory only for what was ever reached.
 */
export const STREAM_WINDOW_BYTES: number = 8 * 1024 * 1024;

/**
 * The same within one host, where a round trip is some microseconds, but either side may lose its processor for hundreds:
 * four frames of four segments of 64 KiB, and one segment more for what is left of a piece. More are more than the system's
 * congestion control (BBR) lets a connection have under way before it slows it down.
 */
export const STREAM_LOCAL_WINDOW_BYTES: number = 17 * 64 * 1024;

/** Streams of one side at a time, each with a connection and two windows at most. */
export const STREAMS_MAX = 128;

/** Streams with one peer at a time, so that one peer does not take every place. */
export const STREAMS_PER_PEER_MAX = 16;

/** Limits that may be given. */
export interface StreamLimits {
  /** {@link STREAM_LOCAL_WINDOW_BYTES} where bytes are in the clear, which never leave the host, else {@link STREAM_WINDOW_BYTES}. */
  readonly windowBytes: number | undefined;
  readonly streamsMax: number;
  readonly streamsPerPeerMax: number;
}

/** The limits unless told otherwise. */
export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  windowBytes: undefined,
  streamsMax: STREAMS_MAX,
  streamsPerPeerMax: STREAMS_PER_PEER_MAX,
};
