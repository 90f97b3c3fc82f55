import { SUPER_BLOCK, type VolumeLayout } from "../../src/index.ts";

/** Bytes in a MiB, for sizes of devices. */
export const MIB_BYTES: bigint = 1024n * 1024n;

/** Bytes in a GiB. */
export const GIB: bigint = 1024n * MIB_BYTES;

/** A part of the volume. */
export interface Area {
  readonly name: string;
  readonly first: bigint;
  readonly count: bigint;
}

/** The parts of a volume, in their order. */
export function areasOf(layout: VolumeLayout): readonly Area[] {
  const { hintsBlock, hintsCount, slotsBlock, termsMax, recordsBlock, recordsCopyBlock } = layout.quorum;
  const perArea = 2n * BigInt(termsMax);
  return [
    { name: "super", first: SUPER_BLOCK, count: 1n },
    { name: "hints", first: hintsBlock, count: BigInt(hintsCount) },
    { name: "slots", first: slotsBlock, count: perArea },
    { name: "records", first: recordsBlock, count: perArea },
    { name: "data", first: layout.dataBlock, count: layout.dataCount },
    { name: "records copy", first: recordsCopyBlock, count: perArea },
    { name: "super copy", first: layout.superCopyBlock, count: 1n },
  ];
}
