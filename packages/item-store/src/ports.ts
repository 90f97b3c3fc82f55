/*
 * What an item store needs of its member: a device, locks, space, the manifest, and two things of the server, the
 * check after a journal write and the recording of segments.
 */
import type { ManifestView } from "@holdfast/compaction";
import type { BlockDevice, BrokenRules, Clock, Random } from "@holdfast/environment";
import type { LockMode } from "@holdfast/lock-protocol";
import type { SegmentRef } from "@holdfast/segment";
import type { KeyRange } from "@holdfast/wire-format";

/** A lock that is held until it is released. */
export interface StoreLockHold {
  /** The grant's number: the `seq` of what is written under it. */
  readonly writeSeq: bigint;
  release(): void;
}

/** Cluster locks on key ranges. Holders at one member do not exclude each other; the store orders them itself. */
export interface StoreLocks {
  /** The lock if this member has it already; no message, no wait. */
  tryAcquire(range: KeyRange, mode: LockMode): StoreLockHold | undefined;
  /** The lock, asked for if need be. Once it resolves, the manifest is at least as new as the grant. */
  acquire(range: KeyRange, mode: LockMode, signal?: AbortSignal): Promise<StoreLockHold>;
}

/** A run of blocks. */
export interface StoreExtent {
  /** Number of the first block. */
  readonly start: bigint;
  readonly lengthBlocks: number;
}

/** How long this member may trust the locks it has cached; looked at after the data was fetched. */
export interface StoreLease {
  /** True while no server can have given this member's locks to others. */
  readonly isValid: boolean;
  /** Resolves when it is valid (again); rejects when it never will be. */
  valid(signal?: AbortSignal): Promise<void>;
}

/** The member's own free blocks. */
export interface StoreSpace {
  /**
   * Takes a run of `blocks` blocks, or fewer if no such run is free, or more.
   *
   * @throws an error with code `ERR_HOLDFAST_NO_SPACE` when there is none: the flush that wanted it is tried again.
   */
  take(blocks: number): Promise<StoreExtent>;
  /** Gives blocks back that nothing refers to and no write is in flight to. */
  put(extent: StoreExtent): void;
}

/** The same, with blocks asked for ahead. */
export interface StorePool extends StoreSpace {
  /** Blocks at hand: {@link take} gives them without asking anybody. */
  readonly freeBlocks: number;
  /**
   * Resolves when at least so many blocks were at hand.
   *
   * @throws an error with code `ERR_HOLDFAST_NO_SPACE` when the volume has too few.
   */
  ensure(blocks: number): Promise<void>;
}

/** What reads need of a manifest: the segments that may hold a key or keys of a range, newest first. */
export type StoreManifestView = Pick<ManifestView, "sourcesFor" | "sourcesIn">;

/** What the world gives an item store. */
export interface StorePorts {
  readonly device: BlockDevice;
  readonly fsid: bigint;
  /** This member. */
  readonly rid: bigint;
  readonly clock: Clock;
  readonly random: Random;
  readonly locks: StoreLocks;
  readonly lease: StoreLease;
  readonly space: StorePool;
  /** The newest committed manifest that this member knows. */
  manifest(): { readonly version: bigint; readonly view: StoreManifestView };
  /** Fetches the newest committed manifest from the server. */
  refreshManifest(): Promise<void>;
  /**
   * The read half of announce-then-read after a journal write: resolves if this member was not evicted before the
   * write was done; waits through a fail-over. A rejection ends the store.
   */
  checkCommitted(): Promise<void>;
  /** Commits level-0 segments and the epoch that they hold, exactly once; afterwards {@link manifest} has them. */
  recordSegments(segments: readonly SegmentRef[], journalEpoch: bigint): Promise<void>;
  /** Identity for a new segment; rises. */
  nextSegmentId(): bigint;
  /** The server's term, for the seals of what is written. */
  term(): bigint;
  readonly brokenRules: BrokenRules;
}
