/*
 * The ports: everything a Holdfast package may ask of the world.
 *
 * Cores take time as a parameter and name none of these; storage and wiring get them handed in. A port has
 * one suite in `tooling/conformance`, and every implementation of it, real or simulated, passes that suite.
 */

/** Stops something that was armed; calling it again, or late, does nothing. */
export type Cancel = () => void;

/** Time of one process. */
export interface Clock {
  /** Milliseconds of a monotonic clock with an arbitrary origin; fractions allowed. */
  now(): number;
  /** Milliseconds since 1970 for people to read; may jump; no rule may depend on it. */
  wallMs(): number;
  /** Calls `action` once when {@link now} has reached `deadlineMs`, never synchronously. */
  at(deadlineMs: number, action: () => void): Cancel;
  /** Resolves after other events (messages, timers, completed I/O) have had their turn. */
  yield(): Promise<void>;
}

/** Random numbers. A simulated source repeats itself from its seed. */
export interface Random {
  /** An integer, uniform in 0 … 2^32−1. */
  u32(): number;
  /** An integer, uniform in 0 … 2^64−1. */
  u64(): bigint;
  /** `count` random bytes, fit for keys and nonces when the source is a real one. */
  bytes(count: number): Uint8Array;
}

/** How a write must be completed. */
export interface WriteOptions {
  /** True: the bytes are on stable storage when the promise resolves (FUA, O_DSYNC). */
  readonly isDurable: boolean;
}

/**
 * A device of bytes that several processes share.
 *
 * Reads and writes never go through a cache of this process: a read returns what the device holds now. Requests
 * in flight are unordered among themselves. A rejected write may still reach the device, later.
 */
export interface BlockDevice {
  /** The URL it was opened by, for messages. */
  readonly url: string;
  /** Size in bytes. */
  readonly sizeBytes: bigint;
  /** Granularity of reads and writes in bytes: offsets and lengths are multiples of it. 512 or 4096. */
  readonly sectorBytes: number;
  /** True if the device is on this host (a file, a disk), false if reached over a network. */
  readonly isLocal: boolean;
  /**
   * Fills `into` from `offsetBytes`.
   *
   * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_*`; `into` is undefined then.
   */
  read(offsetBytes: bigint, into: Uint8Array): Promise<void>;
  /**
   * Writes `bytes` at `offsetBytes`. The caller leaves `bytes` alone until the promise settles.
   *
   * @throws {@link DeviceError} the bytes may be there, partly there, absent, or arrive later.
   */
  write(offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions): Promise<void>;
  /** Resolves when every write that had completed before the call is on stable storage. */
  flush(): Promise<void>;
  /** Releases the device; further calls fail. Idempotent. */
  close(): Promise<void>;
}

/** What the user of a stream wants to be told; set once by {@link ByteStream.start}. */
export interface ByteStreamHandlers {
  /** Bytes in order; valid only during the call (the buffer may be reused). */
  data(bytes: Uint8Array): void;
  /**
   * Where the next bytes should be put, for bulk: a stream that can reads there, gives `data` exactly the bytes that it
   * put there, and asks again after that; until then, or until `closed`, it may write into it. Undefined: anywhere.
   */
  place?(): Uint8Array | undefined;
  /** The stream ended; called exactly once, never synchronously from a call of this side. */
  closed(error?: Error): void;
  /** The send queue has room again after {@link ByteStream.write} returned false. */
  drained(): void;
}

/** A connected, ordered, reliable stream of bytes to one peer, until it breaks. */
export interface ByteStream {
  /** Address of the other end, for messages. */
  readonly peer: string;
  /** True if no byte can change on the way unnoticed, as behind TLS. */
  readonly isAuthenticated?: boolean;
  /** Begins delivery; before it nothing is lost. Called exactly once. */
  start(handlers: ByteStreamHandlers): void;
  /** Queues bytes; the stream copies them before it returns. False: stop until `drained`. */
  write(bytes: Uint8Array): boolean;
  /**
   * Queues parts as they stand, for bulk. True: the network has them already, or the stream has ended. False: the caller
   * leaves them alone until `written` is called, once, when that is so. Not every stream has it; whoever finds none writes.
   */
  writeParts?(parts: readonly Uint8Array[], written: () => void): boolean;
  /** Gives the network now what is queued; a stream without it does so by the end of the turn, as do all. */
  flush?(): void;
  /** Bytes queued and not yet given to the network. */
  readonly queuedBytes: number;
  /** Ends the stream after what is queued; `closed` follows. Idempotent. */
  close(): void;
  /** Cuts the stream at once. Idempotent. */
  destroy(): void;
}

/** An open listening address. */
export interface Listener {
  /** The address others dial, e.g. `tcp://127.0.0.1:40123` or `unix:/run/x.sock`; a port of 0 is filled in. */
  readonly address: string;
  /** Stops accepting; streams already accepted live on. */
  close(): Promise<void>;
}

/** Dials and listens. */
export interface Transport {
  /**
   * Connects to an address.
   *
   * @throws {@link TransportError} `ERR_HOLDFAST_DIAL` when nobody answers or the address is malformed.
   */
  dial(address: string, signal?: AbortSignal): Promise<ByteStream>;
  /**
   * Accepts streams at an address; port 0 picks a free one.
   *
   * @throws {@link TransportError} `ERR_HOLDFAST_ADDRESS_IN_USE` or `ERR_HOLDFAST_LISTEN`.
   */
  listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener>;
}

/** Keyed hashing; the one piece of cryptography that packages need. */
export interface Cryptography {
  /** HMAC-SHA-256 (RFC 2104), 32 bytes. */
  hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array;
}

/** Facts first, a short lower-case sentence last; the shape of a pino logger. */
export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/**
 * Names of safety rules that a test run disables on purpose, to prove that the checks would notice.
 * Empty everywhere but in the simulator.
 */
export type BrokenRules = ReadonlySet<string>;

/** No rule is broken: the only value outside the simulator. */
export const NO_BROKEN_RULES: BrokenRules = new Set();

/** A logger that drops everything. */
export const SILENT_LOGGER: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}
