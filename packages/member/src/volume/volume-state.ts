/*
 * What a commit record carries: the roots of everything and who may write where.
 *
 * The record is the only place that changes; all it names was written before it, to blocks that its writer
 * had been granted by an earlier record.
 */
import { FreeSpaceCounters, NO_FREE_SPACE, NO_QUARANTINE, QuarantineTotals } from "@holdfast/alloc-extent";
import {
  BlockRef,
  flag,
  list,
  NO_BLOCK,
  type StructCodec,
  struct,
  u16,
  u32,
  u64,
} from "@holdfast/wire-format";
import { NO_PROCESS, ProcessRecord } from "./process-record.ts";

/** A run of blocks. */
export interface StoredExtent {
  /** First block. */
  readonly start: bigint;
  /** Blocks. */
  readonly lengthBlocks: number;
}

/** Layout of an extent. */
export const StoredExtent: StructCodec<StoredExtent> = struct("StoredExtent", {
  start: u64,
  lengthBlocks: u32,
});

/** An extent that a former server was granted, on its way into the quarantine tree. */
export interface OrphanedGrant {
  readonly start: bigint;
  readonly lengthBlocks: number;
  /** The server that may still write there. */
  readonly owner: bigint;
  /** Its term. */
  readonly term: bigint;
  /** True if it resigned: every write of that term was done when its last record was. */
  readonly isDrained: boolean;
}

/** Layout of an orphaned grant. */
export const OrphanedGrant: StructCodec<OrphanedGrant> = struct("OrphanedGrant", {
  start: u64,
  lengthBlocks: u32,
  owner: u64,
  term: u64,
  isDrained: flag,
});

/** Extents of metadata that one server may hold at a time. */
export const METADATA_GRANTS_MAX = 48;

/** Extents set aside for servers to come: each opening commit takes one without touching a tree. */
export const SPARES_MAX = 16;

/** Grants of former servers that no commit has moved into the quarantine yet. */
export const ORPHANS_MAX = 64;

/** The state of a volume after a commit. */
export interface VolumeState {
  /** Rises with each eviction: a member that sees another value than it knows asks before it acknowledges. */
  readonly evictGeneration: bigint;
  /** Free extents, in two orders. */
  readonly freeRoot: BlockRef;
  /** Segments. */
  readonly manifestRoot: BlockRef;
  /** Members, what they hold, results of their operations. */
  readonly membersRoot: BlockRef;
  /** Extents whose last writer is not confirmed dead. */
  readonly quarantineRoot: BlockRef;
  /** Rises with each change of the manifest. */
  readonly manifestVersion: bigint;
  /** Number for the next member that joins. */
  readonly nextMember: number;
  /** Number for the next compaction job. */
  readonly nextJob: bigint;
  /** How much is in the tree of free extents, and where the allocator goes on. */
  readonly free: FreeSpaceCounters;
  /** How much is in quarantine. */
  readonly quarantine: QuarantineTotals;
  /** Blocks of former servers that nobody can write to any more, kept since trees reached them when that was found out. */
  readonly retained: QuarantineTotals;
  /** The process that wrote this record. */
  readonly server: ProcessRecord;
  /** True if the server that wrote this record has drained and left. */
  readonly isResigned: boolean;
  /** Where the server of this record may write metadata. */
  readonly metadataGrants: readonly StoredExtent[];
  /** Set aside for the next servers. */
  readonly spares: readonly StoredExtent[];
  /** Grants of former servers. */
  readonly orphans: readonly OrphanedGrant[];
  /** Voters that must agree before one campaigns: policy, so that members may know an older number for a while. */
  readonly votes: number;
}

/** Layout of the state. */
export const VolumeState: StructCodec<VolumeState> = struct("VolumeState", {
  evictGeneration: u64,
  freeRoot: BlockRef,
  manifestRoot: BlockRef,
  membersRoot: BlockRef,
  quarantineRoot: BlockRef,
  manifestVersion: u64,
  nextMember: u32,
  nextJob: u64,
  free: FreeSpaceCounters,
  quarantine: QuarantineTotals,
  retained: QuarantineTotals,
  server: ProcessRecord,
  isResigned: flag,
  metadataGrants: list(StoredExtent, METADATA_GRANTS_MAX),
  spares: list(StoredExtent, SPARES_MAX),
  orphans: list(OrphanedGrant, ORPHANS_MAX),
  votes: u16,
});

/** The state of nothing: no tree, no grant. */
export const EMPTY_STATE: VolumeState = {
  freeRoot: NO_BLOCK,
  manifestRoot: NO_BLOCK,
  membersRoot: NO_BLOCK,
  quarantineRoot: NO_BLOCK,
  manifestVersion: 1n,
  evictGeneration: 0n,
  nextMember: 1,
  nextJob: 1n,
  free: NO_FREE_SPACE,
  quarantine: NO_QUARANTINE,
  retained: NO_QUARANTINE,
  server: NO_PROCESS,
  isResigned: true,
  metadataGrants: [],
  spares: [],
  orphans: [],
  votes: 1,
};

/** The evict generation of an encoded state, read without decoding the rest: members look at it after each write. */
export function evictGenerationOf(payload: Uint8Array): bigint {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getBigUint64(0, true);
}
