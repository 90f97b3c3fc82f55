/*
 * Valid values that inputs are made of.
 */
import { BTree } from "@holdfast/btree";
import type { CompactionJob, CompactionResult } from "@holdfast/compaction";
import { EMPTY_STATE, type VolumeState } from "@holdfast/member";
import type { CommitRecord } from "@holdfast/quorum";
import type { SegmentRef } from "@holdfast/segment";
import {
  type BlockRef,
  BlockType,
  HASH128_BYTES,
  type Key,
  packKey,
  refTo,
  sealBlock,
} from "@holdfast/wire-format";

/** Identity of the volume that the samples belong to. */
export const FSID = 0xf022n;

/** Key number `second`. */
export function sampleKey(second: number): Key {
  return packKey({ zone: 2, first: 7n, type: 1, second: BigInt(second), third: 0n, fourth: 9 });
}

/** A reference to some block. */
export function sampleRef(address: bigint): BlockRef {
  return { address, seq: 4n, hash: new Uint8Array(HASH128_BYTES).fill(0x5a) };
}

/** A volume's state with something in each list. */
export function sampleState(): VolumeState {
  const extent = { start: 700n, lengthBlocks: 16 };
  return {
    ...EMPTY_STATE,
    evictGeneration: 3n,
    freeRoot: sampleRef(701n),
    manifestRoot: sampleRef(702n),
    membersRoot: sampleRef(703n),
    manifestVersion: 12n,
    nextMember: 4,
    isResigned: false,
    metadataGrants: [extent],
    spares: [extent, { ...extent, start: 800n }],
    orphans: [{ ...extent, owner: 5n, term: 2n, isDrained: false }],
  };
}

/** A commit's record. */
export function sampleRecord(payload: Uint8Array): CommitRecord {
  return { term: 3n, seq: 8n, writer: 5n, address: "tcp://127.0.0.1:4000", payload };
}

/** A segment in a manifest. */
export function sampleSegment(): SegmentRef {
  return {
    id: 9n,
    extent: { start: 1000n, lengthBlocks: 64 },
    footer: sampleRef(1063n),
    level: 1,
    order: 0n,
    first: sampleKey(1),
    last: sampleKey(500),
    itemCount: 500,
    tombstoneCount: 3,
    seqMax: 77n,
    writer: 5n,
  };
}

/** A merge. */
export function sampleJob(): CompactionJob {
  return {
    id: 3n,
    upperLevel: 0,
    upper: [sampleSegment()],
    lower: [sampleSegment(), sampleSegment()],
    isMove: false,
    dropTombstones: true,
    splitAfter: sampleKey(3),
    outputs: [{ id: 11n, extent: { start: 2000n, lengthBlocks: 64 } }],
  };
}

/** What a merge came to. */
export function sampleResult(): CompactionResult {
  return { jobId: 3n, outputs: [sampleSegment()], unused: [{ start: 3000n, lengthBlocks: 8 }] };
}

/** Payloads of a tree's nodes, leaves and branches. */
export async function treeNodePayloads(): Promise<readonly Uint8Array[]> {
  const payloads: Uint8Array[] = [];
  const tree = new BTree(
    { address: 0n, seq: 0n, hash: new Uint8Array(HASH128_BYTES) },
    { read: () => Promise.reject(new Error("everything is in memory")) },
  );
  for (let number = 0; number < 400; number += 1)
    await tree.put(sampleKey(number), new Uint8Array(number % 90).fill(number));
  let next = 100n;
  await tree.flush(
    {
      allocate: () => {
        next += 1n;
        return next;
      },
      write: (address, seq, payload) => {
        payloads.push(payload);
        const identity = { fsid: FSID, address, term: 1n, writer: 1n, seq, type: BlockType.treeNode };
        return Promise.resolve(refTo(sealBlock(identity, payload)));
      },
      free: () => {},
    },
    1n,
  );
  return payloads;
}
