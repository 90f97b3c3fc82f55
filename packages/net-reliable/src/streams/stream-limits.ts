/*
 * Limits of byte streams, each with its reason.
 */

/** Payload of a data frame: large enough that its header and its system calls do not count; nobody gathers it. */
export const STREAM_DATA_BYTES_MAX: number = 1024 * 1024;

/**
 * Bytes that a reader takes in before they are read: what a fast sender may be ahead of a slow reader. The system gives
 * memory only for what was ever reached, and a reader that keeps up reaches little.
 */
export const STREAM_WINDOW_BYTES: number = 8 * 1024 * 1024;

/** Streams of one side at a time, each with a connection and two windows at most. */
export const STREAMS_MAX = 128;

/** Streams with one peer at a time, so that one peer does not take every place. */
export const STREAMS_PER_PEER_MAX = 16;

/** Limits that may be given. */
export interface StreamLimits {
  readonly windowBytes: number;
  readonly streamsMax: number;
  readonly streamsPerPeerMax: number;
}

/** The limits unless told otherwise. */
export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  windowBytes: STREAM_WINDOW_BYTES,
  streamsMax: STREAMS_MAX,
  streamsPerPeerMax: STREAMS_PER_PEER_MAX,
};
