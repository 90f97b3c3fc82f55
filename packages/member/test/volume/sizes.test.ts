import { JOURNAL_HALF_BLOCKS_MAX, JOURNAL_HALF_BLOCKS_MIN } from "@holdfast/item-store";
import { MemberPool } from "@holdfast/alloc-extent";
import { expect, test } from "vitest";
import { layoutFor } from "../../src/index.ts";
import { sizesFor } from "../../src/volume/sizes.ts";
import { METADATA_GRANTS_MAX, SPARES_MAX } from "../../src/volume/volume-state.ts";
import { GIB, MIB_BYTES } from "./areas.ts";

test.each([
  [16n * MIB_BYTES, { grantBlocks: 128, journalHalfBlocks: 256, refillBlocks: 1536 }],
  [GIB, { grantBlocks: 463, journalHalfBlocks: 1854, refillBlocks: 1536 }],
  [8n * GIB, { grantBlocks: 1024, journalHalfBlocks: 4096, refillBlocks: 8095 }],
  [1024n * GIB, { grantBlocks: 1024, journalHalfBlocks: 4096, refillBlocks: 16_384 }],
])("a volume of %d bytes is cut into %o", (sizeBytes, wanted) => {
  const { grantBlocks, journalHalfBlocks, pool } = sizesFor(layoutFor(sizeBytes).dataCount);

  expect({ grantBlocks, journalHalfBlocks, refillBlocks: pool.refillBlocks }).toEqual(wanted);
});

test.each([16n, 64n, 1024n, 1_000_000n])(
  "on %d MiB spares, a journal and a pool fit the data",
  (mebibytes) => {
    const { dataCount } = layoutFor(mebibytes * MIB_BYTES);
    const { grantBlocks, journalHalfBlocks, pool } = sizesFor(dataCount);

    expect(BigInt(SPARES_MAX * grantBlocks + 2 * journalHalfBlocks)).toBeLessThan(dataCount);
    expect(journalHalfBlocks).toBeGreaterThanOrEqual(JOURNAL_HALF_BLOCKS_MIN);
    expect(journalHalfBlocks).toBeLessThanOrEqual(JOURNAL_HALF_BLOCKS_MAX);
    expect(new MemberPool(pool).freeBlocks).toBe(0);
    expect(grantBlocks * METADATA_GRANTS_MAX).toBeGreaterThan(1024);
  },
);
