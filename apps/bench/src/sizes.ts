/*
 * How much each suite does.
 */

/** Work of the messaging suite. */
export interface MessagingSizes {
  /** Length of one contestant's run. */
  readonly durationMs: number;
  /** Counted runs of each contestant: short and many, because a noisy machine changes its pace within seconds. */
  readonly rounds: number;
  /** Resets of the connection in a run of their own. */
  readonly resets: number;
}

/** Work of the streams suite. */
export interface StreamsSizes {
  /** Bytes of one run. */
  readonly totalBytes: number;
  /** Counted runs of each contestant. */
  readonly rounds: number;
}

/** Work of the items suite. */
export interface ItemsSizes {
  readonly items: number;
  readonly batchItems: number;
  /** Reads of a run. */
  readonly gets: number;
  /** Durable puts of a run, one item each. */
  readonly singlePuts: number;
  readonly volumeBytes: bigint;
}

/** Work of the locks suite. */
export interface LocksSizes {
  /** Uses of a cached lock in a run. */
  readonly cachedUses: number;
  /** Locks asked of the server in a run, at most 256. */
  readonly firstUses: number;
  /** Writes of each of the two members that take the lock from each other. */
  readonly handovers: number;
  readonly volumeBytes: bigint;
}

/** Work of the segments suite. */
export interface SegmentsSizes {
  /** Items of one run, four of which are merged; they must fit one segment. */
  readonly itemsPerSegment: number;
  readonly gets: number;
}

/** Work of the sessions suite. */
export interface SessionsSizes {
  /** Sessions of one server, in turn. */
  readonly counts: readonly number[];
  /** Stretches of time in which processors are watched, and the length of each. */
  readonly windows: number;
  readonly windowMs: number;
  /** Until a process has forgotten the work of its start. */
  readonly settleMs: number;
  readonly volumeBytes: bigint;
}

/** Work of the fail-over suite. */
export interface FailoverSizes {
  /** Faults of each kind. */
  readonly runs: number;
}

/** Work of all suites. */
export interface Sizes {
  /** Counted runs of each side of a row. */
  readonly runs: number;
  readonly messaging: MessagingSizes;
  readonly streams: StreamsSizes;
  readonly items: ItemsSizes;
  readonly locks: LocksSizes;
  readonly segments: SegmentsSizes;
  readonly failover: FailoverSizes;
  readonly sessions: SessionsSizes;
}

const MIB = 1024n * 1024n;

/** Figures worth quoting. */
export const FULL_SIZES: Sizes = {
  runs: 5,
  messaging: { durationMs: 300, rounds: 15, resets: 15 },
  streams: { totalBytes: 512 << 20, rounds: 31 },
  items: { items: 200_000, batchItems: 1000, gets: 200_000, singlePuts: 2000, volumeBytes: 512n * MIB },
  locks: { cachedUses: 1_000_000, firstUses: 256, handovers: 200, volumeBytes: 256n * MIB },
  segments: { itemsPerSegment: 25_000, gets: 200_000 },
  failover: { runs: 30 },
  sessions: { counts: [100, 1000], windows: 5, windowMs: 4000, settleMs: 1000, volumeBytes: 160n * MIB },
};

/** Enough to see a row move by half. */
export const QUICK_SIZES: Sizes = {
  runs: 3,
  messaging: { durationMs: 100, rounds: 5, resets: 5 },
  streams: { totalBytes: 256 << 20, rounds: 5 },
  items: { items: 50_000, batchItems: 1000, gets: 50_000, singlePuts: 500, volumeBytes: 256n * MIB },
  locks: { cachedUses: 300_000, firstUses: 256, handovers: 50, volumeBytes: 256n * MIB },
  segments: { itemsPerSegment: 25_000, gets: 50_000 },
  failover: { runs: 3 },
  sessions: { counts: [100, 1000], windows: 1, windowMs: 2000, settleMs: 1000, volumeBytes: 160n * MIB },
};
