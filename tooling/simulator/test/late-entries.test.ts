import { beforeEach, expect, test } from "vitest";
import { LateEntries } from "../src/shadow/late-entries.ts";

const RID = 5n;
let entries: LateEntries;

beforeEach(() => {
  entries = new LateEntries();
  entries.lives(RID, 1);
  entries.landed(RID);
});

test("what landed before the eviction may be acknowledged behind it", () => {
  entries.evicted(RID, 1);

  expect(entries.acknowledged(RID)).toBeUndefined();
});

test("what landed behind the eviction may not be acknowledged, whatever records are read again", () => {
  entries.evicted(RID, 1);

  expect(entries.landed(RID)).toBe(true);
  entries.lives(RID, 1);
  entries.evicted(RID, 1);

  expect(entries.acknowledged(RID)).toContain("after its eviction");
});

test("who joined anew writes for itself, until it is evicted again", () => {
  entries.evicted(RID, 1);
  expect(entries.landed(RID)).toBe(true);
  entries.lives(RID, 2);
  expect(entries.acknowledged(RID)).toContain("after its eviction");

  expect(entries.landed(RID)).toBe(false);
  expect(entries.acknowledged(RID)).toBeUndefined();
  entries.evicted(RID, 2);
  expect(entries.landed(RID)).toBe(true);

  expect(entries.acknowledged(RID)).toContain("after its eviction");
});
