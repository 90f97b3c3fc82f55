/*
 * Limits of byte streams, each with its reason.
 */

/** Payload of a data frame: large enough that its header and its system calls do not count; nobody gathers it. */
export const STREAM_DATA_BYTES_MAX: number = 1024 * 1024;

/**
 * The first frames have so many bytes, the later ones an eighth of all that went before. A new connection takes little at
 * a time. Writes that find no room let the system's congestion control (BBR) conclude within its first round trips
 * that the connection is slow, and it goes on timing each segment, at half the speed.
 */
export const FIRST_FRAMES_BYTES: number = 16 * 1024;

/**
 * Bytes that a reader takes in before they are read, when the sender may be on another host: a window is what one round
 * trip carries, here 10 Gbit/s over 6 ms. The system gives memory only for what was ever reached.
 */
export const STREAM_WINDOW_BYTES: number = 8 * 1024 * 1024;

/**
 * The same within one host, where a round trip is some microseconds: what is under way should not leave the processors'
 * caches, since the network's pages are used again at once then. Measured, half of it and twice as much are each slower
 * by a third and more (`npm run bench -- streams`).
 */
export const STREAM_LOCAL_WINDOW_BYTES: number = 512 * 1024;

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
