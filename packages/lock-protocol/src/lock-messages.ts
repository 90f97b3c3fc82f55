/*
 * Messages of locking. Those of every acquire are fixed structs; a re-report packs many locks into one message.
 *
 *   LOCK        member → server   LockRequest, answered by LockGrant or a number of LOCK_REFUSALS
 *   INVALIDATE  server → member   Invalidate, answered by InvalidateDone
 *   RECLAIM     member → server   ReclaimRequest
 */
import {
  array,
  bool,
  bytes,
  type Key,
  KEY_BYTES,
  type Kind,
  message,
  type MessageCodec,
  struct,
  type StructCodec,
  u64,
} from "@holdfast/wire-format";
import { lockMode, type LockMode } from "./lock-mode.ts";

/** Asks for a mode of a lock; NULL gives the lock back. */
export interface LockRequest {
  /** First key, the lock's name. */
  readonly start: Key;
  /** Last key, included. */
  readonly end: Key;
  readonly mode: LockMode;
  /** What the member held when it asked; for diagnosis, since a repeat to a new server may be out of date. */
  readonly held: LockMode;
}

/** Layout of {@link LockRequest}, 66 bytes. */
export const LockRequest: StructCodec<LockRequest> = struct("LockRequest", {
  start: bytes(KEY_BYTES),
  end: bytes(KEY_BYTES),
  mode: lockMode,
  held: lockMode,
});

/** Grants what was asked for; replaces whatever the member held of this lock. */
export interface LockGrant {
  readonly start: Key;
  readonly mode: LockMode;
  /** WRITE: the new fencing token. READ: the token of the last write grant the server knows, or 0. NULL: 0. */
  readonly writeSeq: bigint;
  /** Reign of the server that granted. */
  readonly term: bigint;
  /** Version of the committed manifest when the grant left; the member's own is at least this before it reads. */
  readonly manifestVersion: bigint;
}

/** Layout of {@link LockGrant}, 57 bytes. */
export const LockGrant: StructCodec<LockGrant> = struct("LockGrant", {
  start: bytes(KEY_BYTES),
  mode: lockMode,
  writeSeq: u64,
  term: u64,
  manifestVersion: u64,
});

/** Asks a member to fall to a weaker mode. */
export interface Invalidate {
  readonly start: Key;
  /** The strongest mode the member may keep. */
  readonly to: LockMode;
  /** Reign of the server that asks. */
  readonly term: bigint;
  /** Token of the grant that is called back; for diagnosis. */
  readonly writeSeq: bigint;
}

/** Layout of {@link Invalidate}, 49 bytes. */
export const Invalidate: StructCodec<Invalidate> = struct("Invalidate", {
  start: bytes(KEY_BYTES),
  to: lockMode,
  term: u64,
  writeSeq: u64,
});

/** Answers an {@link Invalidate}: everything dirty is recorded at the server, and the mode is given up. */
export interface InvalidateDone {
  readonly start: Key;
  /** What the member still holds: the mode it was asked for, or a weaker one. */
  readonly to: LockMode;
}

/** Layout of {@link InvalidateDone}, 33 bytes. */
export const InvalidateDone: StructCodec<InvalidateDone> = struct("InvalidateDone", {
  start: bytes(KEY_BYTES),
  to: lockMode,
});

/** One lock that a member holds, told to a new server. */
export interface LockReport {
  readonly start: Key;
  readonly end: Key;
  /** READ or WRITE; while an invalidation is unanswered, the mode before it. */
  readonly mode: LockMode;
  /** Token as it was granted. */
  readonly writeSeq: bigint;
}

/** Layout of {@link LockReport}, 73 bytes. */
export const LockReport: StructCodec<LockReport> = struct("LockReport", {
  start: bytes(KEY_BYTES),
  end: bytes(KEY_BYTES),
  mode: lockMode,
  writeSeq: u64,
});

/** Most locks in one {@link ReclaimRequest}: 37 KiB, well below a frame's limit. */
export const RECLAIM_LOCKS_MAX = 500;

/** A part of what a member holds, told to a new server. */
export interface ReclaimRequest {
  readonly locks: readonly LockReport[];
  /** True in the member's last part. */
  readonly isLast: boolean;
}

const lockReport: Kind<LockReport> = {
  kind: LockReport.signature,
  pack: (value) => LockReport.encode(value),
  unpack(data) {
    if (!(data instanceof Uint8Array)) throw new RangeError("not binary");
    return LockReport.decode(data);
  },
};

/** Codec of {@link ReclaimRequest}. */
export const ReclaimRequest: MessageCodec<ReclaimRequest> = message("ReclaimRequest", {
  locks: array(lockReport, RECLAIM_LOCKS_MAX),
  isLast: bool,
});

/** Cuts what a member holds into messages: at least one, of which exactly the last says so. */
export function reclaimRequests(locks: readonly LockReport[]): readonly ReclaimRequest[] {
  const count = Math.max(1, Math.ceil(locks.length / RECLAIM_LOCKS_MAX));
  return Array.from({ length: count }, (_, index) => ({
    locks: locks.slice(index * RECLAIM_LOCKS_MAX, (index + 1) * RECLAIM_LOCKS_MAX),
    isLast: index === count - 1,
  }));
}

/** Every format of this protocol, for the format hash. */
export const LOCK_FORMATS: readonly { readonly signature: string }[] = [
  LockRequest,
  LockGrant,
  Invalidate,
  InvalidateDone,
  ReclaimRequest,
];
