import { RECORD_PAYLOAD_BYTES_MAX } from "@holdfast/quorum";
import { expect, test } from "vitest";
import {
  EMPTY_STATE,
  evictGenerationOf,
  METADATA_GRANTS_MAX,
  NO_PROCESS,
  ORPHANS_MAX,
  SPARES_MAX,
  VolumeState,
} from "../../src/index.ts";

const LARGEST = (1n << 64n) - 1n;
const REF = { address: LARGEST, seq: LARGEST, hash: new Uint8Array(16).fill(0xff) };
const EXTENT = { start: LARGEST, lengthBlocks: 0xffff_ffff };

const FULL: VolumeState = {
  evictGeneration: LARGEST - 1n,
  freeRoot: REF,
  manifestRoot: REF,
  membersRoot: REF,
  quarantineRoot: REF,
  manifestVersion: LARGEST,
  nextMember: 0xffff_ffff,
  nextJob: LARGEST,
  free: { freeBlocks: Number.MAX_SAFE_INTEGER, extentCount: Number.MAX_SAFE_INTEGER, cursor: LARGEST },
  quarantine: { blocks: Number.MAX_SAFE_INTEGER, extentCount: Number.MAX_SAFE_INTEGER },
  retained: { blocks: Number.MAX_SAFE_INTEGER, extentCount: Number.MAX_SAFE_INTEGER },
  server: { ...NO_PROCESS, hostName: "h".repeat(64), bootId: "b".repeat(36), isDeviceLocal: true },
  votes: 64,
  isResigned: true,
  metadataGrants: Array.from({ length: METADATA_GRANTS_MAX }, () => EXTENT),
  spares: Array.from({ length: SPARES_MAX }, () => EXTENT),
  orphans: Array.from({ length: ORPHANS_MAX }, () => ({
    ...EXTENT,
    owner: LARGEST,
    term: LARGEST,
    isDrained: true,
  })),
};

test("the fullest state there can be fits a commit record", () => {
  const bytes = VolumeState.encode(FULL);

  expect(bytes.length).toBe(VolumeState.sizeBytes);
  expect(VolumeState.sizeBytes).toBe(2970);
  expect(VolumeState.sizeBytes).toBeLessThanOrEqual(RECORD_PAYLOAD_BYTES_MAX);
  expect(VolumeState.decode(bytes)).toEqual(FULL);
});

test("the state of nothing names nothing", () => {
  expect(VolumeState.decode(VolumeState.encode(EMPTY_STATE))).toEqual(EMPTY_STATE);
});

test.each([
  ["metadata grants", { metadataGrants: [...FULL.metadataGrants, EXTENT] }],
  ["spares", { spares: [...FULL.spares, EXTENT] }],
  ["orphans", { orphans: [...FULL.orphans, { ...EXTENT, owner: 1n, term: 1n, isDrained: true }] }],
])("one entry more than the limit of %s does not fit", (_, change) => {
  expect(() => VolumeState.encode({ ...FULL, ...change })).toThrow(RangeError);
});

test("members read the evict generation of a record without decoding the rest", () => {
  const bytes = VolumeState.encode(FULL);
  const record = new Uint8Array(bytes.length + 7);
  record.set(bytes, 7);

  expect(evictGenerationOf(record.subarray(7))).toBe(LARGEST - 1n);
});

test("the first fields of a state, byte by byte", () => {
  const bytes = VolumeState.encode({
    ...EMPTY_STATE,
    evictGeneration: 0x0102n,
    freeRoot: { address: 3n, seq: 4n, hash: new Uint8Array(16).fill(5) },
  });

  expect(Buffer.from(bytes.subarray(0, 40)).toString("hex")).toBe(
    ["0201000000000000", "0300000000000000", "0400000000000000", "05".repeat(16)].join(""),
  );
});
