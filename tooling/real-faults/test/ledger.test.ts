import { expect, test } from "vitest";
import { Ledger } from "../src/index.ts";

/** A ledger with these operations: kind, value, begin, end. */
function ledgerOf(...operations: readonly (readonly ["read" | "write", number, number, number?])[]): Ledger {
  const ledger = new Ledger();
  for (const [index, [kind, , beganMs]] of operations.entries())
    ledger.began(`${index}`, kind, "key", beganMs);
  for (const [index, [, value, , endedMs]] of operations.entries())
    if (endedMs !== undefined) ledger.ended(`${index}`, value, endedMs);
  return ledger;
}

test("a read while a write is under way may give the value before it or its own", () => {
  expect(ledgerOf(["write", 1, 0, 10], ["read", 0, 1, 9], ["read", 1, 2, 8]).contradictions()).toEqual([]);
});

test("an acknowledged write that a later read does not know was lost", () => {
  expect(ledgerOf(["write", 1, 0, 10], ["read", 0, 11, 12]).contradictions()).toEqual([
    "key: a read of 0 began when 1 was known",
  ]);
});

test("two reads, one after the other, do not see time go back", () => {
  const ledger = ledgerOf(["write", 1, 0], ["read", 1, 1, 2], ["read", 0, 3, 4]);

  expect(ledger.contradictions()).toEqual(["key: a read of 0 began when 1 was known"]);
});

test("two members that count to the same number were both told they did", () => {
  expect(ledgerOf(["write", 1, 0, 10], ["write", 1, 1, 11]).contradictions()).toEqual([
    "key: two writes of 1 were acknowledged",
  ]);
});

test("a value that nobody had begun to write comes from nowhere", () => {
  expect(ledgerOf(["write", 1, 5], ["read", 1, 0, 4]).contradictions()).toEqual([
    "key: 1 is there after 0 writes began",
  ]);
});

test("what was judged and forgotten still counts", () => {
  const ledger = ledgerOf(["write", 1, 0, 10]);
  ledger.forget();
  ledger.began("late", "read", "key", 11);
  ledger.ended("late", 0, 12);

  expect(ledger.contradictions()).toEqual(["key: a read of 0 began when 1 was known"]);
  expect(ledger.keysToRead(1)).toEqual(["key"]);
});

test("in a run without end keys of former rounds are read in turn", () => {
  const ledger = new Ledger();
  for (const key of ["a", "b", "c"]) ledger.began(key, "write", key, 0);
  ledger.forget();
  ledger.began("d", "write", "d", 1);

  const first = ledger.keysToRead(2);
  for (const key of first) ledger.began(`read ${key}`, "read", key, 2);
  ledger.forget();

  expect(first).toEqual(["d", "a", "b"]);
  expect(ledger.keysToRead(2)).toEqual(["c", "d"]);
});
