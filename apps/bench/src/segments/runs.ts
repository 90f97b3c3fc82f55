import { packKey } from "@holdfast/wire-format";
import { seededBytes, seededNumbers } from "../seeded.ts";

/** Bytes of a value. */
export const VALUE_BYTES = 100;

/** `seq` of every item; no key occurs in two runs. */
export const SEQ = 1n;

/** Sorted items. */
export interface Run {
  /** 32 bytes each, rising. */
  readonly keys: readonly Uint8Array[];
  readonly values: readonly Uint8Array[];
}

/** Makes runs that all span the same range, each key in one of them; the same for the same arguments. */
export function makeRuns(count: number, itemsPerRun: number): readonly Run[] {
  const next = seededNumbers(itemsPerRun);
  return Array.from({ length: count }, () => {
    const keys = Array.from({ length: itemsPerRun }, () =>
      packKey({
        zone: 2,
        first: 1n,
        type: 1,
        second: (BigInt(next()) << 32n) | BigInt(next()),
        third: BigInt(next()),
        fourth: next(),
      }),
    ).sort((a, b) => Buffer.compare(a, b));
    return { keys, values: keys.map(() => seededBytes(next, VALUE_BYTES)) };
  });
}
