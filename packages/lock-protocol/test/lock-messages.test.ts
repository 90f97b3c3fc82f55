import { KEY_BYTES, toHex } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  Invalidate,
  InvalidateDone,
  LOCK_FORMATS,
  LockGrant,
  type LockReport,
  LockRequest,
  RECLAIM_LOCKS_MAX,
  ReclaimRequest,
  reclaimRequests,
  termOfWriteSeq,
  writeSeqOf,
} from "../src/index.ts";

const start = new Uint8Array(KEY_BYTES).fill(0x11);
const end = new Uint8Array(KEY_BYTES).fill(0x22);

test("a request is its two keys, the mode and what is held, 66 bytes", () => {
  const body = LockRequest.encode({ start, end, mode: "write", held: "read" });

  expect(toHex(body)).toBe(`${"11".repeat(32)}${"22".repeat(32)}0201`);
  expect(LockRequest.decode(body)).toEqual({ start, end, mode: "write", held: "read" });
});

test("a grant is its key, the mode, the token, the term and the manifest's version, 57 bytes", () => {
  const grant = { start, mode: "read", writeSeq: 0x0102n, term: 3n, manifestVersion: 4n } as const;

  const body = LockGrant.encode(grant);

  expect(toHex(body)).toBe(`${"11".repeat(32)}01020100000000000003000000000000000400000000000000`);
  expect(LockGrant.decode(body)).toEqual(grant);
});

test("an invalidation and its answer name the lock and the mode that may be kept", () => {
  const demand = { start, to: "read", term: 5n, writeSeq: 6n } as const;

  expect(Invalidate.decode(Invalidate.encode(demand))).toEqual(demand);
  expect(toHex(InvalidateDone.encode({ start, to: "null" }))).toBe(`${"11".repeat(32)}00`);
});

test("bytes one short of a message, one more, or with an unknown mode are refused", () => {
  const body = LockRequest.encode({ start, end, mode: "write", held: "null" });
  const unknownMode = body.slice();
  unknownMode[64] = 3;

  expect(() => LockRequest.decode(body.subarray(1))).toThrow(RangeError);
  expect(() => LockRequest.decode(Uint8Array.of(...body, 0))).toThrow(RangeError);
  expect(() => LockRequest.decode(unknownMode)).toThrow(RangeError);
});

test("a report of many locks travels in parts of 500, of which the last says so", () => {
  const report: LockReport = { start, end, mode: "write", writeSeq: writeSeqOf(2n, 7n) };
  const reports = Array.from({ length: 2 * RECLAIM_LOCKS_MAX + 1 }, () => report);

  const parts = reclaimRequests(reports).map((part) => ReclaimRequest.decode(ReclaimRequest.encode(part)));

  expect(parts.map((part) => [part.locks.length, part.isLast])).toEqual([
    [500, false],
    [500, false],
    [1, true],
  ]);
  expect(parts[2]?.locks).toEqual([report]);
});

test("a member that holds nothing says so in one part", () => {
  expect(reclaimRequests([])).toEqual([{ locks: [], isLast: true }]);
});

test("a report of more locks than one part may have, or of a malformed one, is refused", () => {
  const report: LockReport = { start, end, mode: "read", writeSeq: 0n };
  const tooMany = { locks: Array.from({ length: RECLAIM_LOCKS_MAX + 1 }, () => report), isLast: true };
  const body = ReclaimRequest.encode({ locks: [report], isLast: true });
  const unknownMode = body.slice();
  // Array of 2, array of 1, binary of 73 (two bytes), then the report, whose mode is its 65th byte.
  unknownMode[4 + 64] = 9;

  expect(() => ReclaimRequest.encode(tooMany)).toThrow("501 entries");
  expect(() => ReclaimRequest.decode(unknownMode)).toThrow("no lock mode has number 9");
});

test("every message takes part in the format hash", () => {
  expect(LOCK_FORMATS.map(({ signature }) => signature.split(/[[{]/)[0])).toEqual([
    "LockRequest",
    "LockGrant",
    "Invalidate",
    "InvalidateDone",
    "ReclaimRequest",
  ]);
});

test("L9: a token of a later term is greater than every token of an earlier one", () => {
  const lastOfTerm = writeSeqOf(4n, (1n << 40n) - 1n);

  expect(writeSeqOf(5n, 1n)).toBeGreaterThan(lastOfTerm);
  expect(termOfWriteSeq(lastOfTerm)).toBe(4n);
  expect(() => writeSeqOf(4n, 1n << 40n)).toThrow("invariant broken");
});
