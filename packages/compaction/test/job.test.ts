import { MessageError } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { CompactionJob, CompactionResult, JOB_INPUTS_MAX, checkJob, unusedExtents } from "../src/index.ts";
import { keyOf, refOf } from "./picture.ts";

const job: CompactionJob = {
  id: 77n,
  upperLevel: 0,
  upper: [refOf("b-e", 0, 4n), refOf("a-c", 0, 3n)],
  lower: [refOf("a-b", 1, 1n), refOf("c-d", 1, 2n)],
  isMove: false,
  dropTombstones: true,
  splitAfter: keyOf("d"),
  outputs: [
    { id: 10n, extent: { start: 5000n, lengthBlocks: 64 } },
    { id: 11n, extent: { start: 6000n, lengthBlocks: 64 } },
  ],
};

test("jobs and results travel as messages", () => {
  const result: CompactionResult = {
    jobId: 77n,
    outputs: [refOf("a-d", 1, 10n)],
    unused: [{ start: 6000n, lengthBlocks: 64 }],
  };

  expect(CompactionJob.decode(CompactionJob.encode(job))).toEqual(job);
  expect(CompactionResult.decode(CompactionResult.encode(result))).toEqual(result);
});

test("a message with more segments than a job may have is refused", () => {
  const many = Array.from({ length: JOB_INPUTS_MAX + 1 }, (_, index) => refOf("a-c", 0, BigInt(index)));

  expect(() => CompactionJob.encode({ ...job, upper: many })).toThrow(MessageError);
});

test("every job message that was cut short is refused", () => {
  const bytes = CompactionJob.encode(job);

  for (let length = 0; length < bytes.length; length += 1)
    expect(() => CompactionJob.decode(bytes.subarray(0, length))).toThrow(MessageError);
});

test("a job as a planner makes it passes the check", () => {
  expect(() => checkJob(job)).not.toThrow();
});

test.each<[string, Partial<CompactionJob>]>([
  ["no upper segment", { upper: [] }],
  ["an upper segment of another level", { upper: [refOf("a-c", 1, 3n)] }],
  ["a lower segment of another level", { lower: [refOf("a-b", 2, 1n)] }],
  ["a level that has none below it", { upperLevel: 7, upper: [refOf("a-c", 7, 3n)], lower: [] }],
  ["level-0 segments in the wrong order of age", { upper: job.upper.toReversed() }],
  [
    "overlapping segments of a deeper level",
    { upperLevel: 1, upper: [refOf("a-c", 1, 3n), refOf("b-d", 1, 4n)] },
  ],
  ["lower segments out of order", { lower: job.lower.toReversed() }],
  ["a lower segment beside the upper ones", { lower: [refOf("x-z", 1, 1n)], splitAfter: undefined }],
  ["a segment named twice", { lower: [refOf("a-b", 1, 4n)] }],
  ["a segment that ends before it starts", { upper: [refOf("e-b", 0, 4n)] }],
  ["a tiny output extent", { outputs: [{ id: 10n, extent: { start: 5000n, lengthBlocks: 31 } }] }],
  ["a lower segment behind the split", { splitAfter: keyOf("b") }],
  ["a split that is not a key", { splitAfter: new Uint8Array(3).fill(255) }],
  ["a move of more than one segment", { isMove: true }],
  [
    "a move that should drop tombstones",
    { isMove: true, upper: [refOf("a-c~", 0, 3n)], lower: [], splitAfter: undefined },
  ],
])("a job with %s is not run", (_, change) => {
  expect(() => checkJob({ ...job, ...change })).toThrow(
    expect.objectContaining({ code: "ERR_HOLDFAST_COMPACTION_JOB", facts: { job: 77n } }),
  );
});

test("granted blocks that hold nothing are the ends of used extents and all of the others", () => {
  const used = { ...refOf("a-d", 1, 10n), extent: { start: 5000n, lengthBlocks: 20 } };

  expect(unusedExtents(job, [used])).toEqual([
    { start: 5020n, lengthBlocks: 44 },
    { start: 6000n, lengthBlocks: 64 },
  ]);
});
