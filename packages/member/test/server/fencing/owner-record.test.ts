import { expect, test } from "vitest";
import { Evidence, NO_EVIDENCE, NO_PROCESS, OwnerRecord, ownerOf, wallTime } from "../../../src/index.ts";
import { processOf } from "../../world/fencing-rig.ts";

const OWNER: OwnerRecord = {
  name: "n".repeat(128),
  address: "a".repeat(255),
  process: processOf(17),
  sinceMs: 1_800_000_000_000n,
  evidence: { kind: "operator", by: "ada@host", atMs: 1_800_000_000_001n },
};

test("an owner comes back from a record as it was, and fits an entry of a tree", () => {
  expect(OwnerRecord.decode(OwnerRecord.encode(OWNER))).toEqual(OWNER);
  expect(OwnerRecord.sizeBytes).toBe(659);
  expect(OwnerRecord.sizeBytes).toBeLessThanOrEqual(1024);
});

test.each(["none", "farewell", "process", "agent", "operator"] as const)(
  "evidence %s has one byte of its own",
  (kind) => {
    const bytes = Evidence.encode({ kind, by: "", atMs: 0n });

    expect(Evidence.decode(bytes).kind).toBe(kind);
    expect(bytes[0]).toBe(["none", "farewell", "process", "agent", "operator"].indexOf(kind));
  },
);

test("evidence of a kind that does not exist is refused", () => {
  const bytes = Evidence.encode(NO_EVIDENCE);
  bytes[0] = 5;

  expect(() => Evidence.decode(bytes)).toThrow(RangeError);
});

test("of a member its name, address and process are kept when it is gone; a clock before 1970 harms nothing", () => {
  const owner = ownerOf(
    { name: "m", address: "tcp://h:1", process: NO_PROCESS },
    { wallMs: -5.5, evidence: NO_EVIDENCE },
  );

  expect(owner).toEqual({
    name: "m",
    address: "tcp://h:1",
    process: NO_PROCESS,
    sinceMs: 0n,
    evidence: NO_EVIDENCE,
  });
  expect(wallTime(1234.9)).toBe(1234n);
});
