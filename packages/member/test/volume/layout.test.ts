import { expect, test } from "vitest";
import {
  DATA_BLOCKS_MIN,
  HINTS_BLOCK,
  layoutFor,
  SUPER_BLOCK,
  TERMS_MIN,
  VOLUME_BYTES_MIN,
  VolumeTooSmallError,
} from "../../src/index.ts";
import { areasOf, GIB, MIB_BYTES } from "./areas.ts";

test("the smallest volume is 16 MiB: 64 terms, 14 MiB for data", () => {
  expect(layoutFor(VOLUME_BYTES_MIN)).toEqual({
    blockCount: 4096n,
    termsMax: 64,
    superCopyBlock: 4095n,
    dataBlock: 384n,
    dataCount: 3583n,
    quorum: {
      hintsBlock: 64n,
      hintsCount: 64,
      termBase: 0n,
      generation: 0,
      slotsBlock: 128n,
      termsMax: 64,
      recordsBlock: 256n,
      recordsCopyBlock: 3967n,
    },
  });
});

test.each([
  [16n * MIB_BYTES, 64],
  [64n * MIB_BYTES, 256],
  [GIB, 4096],
  [1024n * GIB, 4096],
])("a volume of %d bytes has %d terms: as many as a tenth of it holds, within limits", (sizeBytes, terms) => {
  expect(layoutFor(sizeBytes).termsMax).toBe(terms);
});

test.each([16n, 17n, 100n, 1000n, 100_000n])(
  "on %d MiB the areas follow each other without touching, and the copy of each area is far from the first",
  (mebibytes) => {
    const layout = layoutFor(mebibytes * MIB_BYTES);
    const areas = areasOf(layout);

    let end = 0n;
    for (const { first, count } of areas) {
      expect(first).toBeGreaterThanOrEqual(end);
      expect(count).toBeGreaterThan(0n);
      end = first + count;
    }

    expect(end).toBe(layout.blockCount);
    expect(areas[0]).toEqual({ name: "super", first: SUPER_BLOCK, count: 1n });
    expect(areas[1]?.first).toBe(HINTS_BLOCK);
    expect(layout.dataCount).toBeGreaterThanOrEqual(DATA_BLOCKS_MIN);
    const { recordsBlock, recordsCopyBlock } = layout.quorum;
    expect(recordsCopyBlock - recordsBlock).toBeGreaterThan(layout.dataCount);
  },
);

test("a rest that is no whole block belongs to nobody", () => {
  expect(layoutFor(VOLUME_BYTES_MIN + 4095n)).toEqual(layoutFor(VOLUME_BYTES_MIN));
});

test("a device below 16 MiB is too small, and the error says how small", () => {
  const error = refusalOf(() => layoutFor(VOLUME_BYTES_MIN - 1n));

  expect(error).toBeInstanceOf(VolumeTooSmallError);
  expect(error).toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_TOO_SMALL",
    facts: { sizeBytes: VOLUME_BYTES_MIN - 1n, minimumBytes: VOLUME_BYTES_MIN },
  });
});

test.each([0, 1, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY])(
  "%d terms are no number of terms",
  (terms) => {
    expect(refusalOf(() => layoutFor(64n * MIB_BYTES, terms))).toBeInstanceOf(RangeError);
  },
);

test("terms that crowd out the data are refused", () => {
  expect(layoutFor(16n * MIB_BYTES, 149).dataCount).toBeGreaterThanOrEqual(DATA_BLOCKS_MIN);
  expect(refusalOf(() => layoutFor(16n * MIB_BYTES, 150))).toBeInstanceOf(RangeError);
  expect(layoutFor(16n * MIB_BYTES, TERMS_MIN).termsMax).toBe(TERMS_MIN);
});

function refusalOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
