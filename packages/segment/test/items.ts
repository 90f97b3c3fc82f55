import type { BlockDevice } from "@holdfast/environment";
import { FIRST_KEY, type Key, type KeyRange, LAST_KEY, crc32c, packKey, toHex } from "@holdfast/wire-format";
import {
  type ItemCursor,
  SEGMENT_BLOCKS_MIN,
  type SegmentExtent,
  type SegmentRef,
  SegmentWriter,
} from "../src/index.ts";

export const FSID = 0xf51dn;
export const EVERYTHING: KeyRange = { start: FIRST_KEY, end: LAST_KEY };

export interface Item {
  readonly key: Key;
  readonly seq: bigint;
  readonly value: Uint8Array | undefined;
}

/** A key that differs from its neighbours behind a long shared prefix, as user keys do. */
export function keyOf(number: number): Key {
  return packKey({ zone: 2, first: 7n, type: 1, second: BigInt(number), third: 0n, fourth: 9 });
}

export function item(number: number, seq = 1, valueBytes = 100): Item {
  const value = new Uint8Array(valueBytes).map((_, index) => number + seq + index);
  return { key: keyOf(number), seq: BigInt(seq), value };
}

export function tombstone(number: number, seq = 1): Item {
  return { key: keyOf(number), seq: BigInt(seq), value: undefined };
}

export function writerOn(
  device: BlockDevice,
  extent: SegmentExtent = { start: 0n, lengthBlocks: SEGMENT_BLOCKS_MIN },
  id = 5n,
): SegmentWriter {
  return new SegmentWriter({ device, fsid: FSID, writer: 0xabcn, term: 3n, id, level: 1, extent });
}

export async function writeSegment(
  device: BlockDevice,
  items: readonly Item[],
  extent?: SegmentExtent,
  id?: bigint,
): Promise<SegmentRef> {
  const writer = writerOn(device, extent, id);
  for (const { key, seq, value } of items)
    if (!writer.add(key, seq, value)) throw new Error("the test's items do not fit");
  return writer.finish();
}

/** Items as text, which compares faster than bytes do. */
export function linesOf(items: readonly Item[]): string[] {
  return items.map(lineOf);
}

export function lineOf({ key, seq, value }: Item): string {
  return `${toHex(key)} ${seq} ${value === undefined ? "deleted" : `${value.length} ${crc32c(value)}`}`;
}

/** All that a cursor shows, as {@link linesOf} writes it. */
export async function collect(cursor: ItemCursor): Promise<string[]> {
  const lines: string[] = [];
  while (await cursor.next()) lines.push(lineOf(cursor));
  return lines;
}
