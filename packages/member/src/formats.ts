/*
 * Every format that members of one volume must agree on, and the hash over them.
 */
import { FREE_SPACE_FORMAT, QuarantineValue } from "@holdfast/alloc-extent";
import { TREE_NODE_FORMAT } from "@holdfast/btree";
import { CompactionJob, CompactionResult } from "@holdfast/compaction";
import { JournalEntryHeader, JournalRegion } from "@holdfast/item-store";
import { LOCK_FORMATS } from "@holdfast/lock-protocol";
import { Challenge, Greeting, Welcome } from "@holdfast/net-reliable";
import { QUORUM_FORMATS } from "@holdfast/quorum";
import { SEGMENT_FORMAT, SegmentFooter, SegmentRef } from "@holdfast/segment";
import { BlockHeader, BlockRef, type Format, formatHash } from "@holdfast/wire-format";
import { CatalogEntry } from "./catalog.ts";
import {
  CompactedRequest,
  FenceReply,
  FenceRequest,
  FarewellRequest,
  GiveExtentsRequest,
  JoinReply,
  JoinRequest,
  ManifestReply,
  Membership,
  RecordSegmentsRequest,
  ServerLeaves,
  StatusReply,
  TakeExtentRequest,
  TuneOperation,
} from "./protocol.ts";
import { OwnerRecord } from "./server/fencing/owner-record.ts";
import { MemberRecord } from "./server/member-records.ts";
import { SuperBlock } from "./volume/super-block.ts";
import { VolumeState } from "./volume/volume-state.ts";

/** All formats on the volume and on the wire. */
export const VOLUME_FORMATS: readonly Format[] = [
  BlockHeader,
  BlockRef,
  SuperBlock,
  VolumeState,
  MemberRecord,
  OwnerRecord,
  CatalogEntry,
  FREE_SPACE_FORMAT,
  QuarantineValue,
  TREE_NODE_FORMAT,
  ...QUORUM_FORMATS,
  SEGMENT_FORMAT,
  SegmentRef,
  SegmentFooter,
  JournalEntryHeader,
  JournalRegion,
  Challenge,
  Greeting,
  Welcome,
  ...LOCK_FORMATS,
  CompactionJob,
  CompactionResult,
  FenceRequest,
  FenceReply,
  JoinRequest,
  JoinReply,
  Membership,
  TakeExtentRequest,
  GiveExtentsRequest,
  RecordSegmentsRequest,
  ManifestReply,
  CompactedRequest,
  FarewellRequest,
  ServerLeaves,
  TuneOperation,
  StatusReply,
];

/** Hash over {@link VOLUME_FORMATS}: stands in every super block and in every greeting. */
export const VOLUME_FORMAT_HASH: bigint = formatHash(VOLUME_FORMATS);
