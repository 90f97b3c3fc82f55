import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FIRST_KEY, LAST_KEY, compareBytes, toHex } from "@holdfast/wire-format";
import { ITEM_VALUE_BYTES_MAX, ItemTable, type TableCursor } from "../src/index.ts";
import { SeededRandom } from "./simulated-ports.ts";
import { key } from "./world.ts";

const WHOLE = { start: FIRST_KEY, end: LAST_KEY };

function list(cursor: TableCursor): [string, bigint, Uint8Array | undefined][] {
  const found: [string, bigint, Uint8Array | undefined][] = [];
  while (cursor.nextSync()) found.push([toHex(cursor.key), cursor.seq, cursor.value]);
  return found;
}

const write = fc.record({
  name: fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom("a", "b", "c", "\u0000") }),
  value: fc.option(fc.uint8Array({ maxLength: 8 }), { nil: undefined }),
});

test("a table is a sorted map: it finds the newest version and walks each key once, both ways", () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 120 }), fc.nat(7), (writes, every) => {
      const table = new ItemTable();
      const model = new Map<string, [string, bigint, Uint8Array | undefined]>();
      writes.forEach(({ name, value }, index) => {
        table.put(key(name), BigInt(index), value);
        model.set(toHex(key(name)), [toHex(key(name)), BigInt(index), value]);
        // Walking in between leaves several sorted runs behind.
        if (index % (every + 1) === 0) table.hasIn(WHOLE);
      });
      const expected = [...model.values()].sort(([a], [b]) => (a < b ? -1 : 1));

      expect(list(table.cursor(WHOLE, false))).toEqual(expected);
      expect(list(table.cursor(WHOLE, true))).toEqual(expected.toReversed());
      expect(list(table.wholeCursor(WHOLE))).toEqual(expected);
      for (const { name } of writes)
        expect(table.valueAt(table.find(key(name)))).toEqual(model.get(toHex(key(name)))?.[2]);
      expect(table.find(key("absent"))).toBe(-1);
    }),
    { numRuns: 40 },
  );
});

test("a range of a table has its ends and nothing beyond", () => {
  const table = new ItemTable();
  for (const name of ["a", "b", "c", "d"]) table.put(key(name), 1n, undefined);

  const range = { start: key("b"), end: key("c") };

  expect(list(table.cursor(range, false)).map(([name]) => name)).toEqual([toHex(key("b")), toHex(key("c"))]);
  expect(table.hasIn({ start: key("bb"), end: key("bz") })).toBe(false);
});

test("a cursor is a snapshot: what is written after it was made does not show", () => {
  const table = new ItemTable();
  table.put(key("a"), 1n, Uint8Array.of(1));
  const cursor = table.cursor(WHOLE, false);

  for (let index = 0; index < 100; index += 1) table.put(key(`b${index}`), 2n, Uint8Array.of(2));
  table.put(key("a"), 2n, Uint8Array.of(9));

  expect(list(cursor)).toEqual([[toHex(key("a")), 1n, Uint8Array.of(1)]]);
});

test("ten thousand random keys come out in order by radix sort as by comparison", () => {
  const random = new SeededRandom(42);
  const table = new ItemTable();
  const keys = Array.from({ length: 10_000 }, () => key(`item-${random.u32() % 7_000}`));
  keys.forEach((each, index) => table.put(each, BigInt(index), undefined));

  const found = list(table.wholeCursor(WHOLE));

  const distinct = new Map(keys.map((each, index) => [toHex(each), BigInt(index)]));
  expect(found.map(([name, seq]) => [name, seq])).toEqual([...distinct].sort(([a], [b]) => (a < b ? -1 : 1)));
});

test("keys that differ only in their last bytes come out in order", () => {
  const table = new ItemTable();
  for (let index = 0; index < 5000; index += 1) {
    const last = (index * 7919) % 5000;
    const made = new Uint8Array(32);
    made[30] = last >> 8;
    made[31] = last & 0xff;
    table.put(made, 1n, undefined);
  }

  const found = list(table.wholeCursor(WHOLE)).map(([name]) => name);

  expect(found).toHaveLength(5000);
  expect(found.every((name, index) => index === 0 || (found[index - 1] ?? "") < name)).toBe(true);
});

test("values of every length up to the greatest are kept, longer ones refused", () => {
  const table = new ItemTable();
  const lengths = [0, 1, 1023, 40_000, ITEM_VALUE_BYTES_MAX, ITEM_VALUE_BYTES_MAX - 1];
  lengths.forEach((length, index) => table.put(key(`${index}`), 1n, new Uint8Array(length).fill(index)));

  lengths.forEach((length, index) => {
    const value = table.valueAt(table.find(key(`${index}`)));
    expect(value).toHaveLength(length);
    expect(value?.every((byte) => byte === index)).toBe(true);
  });
  expect(() => table.put(key("x"), 1n, new Uint8Array(ITEM_VALUE_BYTES_MAX + 1))).toThrow(RangeError);
});

test("the bytes of a table count rows and values", () => {
  const table = new ItemTable();
  expect(table.sizeBytes).toBe(0);

  table.put(key("a"), 1n, new Uint8Array(50_000));

  expect(table.sizeBytes).toBeGreaterThan(50_000);
  expect(compareBytes(table.keyAt(0), key("a"))).toBe(0);
});
