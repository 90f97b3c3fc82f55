import { BLOCK_BYTES } from "@holdfast/environment";
import { formatHash } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import {
  formatQuorum,
  placeOf,
  QUORUM_FORMATS,
  readHint,
  readSlot,
  RecordBody,
  recordBlock,
  sealHint,
  sealPristine,
  sealRecord,
  SplitterMark,
  splitterBlock,
} from "../src/index.ts";
import { SlotReading, countIds } from "../src/block-reading.ts";
import { FIRST_PAYLOAD, recordOf, regionOf } from "./disk.ts";

const region = regionOf(3);

describe("mkfs", () => {
  const blocks = new Map(
    [...formatQuorum(region, FIRST_PAYLOAD)].map(({ address, block }) => [address, block]),
  );

  test("writes every block of the region once", () => {
    expect([...formatQuorum(region, FIRST_PAYLOAD)]).toHaveLength(region.hintsCount + 2 * 3 + 2 * 2 * 3);
    expect(blocks.size).toBe(region.hintsCount + 2 * 3 + 2 * 2 * 3);
    for (const block of blocks.values()) expect(block).toHaveLength(BLOCK_BYTES);
  });

  test("leaves term 1 taken and resigned with the first state in both copies, all else pristine", () => {
    const places = [...blocks].filter(([address]) => address >= region.slotsBlock);
    const touched = places.flatMap(([address, block]) => {
      const slot = readSlot(region, address, block);
      return slot.state === "pristine" ? [] : [{ ...placeOf(region, address), ...slot }];
    });
    const mark = { claim: 0n, isVoid: false };
    const record = { term: 1n, seq: 1n, writer: 0n, address: "", payload: FIRST_PAYLOAD };
    expect(touched).toEqual([
      { kind: "x", term: 1n, state: "mark", mark, writer: 0n },
      { kind: "y", term: 1n, state: "mark", mark, writer: 0n },
      { kind: "record", term: 1n, half: 0, copy: 0, state: "record", record },
      { kind: "record", term: 1n, half: 0, copy: 1, state: "record", record },
    ]);
  });
});

describe("a block of the slots", () => {
  const address = recordBlock(region, 2n, 0);
  const sealed = sealRecord(recordOf(2n, 1n), { fsid: region.fsid, block: address });

  test("with any bit of its header or payload flipped is unreadable, never pristine and never a record", () => {
    for (let index = 0; index < 700; index += 1) {
      const damaged = sealed.slice();
      damaged[index] = (damaged[index] ?? 0) ^ (1 << (index % 8));
      expect(readSlot(region, address, damaged).state).toBe("unreadable");
    }
  });

  test("is unreadable at another place, of another volume, of another term or kind", () => {
    const foreign = { ...region, fsid: 1n };
    const otherTerm = sealRecord(recordOf(3n, 1n), { fsid: region.fsid, block: address });

    expect(readSlot(region, address + 1n, sealed).state).toBe("unreadable");
    expect(readSlot(foreign, address, sealed).state).toBe("unreadable");
    expect(readSlot(region, address, otherTerm).state).toBe("unreadable");
    expect(readSlot(region, splitterBlock(region, 2n), sealed).state).toBe("unreadable");
    expect(readSlot(region, address, undefined).state).toBe("unreadable");
    expect(readSlot(region, address, sealed.subarray(0, 512)).state).toBe("unreadable");
    expect(readSlot(region, address, sealPristine(region, address)).state).toBe("pristine");
  });

  test("is misplaced in the place of its other copy, and nowhere else", () => {
    const other = recordBlock(region, 2n, 1);

    expect(readSlot(region, other, sealed)).toEqual({ state: "misplaced", record: recordOf(2n, 1n) });
    expect(readSlot(region, other + 1n, sealed).state).toBe("unreadable");
    expect(readSlot(region, recordBlock(region, 3n, 1), sealed).state).toBe("unreadable");
    expect(readSlot(region, other, sealPristine(region, address)).state).toBe("unreadable");
  });

  test("is read again where a read that was misdirected showed the other copy", () => {
    const other = recordBlock(region, 2n, 1);
    const own = sealRecord(recordOf(2n, 1n), { fsid: region.fsid, block: other });
    const reading = new SlotReading(region, countIds(), [{ address: other, count: 1 }]);

    const again = reading.accept({ type: "blocks-read", id: 1, blocks: [sealed] });
    expect(again).toMatchObject({ ranges: [{ address: other, count: 1 }], attempt: 2 });
    expect(reading.accept({ type: "blocks-read", id: 2, blocks: [own] })).toBeUndefined();
    expect(reading.at(other).state).toBe("record");
  });
});

test("a hint comes back from its block, and from no other", () => {
  const hint = { rid: 5n, term: 3n, counter: 9, reachesServer: true, isServing: false, address: "unix:/x" };
  const block = sealHint(region, 11n, hint);

  expect(readHint(region, 11n, block)).toEqual(hint);
  expect(readHint(region, 12n, block)).toBeUndefined();
  expect(readHint(region, 11n, sealPristine(region, 11n))).toBeUndefined();
});

test("the layouts on a volume are these", () => {
  expect(SplitterMark.signature).toBe("SplitterMark{claim:u64,isVoid:flag}");
  expect(RecordBody.signature).toBe("RecordBody{hash:bytes(16),address:text(254),payload:blob(3758)}");
  expect(formatHash(QUORUM_FORMATS)).toBe(formatHash([...QUORUM_FORMATS].reverse()));
});
