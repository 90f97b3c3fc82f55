/*
 * The items that all stores get: 16-byte keys, 100-byte values that do not compress.
 */
import { seededBytes, seededNumbers } from "../seeded.ts";

/** Bytes of a key. */
export const KEY_BYTES = 16;

/** Bytes of a value. */
export const VALUE_BYTES = 100;

/** One item. */
export interface Item {
  readonly key: Buffer;
  readonly value: Buffer;
}

/**
 * How keys are drawn. `sequential`: rising. `random`: all bytes are random, so that a batch falls under all 256 locks
 * of a dataset. `prefixed`: five bytes in common, the rest random, so that it falls under one.
 */
export type KeyOrder = "sequential" | "random" | "prefixed";

/** Makes `count` items; the same for the same arguments. */
export function makeItems(order: KeyOrder, count: number): readonly Item[] {
  const next = seededNumbers(count);
  return Array.from({ length: count }, (_, index) => ({
    key: makeKey(order, index, next),
    value: seededBytes(next, VALUE_BYTES),
  }));
}

/** Cuts items into batches of `size`; the last may be shorter. */
export function batchesOf(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

function makeKey(order: KeyOrder, index: number, next: () => number): Buffer {
  switch (order) {
    case "sequential":
      return Buffer.from(`item/${String(index).padStart(KEY_BYTES - 5, "0")}`);
    case "random":
      return seededBytes(next, KEY_BYTES);
    case "prefixed":
      return Buffer.concat([Buffer.from("item/"), seededBytes(next, KEY_BYTES - 5)]);
  }
}
