/*
 * Limits of a session, each with its reason. Together they bound what one peer can make this process keep, whatever
 * that peer does or leaves undone.
 */

/** Greatest number of requests of one side without an answer: far above any working set, and bounded memory. */
export const REQUESTS_IN_FLIGHT_MAX = 16_384;

/** Greatest sum of the bodies of one side's unanswered requests: a peer that never answers costs no more. */
export const REQUEST_BYTES_MAX: number = 64 * 1024 * 1024;

/** Greatest number of bytes kept for resending to one peer: a peer that never acknowledges costs no more. */
export const OUTBOX_BYTES_MAX: number = 64 * 1024 * 1024;

/**
 * With more bytes than this unacknowledged, requests of the peer wait: it takes answers slower than it asks. Well above
 * one frame, since the newest chunk of an outbox is kept until its requests are answered.
 */
export const OUTBOX_BUSY_BYTES: number = 8 * 1024 * 1024;

/**
 * Greatest sum of the bodies of frames that wait and of {@link WAITING_FRAME_BYTES} for each. With more, the oldest goes on
 * all the same; a peer that has then left twice {@link OUTBOX_BYTES_MAX} unacknowledged takes nothing, and is cut off.
 */
export const INBOX_BYTES_MAX: number = 64 * 1024 * 1024;

/** What a frame that waits costs beside its body, a little more than measured: without it, empty ones would wait by the million. */
export const WAITING_FRAME_BYTES = 256;

/** An answer up to this size is kept whatever waits already: there are no more of them than unanswered requests. */
export const SMALL_ANSWER_BYTES: number = 4 * 1024;

/** Limits that a test, or a host with little memory, may lower. */
export interface SessionLimits {
  /** {@link REQUESTS_IN_FLIGHT_MAX} */
  readonly requestsInFlightMax: number;
  /** {@link REQUEST_BYTES_MAX} */
  readonly requestBytesMax: number;
  /** {@link OUTBOX_BYTES_MAX} */
  readonly outboxBytesMax: number;
  /** {@link OUTBOX_BUSY_BYTES} */
  readonly outboxBusyBytes: number;
  /** {@link INBOX_BYTES_MAX} */
  readonly inboxBytesMax: number;
}

/** The limits of a session unless told otherwise. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
  requestBytesMax: REQUEST_BYTES_MAX,
  outboxBytesMax: OUTBOX_BYTES_MAX,
  outboxBusyBytes: OUTBOX_BUSY_BYTES,
  inboxBytesMax: INBOX_BYTES_MAX,
};

/** Sessions of one server; more members are told to come again. */
export const SESSIONS_MAX = 4096;

/** Connections that may be greeting at the same time; one more cuts off the oldest of them. */
export const GREETING_CONNECTIONS_MAX = 256;

/** Of these, connections from one address, where the transport tells it: one host cannot take all places. */
export const GREETING_PER_ADDRESS_MAX = 128;

/** Evicted members a server remembers by itself; older ones are known to the layer above (its `admit`). */
export const EVICTED_MAX = 65_536;

/** Received frames after which an acknowledgement is sent alone, if no other frame carried one. */
export const ACK_AFTER_FRAMES = 256;

/** Received bytes after which an acknowledgement is sent alone, if no other frame carried one. */
export const ACK_AFTER_BYTES: number = 64 * 1024;

/** Requests that may wait for room in a session before further ones are refused. */
export const WAITING_REQUESTS_MAX = 16_384;
