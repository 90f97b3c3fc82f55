/*
 * The numbers of the NBD protocol (doc/proto.md of the NetworkBlockDevice project), all big-endian on the wire.
 *
 * They are the protocol's, not ours; what is not used here is left out.
 */

/** First eight bytes of every server: `NBDMAGIC`. */
export const SERVER_MAGIC: bigint = 0x4e42444d41474943n;
/** Second eight bytes of a newstyle server, and first of every option: `IHAVEOPT`. */
export const OPTION_MAGIC: bigint = 0x49484156454f5054n;
/** Second eight bytes of an oldstyle server, which cannot negotiate. */
export const OLDSTYLE_MAGIC: bigint = 0x00420281861253n;
/** First eight bytes of every reply to an option. */
export const OPTION_REPLY_MAGIC: bigint = 0x0003e889045565a9n;
/** First four bytes of a request. */
export const REQUEST_MAGIC = 0x25609513;
/** First four bytes of a simple reply. */
export const SIMPLE_REPLY_MAGIC = 0x67446698;
/** First four bytes of a chunk of a structured reply. */
export const CHUNK_MAGIC = 0x668e33ef;

/** Flags of both handshakes: what the server offers and the client echoes. */
export const HANDSHAKE: { readonly fixedNewstyle: 1; readonly noZeroes: 2 } = {
  fixedNewstyle: 1,
  noZeroes: 2,
};

/** Options of the negotiation. */
export const OPTION: {
  readonly abort: 2;
  readonly list: 3;
  readonly startTls: 5;
  readonly go: 7;
  readonly structuredReply: 8;
} = { abort: 2, list: 3, startTls: 5, go: 7, structuredReply: 8 };

/** Types of replies to options; errors have the highest bit. */
export const OPTION_REPLY: { readonly ack: 1; readonly server: 2; readonly info: 3 } = {
  ack: 1,
  server: 2,
  info: 3,
};

/** What a refusal of an option means, for people. */
export const OPTION_ERRORS: ReadonlyMap<number, string> = new Map([
  [0x80000001, "it does not know the option"],
  [0x80000002, "its policy forbids it"],
  [0x80000003, "it calls the option invalid"],
  [0x80000004, "its platform cannot do it"],
  [0x80000005, "it wants TLS first"],
  [0x80000006, "there is no such export"],
  [0x80000007, "it is shutting down"],
  [0x80000008, "it wants to be asked for its block sizes"],
  [0x80000009, "the request is too big for it"],
]);
/** Reply to an option that the server wants TLS before. */
export const TLS_REQUIRED = 0x80000005;
/** Reply to an option that names an export which is not there. */
export const UNKNOWN_EXPORT = 0x80000006;

/** Kinds of information that come with an export. */
export const INFO: { readonly export: 0; readonly blockSize: 3 } = { export: 0, blockSize: 3 };

/** Transmission flags: what an export can do. */
export const EXPORT_FLAG: {
  readonly hasFlags: 1;
  readonly readOnly: 2;
  readonly flush: 4;
  readonly fua: 8;
  readonly trim: 32;
  readonly writeZeroes: 64;
  readonly multiConn: 256;
} = { hasFlags: 1, readOnly: 2, flush: 4, fua: 8, trim: 32, writeZeroes: 64, multiConn: 256 };

/** Commands of the transmission phase. */
export const COMMAND: {
  readonly read: 0;
  readonly write: 1;
  readonly disconnect: 2;
  readonly flush: 3;
  readonly trim: 4;
  readonly writeZeroes: 6;
} = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 };

/** Flag of a command: its effect is on stable storage when it is answered. */
export const COMMAND_FUA = 1;

/** Types of chunks of a structured reply; errors have bit 15. */
export const CHUNK: {
  readonly none: 0;
  readonly data: 1;
  readonly hole: 2;
  readonly error: 0x8001;
  readonly errorOffset: 0x8002;
} = { none: 0, data: 1, hole: 2, error: 0x8001, errorOffset: 0x8002 };
/** Flag of the last chunk of a reply. */
export const CHUNK_DONE = 1;
/** Bit of the types of chunks that report an error. */
export const CHUNK_ERROR_BIT = 0x8000;

/** Bytes of a request's header. */
export const REQUEST_BYTES = 28;
/** Bytes of a simple reply's header. */
export const SIMPLE_REPLY_BYTES = 16;
/** Bytes of a chunk's header. */
export const CHUNK_BYTES = 20;
/** Port of a URL that names none. */
export const DEFAULT_PORT = 10_809;
/** Longest export name, or other string, that the protocol allows. */
export const STRING_BYTES_MAX = 4096;
/** Longest payload of a server that does not say otherwise. */
export const DEFAULT_PAYLOAD_BYTES_MAX: number = 32 * 1024 * 1024;

/** The server shuts down and did not do what was asked; another one may. */
export const ESHUTDOWN = 108;
/** Names and meanings of the errors a reply may carry. */
export const ERRORS: ReadonlyMap<number, { readonly name: string; readonly meaning: string }> = new Map([
  [1, { name: "EPERM", meaning: "not permitted, or the export is read-only" }],
  [5, { name: "EIO", meaning: "its storage failed" }],
  [12, { name: "ENOMEM", meaning: "it is out of memory" }],
  [22, { name: "EINVAL", meaning: "it calls the request invalid" }],
  [28, { name: "ENOSPC", meaning: "its storage is full" }],
  [75, { name: "EOVERFLOW", meaning: "the request is too long for it" }],
  [95, { name: "ENOTSUP", meaning: "it cannot do this" }],
  [ESHUTDOWN, { name: "ESHUTDOWN", meaning: "it is shutting down" }],
]);
