import { expect, test } from "vitest";
import { EMPTY_STATE, ORPHANS_MAX, type VolumeState } from "../../src/index.ts";
import { NoSpareError, type OpeningServer, openingState } from "../../src/server/opening.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";

const FORMER = { writer: 7n, term: 4n };
const PROCESS = { ...NO_PROCESS, hostName: "h", pid: 17 };
const server = (term: bigint): OpeningServer => ({ term, process: PROCESS });
const extent = (start: bigint): { start: bigint; lengthBlocks: number } => ({ start, lengthBlocks: 128 });

const ADOPTED: VolumeState = {
  ...EMPTY_STATE,
  evictGeneration: 3n,
  manifestVersion: 9n,
  metadataGrants: [extent(1000n), extent(2000n)],
  spares: [extent(3000n), extent(4000n)],
  orphans: [{ ...extent(500n), owner: 6n, term: 2n, isDrained: false }],
};

test("a new server takes one spare, and what the former one held waits under that one's name, with a note that it resigned", () => {
  const opening = openingState(ADOPTED, FORMER, server(5n));

  expect(opening).toEqual({
    ...ADOPTED,
    isResigned: false,
    server: PROCESS,
    metadataGrants: [extent(3000n)],
    spares: [extent(4000n)],
    orphans: [
      { ...extent(500n), owner: 6n, term: 2n, isDrained: false },
      { ...extent(1000n), owner: 7n, term: 4n, isDrained: true },
      { ...extent(2000n), owner: 7n, term: 4n, isDrained: true },
    ],
  });
});

test("servers that die before their second commit use up the spares, and then there is an end", () => {
  const first = openingState(ADOPTED, FORMER, server(5n));
  const second = openingState(first, { writer: 8n, term: 5n }, server(6n));

  expect(second.spares).toEqual([]);
  expect(second.orphans.at(-1)).toEqual({ ...extent(3000n), owner: 8n, term: 5n, isDrained: false });
  expect(() => openingState(second, { writer: 9n, term: 6n }, server(7n))).toThrow(NoSpareError);
});

test("more grants of former servers than a record can name end the opening too", () => {
  const orphans = Array.from({ length: ORPHANS_MAX - 1 }, (_, index) => ({
    ...extent(BigInt(10_000 + index)),
    owner: 6n,
    term: 2n,
    isDrained: false,
  }));
  expect(
    openingState({ ...ADOPTED, metadataGrants: [extent(1n)], orphans }, FORMER, server(5n)).orphans.length,
  ).toBe(ORPHANS_MAX);

  expect(() => openingState({ ...ADOPTED, orphans }, FORMER, server(5n))).toThrow(NoSpareError);
});
