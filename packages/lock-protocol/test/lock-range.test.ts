import { compareBytes, FIRST_KEY, type Key, KEY_BYTES, LAST_KEY } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import { lockIdOf, LockRange, lockRange, RangeIndex } from "../src/index.ts";

describe("a lock range", () => {
  test("has strings that compare as its keys do", () => {
    const random = randomOf(seedOf());
    for (let round = 0; round < 500; round += 1) {
      const one = randomKey(random);
      const other = randomKey(random);
      const oneId = lockIdOf({ start: one, end: LAST_KEY });
      const otherId = lockIdOf({ start: other, end: LAST_KEY });

      expect(Math.sign(compareBytes(one, other))).toBe(oneId < otherId ? -1 : oneId > otherId ? 1 : 0);
    }
  });

  test("is prepared once: a prepared range is used as it is", () => {
    const range = new LockRange({ start: FIRST_KEY, end: LAST_KEY });

    expect(lockRange(range)).toBe(range);
    expect(lockIdOf(range)).toBe(lockIdOf({ start: FIRST_KEY, end: FIRST_KEY }));
  });

  test("may be a single key, but not end before it starts nor have keys of another length", () => {
    expect(() => new LockRange({ start: FIRST_KEY, end: FIRST_KEY })).not.toThrow();
    expect(() => new LockRange({ start: LAST_KEY, end: FIRST_KEY })).toThrow(RangeError);
    expect(() => new LockRange({ start: new Uint8Array(31), end: LAST_KEY })).toThrow(RangeError);
    expect(() => new LockRange({ start: FIRST_KEY, end: new Uint8Array(33) })).toThrow(RangeError);
  });
});

describe("a range index", () => {
  test("finds a range that shares a key, whichever way the two overlap", () => {
    const index = new RangeIndex();
    const held = rangeOf(20, 29);
    index.add(held);

    for (const other of [rangeOf(20, 29), rangeOf(0, 20), rangeOf(29, 40), rangeOf(22, 23), rangeOf(0, 99)])
      expect(index.overlapping(other)).toBe(held);
    for (const other of [rangeOf(0, 19), rangeOf(30, 99)]) expect(index.overlapping(other)).toBeUndefined();
  });

  test("agrees with a plain list over thousands of changes", () => {
    const random = randomOf(seedOf());
    const index = new RangeIndex();
    const plain = new Map<number, LockRange>();
    for (let round = 0; round < 6000; round += 1) {
      const start = random() % 5000;
      const range = rangeOf(start * 4, start * 4 + (random() % 8));
      const expected = [...plain.values()].filter((held) => held.id <= range.endId && range.id <= held.endId);

      const found = index.overlapping(range);

      expect(found === undefined ? expected.length === 0 : expected.includes(found)).toBe(true);
      if (found === undefined) {
        index.add(range);
        plain.set(start, range);
      } else {
        if (random() % 3 === 0) {
          index.delete(found);
          for (const [key, held] of plain) if (held === found) plain.delete(key);
        }
      }
    }
    expect(plain.size).toBeGreaterThan(1024);
  });

  test("does not let a range leave that never came", () => {
    expect(() => new RangeIndex().delete(rangeOf(1, 2))).toThrow("invariant broken");
  });
});

function rangeOf(start: number, end: number): LockRange {
  return new LockRange({ start: numberKey(start), end: numberKey(end) });
}

function numberKey(value: number): Key {
  const key = new Uint8Array(KEY_BYTES);
  new DataView(key.buffer).setUint32(0, value);
  return key;
}

function randomKey(random: () => number): Key {
  // Few different bytes, so that keys share long beginnings; both halves of the byte range, so that signs matter.
  return new Uint8Array(KEY_BYTES).map(() => (random() % 2 === 0 ? 0x7f : 0x80));
}

function seedOf(): number {
  const seed = Number(process.env["SEED"] ?? 1);
  console.info(`SEED=${seed}`);
  return seed;
}

/** Marsaglia's xorshift32. */
function randomOf(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
