/*
 * What members and the server say to each other, above sessions (docs/protocols/members.md).
 *
 * A mutating request carries an operation number that rises with each of the member's operations, and the
 * greatest number below which it has seen all results. The result is committed together with the effect, so
 * "applied by one server, reply lost, sent again to the next" gives the first result.
 */
import { ProcessMessage, type ProcessRecord } from "./volume/process-record.ts";
import { array, binary, bool, type MessageCodec, message, string, uint, uint64 } from "@holdfast/wire-format";

/** Numbers of the requests; a number is never given twice. */
export const Command = {
  join: 1,
  reclaim: 2,
  lock: 3,
  invalidate: 4,
  takeExtent: 5,
  giveExtents: 6,
  recordSegments: 7,
  manifest: 8,
  confirm: 9,
  compact: 10,
  compacted: 11,
  renew: 12,
  status: 13,
  serverLeaves: 14,
  tune: 15,
  fence: 16,
} as const;

/** Why a request was refused; travels in the frame's error field. Numbers below are those of locks. */
export const Refusal = {
  malformed: 0x101,
  evicted: 0x102,
  noSpace: 0x103,
  unknownJob: 0x104,
  notYours: 0x105,
  internal: 0x106,
  unknownCommand: 0x107,
  resultRefused: 0x108,
  busy: 0x109,
  tooManyMembers: 0x10a,
  tooFewVoters: 0x10b,
  quarantined: 0x10c,
  living: 0x10d,
  unknownMember: 0x10e,
  serves: 0x10f,
} as const;

/** Longest name of a member in bytes of UTF-8. */
export const NAME_BYTES_MAX = 128;

/** Members that a volume has at a time: all of them fit one status. */
export const MEMBERS_MAX = 1024;

/** Extents that one message may carry: each may touch several leaves of the trees, and all go into one commit. */
export const EXTENTS_PER_MESSAGE = 32;

/** Segments that one message may carry. */
export const SEGMENTS_PER_MESSAGE = 64;

/** A run of blocks in a message. */
export interface ExtentMessage {
  readonly start: bigint;
  readonly lengthBlocks: number;
}

/** Codec of an extent. */
export const ExtentMessage: MessageCodec<ExtentMessage> = message("Extent", {
  start: uint64,
  lengthBlocks: uint,
});

/** Asks to become a member. */
export interface JoinRequest {
  /** True if it listens and takes part in elections. */
  readonly isVoter: boolean;
  /** Its address, empty without one. */
  readonly address: string;
  /** For people: host and process. */
  readonly name: string;
  /** Where it runs. */
  readonly process: ProcessRecord;
}

/** Codec of a join. */
export const JoinRequest: MessageCodec<JoinRequest> = message("JoinRequest", {
  isVoter: bool,
  address: string(255),
  name: string(NAME_BYTES_MAX),
  process: ProcessMessage,
});

/** What a member is given when it joins. */
export interface JoinReply {
  /** Its number, never given twice on this volume: the upper part of its segments' ids. */
  readonly number: number;
  /** The two halves of its journal. */
  readonly journal: readonly ExtentMessage[];
  /** Evictions so far. */
  readonly evictGeneration: bigint;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
}

/** Codec of the answer to a join. */
export const JoinReply: MessageCodec<JoinReply> = message("JoinReply", {
  number: uint,
  journal: array(ExtentMessage, 2),
  evictGeneration: uint64,
  votes: uint,
});

/** A server's word that the asker is a member still. */
export interface Membership {
  /** Evictions so far, none of them the asker's. */
  readonly evictGeneration: bigint;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
}

/** Codec of that word. */
export const Membership: MessageCodec<Membership> = message("Membership", {
  evictGeneration: uint64,
  votes: uint,
});

/** The last word of a member: it has drained, and asks for nothing more. */
export interface FarewellRequest {
  /** True if a write of it failed, or has not ended, so that it may still land: what the member holds goes into quarantine. */
  readonly mayBeWritten: boolean;
  /** True if it serves, as far as it knows: it has records to write yet. */
  readonly isServing: boolean;
  /** The newest term that it was counted in when it said so: of a reign of its own that began later this says nothing. */
  readonly saidTerm: bigint;
  /** A voter waits so long for others to make it dispensable, then it leaves all the same; 0: it does not wait. */
  readonly patienceMs: number;
}

/** Codec of a farewell. */
export const FarewellRequest: MessageCodec<FarewellRequest> = message("FarewellRequest", {
  mayBeWritten: bool,
  isServing: bool,
  saidTerm: uint64,
  patienceMs: uint,
});

/** A server tells its members that its reign is over. */
export interface ServerLeaves {
  readonly term: bigint;
  /** True if nobody is known to serve in its place. */
  readonly isVacant: boolean;
}

/** Codec of that. */
export const ServerLeaves: MessageCodec<ServerLeaves> = message("ServerLeaves", {
  term: uint64,
  isVacant: bool,
});

/** How the volume is to be run. */
export interface TuneRequest {
  /** Voters that must agree before one campaigns, 1 … 64. */
  readonly votes: number;
  /** True: also if fewer voters than that are members. */
  readonly isForced: boolean;
}

/** Codec of that. */
export const TuneRequest: MessageCodec<TuneRequest> = message("TuneRequest", { votes: uint, isForced: bool });

/** Names an operation of a member. */
export interface Operation {
  /** Rises with each operation of the member, from 1. */
  readonly operation: bigint;
  /** Results of operations up to this one have arrived. */
  readonly seen: bigint;
}

/** Changes how the volume is run. */
export interface TuneOperation extends Operation, TuneRequest {}

/** Codec of such a change. */
export const TuneOperation: MessageCodec<TuneOperation> = message("TuneOperation", {
  operation: uint64,
  seen: uint64,
  votes: uint,
  isForced: bool,
});

/** Asks for blocks. */
export interface TakeExtentRequest extends Operation {
  /** Blocks wanted; fewer may be given. */
  readonly blocks: number;
}

/** Codec of a request for blocks. */
export const TakeExtentRequest: MessageCodec<TakeExtentRequest> = message("TakeExtentRequest", {
  operation: uint64,
  seen: uint64,
  blocks: uint,
});

/** Gives blocks back. */
export interface GiveExtentsRequest extends Operation {
  readonly extents: readonly ExtentMessage[];
  /** True if a write there failed, so that it may still land: nobody gets the blocks before the member is confirmed dead. */
  readonly mayBeWritten: boolean;
}

/** Codec of blocks given back. */
export const GiveExtentsRequest: MessageCodec<GiveExtentsRequest> = message("GiveExtentsRequest", {
  operation: uint64,
  seen: uint64,
  extents: array(ExtentMessage, EXTENTS_PER_MESSAGE),
  mayBeWritten: bool,
});

/** Records new level-0 segments that hold everything of a journal epoch. */
export interface RecordSegmentsRequest extends Operation {
  /** Encoded segment references. */
  readonly segments: readonly Uint8Array[];
  /** Epochs up to this one need no replay any more. */
  readonly journalEpoch: bigint;
}

/** Codec of that record. */
export const RecordSegmentsRequest: MessageCodec<RecordSegmentsRequest> = message("RecordSegmentsRequest", {
  operation: uint64,
  seen: uint64,
  segments: array(binary(512), SEGMENTS_PER_MESSAGE),
  journalEpoch: uint64,
});

/** The committed manifest. */
export interface ManifestReply {
  readonly version: bigint;
  /** Encoded reference to the root of the manifest tree. */
  readonly root: Uint8Array;
}

/** Codec of the manifest's whereabouts. */
export const ManifestReply: MessageCodec<ManifestReply> = message("ManifestReply", {
  version: uint64,
  root: binary(64),
});

/** A finished, or failed, compaction. Unless its result is taken, the blocks granted for it stay with the member. */
export interface CompactedRequest extends Operation {
  readonly job: bigint;
  /** Encoded result; empty when the job failed. */
  readonly result: Uint8Array;
}

/** Codec of a compaction's end. */
export const CompactedRequest: MessageCodec<CompactedRequest> = message("CompactedRequest", {
  operation: uint64,
  seen: uint64,
  job: uint64,
  result: binary(64 * 1024),
});

/** An operator's word that a member can never write again. */
export interface FenceRequest {
  readonly rid: bigint;
  /** True: also if it is connected; it is evicted then. */
  readonly isForced: boolean;
  /** Who says so, for people. */
  readonly operator: string;
}

/** Codec of that word. */
export const FenceRequest: MessageCodec<FenceRequest> = message("FenceRequest", {
  rid: uint64,
  isForced: bool,
  operator: string(NAME_BYTES_MAX),
});

/** What became of it. */
export interface FenceReply {
  /** Blocks that come back. */
  readonly blocks: number;
  /** True if it was a member, which is evicted first. */
  readonly wasMember: boolean;
}

/** Codec of that answer. */
export const FenceReply: MessageCodec<FenceReply> = message("FenceReply", { blocks: uint, wasMember: bool });

/** One owner of blocks in quarantine, as the server sees it. */
export interface QuarantineStatus {
  readonly rid: bigint;
  readonly blocks: number;
  readonly extentCount: number;
  /** True if it is a member still: nothing can be confirmed yet. */
  readonly isMember: boolean;
  /** For people; empty when nobody knows any more. */
  readonly name: string;
  readonly hostName: string;
  /** 0 when unknown. */
  readonly pid: number;
  /** When it was given up, in milliseconds since 1970; 0 while it is a member. */
  readonly sinceMs: bigint;
  /** How its end was confirmed: `farewell`, `process`, `agent`, `operator`; `none`: it was not. */
  readonly evidence: string;
  /** What the fence agent said last; empty if it was not asked. */
  readonly problem: string;
}

/** Codec of an owner's status. */
export const QuarantineStatus: MessageCodec<QuarantineStatus> = message("QuarantineStatus", {
  rid: uint64,
  blocks: uint,
  extentCount: uint,
  isMember: bool,
  name: string(NAME_BYTES_MAX),
  hostName: string(64),
  pid: uint,
  sinceMs: uint64,
  evidence: string(16),
  problem: string(255),
});

/** Owners that one status tells of, those with the most blocks first. */
export const QUARANTINE_OWNERS_MAX = 256;

/** One member as the server sees it. */
export interface MemberStatus {
  readonly rid: bigint;
  readonly number: number;
  readonly isVoter: boolean;
  readonly isConnected: boolean;
  /** True: it was evicted, and its locks wait until what it left behind is replayed. */
  readonly isEvicted: boolean;
  readonly address: string;
  readonly name: string;
}

/** Codec of a member's status. */
export const MemberStatus: MessageCodec<MemberStatus> = message("MemberStatus", {
  rid: uint64,
  number: uint,
  isVoter: bool,
  isConnected: bool,
  isEvicted: bool,
  address: string(255),
  name: string(NAME_BYTES_MAX),
});

/** The volume as the server sees it. */
export interface StatusReply {
  readonly term: bigint;
  readonly server: bigint;
  /** Terms between two renewals of the slots. */
  readonly termsMax: number;
  /** Terms of these that are used up. */
  readonly termsUsed: number;
  readonly freeBlocks: bigint;
  readonly quarantinedBlocks: bigint;
  /** True if so much is in quarantine that somebody should look. */
  readonly isQuarantineAlarming: boolean;
  /** Whose blocks are in quarantine. */
  readonly quarantine: readonly QuarantineStatus[];
  readonly totalBlocks: bigint;
  readonly manifestVersion: bigint;
  /** Voters that must agree before one campaigns. */
  readonly votes: number;
  /** Segments of each level. */
  readonly levels: readonly number[];
  readonly commits: number;
  readonly members: readonly MemberStatus[];
}

/** Codec of the status. */
export const StatusReply: MessageCodec<StatusReply> = message("StatusReply", {
  term: uint64,
  server: uint64,
  termsMax: uint,
  termsUsed: uint,
  freeBlocks: uint64,
  quarantinedBlocks: uint64,
  isQuarantineAlarming: bool,
  quarantine: array(QuarantineStatus, QUARANTINE_OWNERS_MAX),
  totalBlocks: uint64,
  manifestVersion: uint64,
  votes: uint,
  levels: array(uint, 16),
  commits: uint,
  members: array(MemberStatus, MEMBERS_MAX),
});

/** The answer that says nothing but "done". */
export const EMPTY_BODY: Uint8Array = new Uint8Array(0);
