/*
 * Memory that senders fill and streams sum up where it lies: as any other memory, but faster.
 */
import { describe, expect, test } from "vitest";
import { streamBuffer } from "../../src/index.ts";
import { streamMemory } from "../../src/streams/stream-memory.ts";
import { StreamSum } from "../../src/streams/stream-sum.ts";
import { SummedMemory } from "../../src/streams/summed-memory.ts";

const SIZE_BYTES = 300_000;

function sumOf(bytes: Uint8Array): number {
  const sum = new StreamSum(streamMemory());
  sum.update(bytes.subarray(0, 1000));
  sum.update(bytes.subarray(1000));
  return sum.digest();
}

describe("a stream buffer", () => {
  test("is zeros, as long as was asked for, from the beginning of a page", () => {
    const buffer = streamBuffer(SIZE_BYTES);

    expect(buffer.length).toBe(SIZE_BYTES);
    expect(buffer.every((byte) => byte === 0)).toBe(true);
    expect(buffer.byteOffset % 4096).toBe(0);
  });

  test("has the sum of the same bytes elsewhere, and keeps them", () => {
    const bytes = Uint8Array.from({ length: SIZE_BYTES }, (_, index) => index ^ (index >>> 7));
    const [one, other] = [streamBuffer(SIZE_BYTES), streamBuffer(SIZE_BYTES)];
    one.set(bytes);
    other.set(bytes);

    const sum = sumOf(bytes);

    expect([sumOf(one), sumOf(other)]).toEqual([sum, sum]);
    expect(Buffer.compare(one, bytes)).toBe(0);
    one[SIZE_BYTES - 1] = (one[SIZE_BYTES - 1] ?? 0) ^ 1;
    expect(sumOf(one)).not.toBe(sum);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 30 + 1])("of %d bytes is refused", (sizeBytes) => {
    expect(() => streamBuffer(sizeBytes)).toThrow(RangeError);
  });

  test("needs WebAssembly: without it there is nothing to put bytes into", () => {
    expect(new SummedMemory(undefined, SIZE_BYTES).bytes.length).toBe(0);
  });
});
