import { expect, test } from "vitest";
import { LOCK_REFUSALS, lockErrorOf } from "../src/index.ts";

test("a refusal tells its user what may be done: only a full table is worth another try", () => {
  const errors = Object.values(LOCK_REFUSALS).map((refusal) => lockErrorOf(refusal));

  expect(errors.map(({ code, category }) => [code, category])).toEqual([
    ["ERR_HOLDFAST_LOCK_REFUSED", "protocol"],
    ["ERR_HOLDFAST_LOCK_OVERLAP", "usage"],
    ["ERR_HOLDFAST_LOCK_TABLE_FULL", "retry"],
    ["ERR_HOLDFAST_LOCK_REFUSED", "protocol"],
    ["ERR_HOLDFAST_LOCK_REFUSED", "protocol"],
    ["ERR_HOLDFAST_LOCK_REFUSED", "protocol"],
  ]);
  expect(errors.map(({ facts }) => facts.refusal)).toEqual(Object.values(LOCK_REFUSALS));
});
