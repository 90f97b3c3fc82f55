/*
 * Structs and messages: whatever arrives is refused, or is a value that the codec gives back.
 */
import { CompactionJob, CompactionResult } from "@holdfast/compaction";
import { Invalidate, LockGrant, LockReport, LockRequest, ReclaimRequest } from "@holdfast/lock-protocol";
import { SegmentRef } from "@holdfast/segment";
import { equalBytes } from "@holdfast/wire-format";
import { FindingError, type FuzzTarget, verdictOf } from "../target.ts";
import { sampleJob, sampleKey, sampleResult, sampleSegment } from "./samples.ts";

/** What gives bytes for a value and the value for bytes. */
export interface Codec<V> {
  encode(value: V): Uint8Array;
  decode(bytes: Uint8Array): V;
}

/** A codec that must give back what it took. */
export function roundTrip<V>(name: string, weight: number, seed: Uint8Array, codec: Codec<V>): FuzzTarget {
  return {
    name,
    weight,
    seeds: [seed],
    isFixedLength: false,
    feed: (input) => {
      let value: V | undefined;
      const verdict = verdictOf(() => {
        value = codec.decode(input);
      });
      // What was decoded must encode, and to bytes that mean the same: filling bytes of the input need not be kept.
      if (value !== undefined) {
        const bytes = codec.encode(value);
        if (!equalBytes(codec.encode(codec.decode(bytes)), bytes))
          throw new FindingError("a value changes on its way through its codec");
      }
      return verdict;
    },
  };
}

/** The targets of this file. */
export function structTargets(): readonly FuzzTarget[] {
  const [start, end] = [sampleKey(1), sampleKey(2)];
  const grant = { start, mode: "write" as const, writeSeq: 9n, term: 2n, manifestVersion: 7n };
  const request = { start, end, mode: "write" as const, held: "null" as const };
  const report = { start, end, mode: "read" as const, writeSeq: 3n };
  return [
    roundTrip("lock requests", 2, LockRequest.encode(request), LockRequest),
    roundTrip("lock grants", 2, LockGrant.encode(grant), LockGrant),
    roundTrip(
      "invalidations",
      2,
      Invalidate.encode({ start, to: "null", term: 2n, writeSeq: 3n }),
      Invalidate,
    ),
    roundTrip("lock reports", 2, LockReport.encode(report), LockReport),
    roundTrip(
      "reclaims",
      4,
      ReclaimRequest.encode({ locks: [report, report], isLast: true }),
      ReclaimRequest,
    ),
    roundTrip("segment references", 3, SegmentRef.encode(sampleSegment()), SegmentRef),
    roundTrip("compaction jobs", 6, CompactionJob.encode(sampleJob()), CompactionJob),
    roundTrip("compaction results", 4, CompactionResult.encode(sampleResult()), CompactionResult),
  ];
}
