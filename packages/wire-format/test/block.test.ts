import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BLOCK_PAYLOAD_BYTES,
  type BlockError,
  type BlockExpectation,
  type BlockIdentity,
  BlockRef,
  BlockType,
  crc32c,
  NO_BLOCK,
  openBlock,
  openReferencedBlock,
  refTo,
  resealBlock,
  sealBlock,
  toHex,
} from "../src/index.ts";

const IDENTITY: BlockIdentity = {
  fsid: 0x1122334455667788n,
  address: 7n,
  term: 3n,
  writer: 0xaabbn,
  seq: 9n,
  type: BlockType.treeNode,
};
const PAYLOAD = new Uint8Array(Buffer.from("payload"));
const EXPECTED: BlockExpectation = { fsid: IDENTITY.fsid, address: 7n, types: [BlockType.treeNode] };

describe("sealing", () => {
  test("the header says what the block is, where it belongs and who wrote it; zeros follow the payload", () => {
    const block = sealBlock(IDENTITY, PAYLOAD);

    expect(toHex(block.subarray(0, 71))).toBe(
      [
        "38cc9397", // CRC-32C
        "48464231", // "HFB1"
        "8877665544332211",
        "0700000000000000",
        "0300000000000000",
        "bbaa000000000000",
        "0900000000000000",
        "0700", // type
        "0700", // length
        "00".repeat(12),
        "7061796c6f6164",
      ].join(""),
    );
    expect(block.subarray(71).every((value) => value === 0)).toBe(true);
    expect(block).toHaveLength(4096);
  });

  test("what was sealed is opened", () => {
    const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const identity = fc.record({
      fsid: u64,
      address: u64,
      term: u64,
      writer: u64,
      seq: u64,
      type: fc.nat(65_535),
    });
    fc.assert(
      fc.property(identity, fc.uint8Array({ maxLength: BLOCK_PAYLOAD_BYTES }), (given, payload) => {
        const { fsid, address, type } = given;

        const { header, payload: found } = openBlock(sealBlock(given, payload), {
          fsid,
          address,
          types: [type],
        });

        expect(header).toMatchObject({ ...given, length: payload.length });
        expect(found).toEqual(payload);
      }),
    );
  });

  test("a block that is sealed in place loses what stood behind its payload", () => {
    const block = new Uint8Array(4096).fill(0xee);
    block.set(PAYLOAD, 64);

    resealBlock(IDENTITY, PAYLOAD.length, block);

    expect(block).toEqual(sealBlock(IDENTITY, PAYLOAD));
  });

  test("a payload of 4032 bytes fits, one more does not", () => {
    const full = new Uint8Array(4032).fill(1);

    expect(openBlock(sealBlock(IDENTITY, full), EXPECTED).payload).toEqual(full);
    expect(() => sealBlock(IDENTITY, new Uint8Array(4033))).toThrow("a block holds 4032 bytes, not 4033");
    expect(() => resealBlock(IDENTITY, 4033, new Uint8Array(4096))).toThrow(RangeError);
    expect(() => resealBlock(IDENTITY, 1, new Uint8Array(512))).toThrow(RangeError);
  });
});

describe("damage", () => {
  const block = sealBlock(IDENTITY, PAYLOAD);

  test("each single-bit flip is found", () => {
    const damaged = block.slice();
    const wrong: string[] = [];

    for (let bit = 0; bit < 4096 * 8; bit += 1) {
      const [index, mask] = [bit >> 3, 1 << (bit & 7)];
      damaged[index] = (block[index] ?? 0) ^ mask;
      const expected = index >= 4 && index < 8 ? "ERR_HOLDFAST_BLOCK_MAGIC" : "ERR_HOLDFAST_BLOCK_CHECKSUM";
      const code = codeOf(() => openBlock(damaged, EXPECTED));
      if (code !== expected) wrong.push(`bit ${bit}: ${code}`);
      damaged[index] = block[index] ?? 0;
    }

    expect(wrong).toEqual([]);
  });

  test("each truncation is found, and so are bytes too many", () => {
    const longer = new Uint8Array(4097);
    longer.set(block);
    const lengths = [...Array.from({ length: 4096 }, (_, length) => length), 4097];

    const codes = new Set(
      lengths.map((length) => codeOf(() => openBlock(longer.subarray(0, length), EXPECTED))),
    );

    expect([...codes]).toEqual(["ERR_HOLDFAST_BLOCK_SIZE"]);
  });

  test("a block of zeros is not one of ours", () => {
    expect(codeOf(() => openBlock(new Uint8Array(4096), EXPECTED))).toBe("ERR_HOLDFAST_BLOCK_MAGIC");
  });
});

describe("a whole block that is not the one expected", () => {
  test.each<[string, string, Partial<BlockIdentity>, object]>([
    ["of another volume", "FOREIGN", { fsid: 1n }, { block: 7n, fsid: 1n }],
    ["of another place", "MISDIRECTED", { address: 8n }, { block: 7n, address: 8n }],
    ["of another type", "TYPE", { type: BlockType.journal }, { block: 7n, type: BlockType.journal }],
  ])("%s is refused", (_, name, other, facts) => {
    const block = sealBlock({ ...IDENTITY, ...other }, PAYLOAD);

    expect(errorOf(() => openBlock(block, EXPECTED))).toMatchObject({
      code: `ERR_HOLDFAST_BLOCK_${name}`,
      category: "corruption",
      facts,
    });
  });

  test.each([
    ["a length beyond the block", 50, 0xffff],
    ["a length of one byte too many", 50, 4033],
    ["a length that leaves payload behind it", 50, 3],
    ["reserved bytes that are not zero", 52, 1],
    ["a byte behind its payload that is not zero", 4094, 1],
  ])("%s is refused, though the checksum is right", (_, offset, value) => {
    const block = sealBlock(IDENTITY, PAYLOAD);
    const view = new DataView(block.buffer);
    view.setUint16(offset, value, true);
    view.setUint32(0, crc32c(block, 4), true);

    expect(codeOf(() => openBlock(block, EXPECTED))).toBe("ERR_HOLDFAST_BLOCK_CONTENT");
  });
});

describe("references", () => {
  const block = sealBlock(IDENTITY, PAYLOAD);
  const expected = { fsid: IDENTITY.fsid, types: [BlockType.treeNode] };

  test("a block is opened by the reference to it", () => {
    const ref = refTo(block);

    expect(ref).toMatchObject({ address: 7n, seq: 9n });
    expect(toHex(BlockRef.encode(ref))).toBe(
      "070000000000000009000000000000005add4431c4bd591807f86f39ae8fb162",
    );
    expect(openReferencedBlock(block, ref, expected).payload).toEqual(PAYLOAD);
  });

  test.each<[string, Partial<BlockIdentity>, string]>([
    ["an older write of the same place", { seq: 8n }, "payload"],
    ["another write with the same number", {}, "paYload"],
    ["the same write by another member", { writer: 1n }, "payload"],
  ])("%s is stale", (_, other, payload) => {
    const found = sealBlock({ ...IDENTITY, ...other }, Buffer.from(payload));

    expect(codeOf(() => openReferencedBlock(found, refTo(block), expected))).toBe("ERR_HOLDFAST_BLOCK_STALE");
  });

  test("the reference to nothing is that to block 0", () => {
    expect(toHex(BlockRef.encode(NO_BLOCK))).toBe("00".repeat(32));
  });
});

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

function codeOf(action: () => unknown): string {
  // Every refusal of a block is a BlockError; anything else shows as a code that no test expects.
  return (errorOf(action) as BlockError | undefined)?.code ?? "accepted";
}
