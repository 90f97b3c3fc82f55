/*
 * Limits of a session, each with its reason.
 */

/** Greatest number of requests of one side without an answer: far above any working set, and bounded memory. */
export const REQUESTS_IN_FLIGHT_MAX = 16_384;

/** Greatest number of bytes kept for resending to one peer: a peer that never acknowledges costs no more. */
export const OUTBOX_BYTES_MAX: number = 64 * 1024 * 1024;

/** Sessions of one server; more members are told to come again. */
export const SESSIONS_MAX = 4096;

/** Connections that may be greeting at the same time; one more cuts off the oldest of them. */
export const GREETING_CONNECTIONS_MAX = 256;

/** Evicted members a server remembers by itself; older ones are known to the layer above (its `admit`). */
export const EVICTED_MAX = 65_536;

/** Received frames after which an acknowledgement is sent alone, if no other frame carried one. */
export const ACK_AFTER_FRAMES = 256;

/** Received bytes after which an acknowledgement is sent alone, if no other frame carried one. */
export const ACK_AFTER_BYTES: number = 64 * 1024;
