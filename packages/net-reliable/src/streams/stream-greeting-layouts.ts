import { type StructCodec, bytes, struct, u16, u53, u64 } from "@holdfast/wire-format";
import { NONCE_BYTES } from "../greeting.ts";
import { PROOF_BYTES } from "../greeting-frames.ts";

/** Second frame of a stream's connection, from the side that dials; the first is the challenge of all connections. */
export interface StreamGreeting {
  /** Version of the protocol of streams. */
  readonly version: number;
  /** The volume. */
  readonly fsid: bigint;
  /** Hash of its formats. */
  readonly formatHash: bigint;
  /** The member, not 0. */
  readonly rid: bigint;
  /** Term of the server that it has its session with. */
  readonly term: bigint;
  /** 0: the dialling side asks. Else the listening side asks, and has called it by this number. */
  readonly ticket: number;
  /** Random, new for each connection. */
  readonly nonce: Uint8Array;
  /** HMAC-SHA-256 over the challenge's nonce, the ticket's secret and all of the above. */
  readonly proof: Uint8Array;
}

/** Layout of a greeting; the proof stays last. */
export const StreamGreeting: StructCodec<StreamGreeting> = struct("StreamGreeting", {
  version: u16,
  fsid: u64,
  formatHash: u64,
  rid: u64,
  term: u64,
  ticket: u53,
  nonce: bytes(NONCE_BYTES),
  proof: bytes(PROOF_BYTES),
});

/** Third frame, from the side that listens. */
export interface StreamWelcome {
  /** 0 = accepted, else one of `REFUSAL`. */
  readonly refusal: number;
  /** HMAC-SHA-256 over both nonces and the above. */
  readonly proof: Uint8Array;
}

/** Layout of a welcome; the proof stays last. */
export const StreamWelcome: StructCodec<StreamWelcome> = struct("StreamWelcome", {
  refusal: u16,
  proof: bytes(PROOF_BYTES),
});
