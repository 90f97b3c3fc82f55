import { expect, test } from "vitest";
import {
  conflictTarget,
  covers,
  lockMode,
  type LockMode,
  weakerMode,
  WRITE_ONLY_NUMBER,
} from "../src/index.ts";

const MODES: readonly LockMode[] = ["null", "read", "write"];

test("a mode covers itself and every weaker one", () => {
  const table = MODES.map((held) => MODES.map((wanted) => covers(held, wanted)));

  expect(table).toEqual([
    [true, false, false],
    [true, true, false],
    [true, true, true],
  ]);
});

test("another member's grant falls only as far as the request needs", () => {
  const table = MODES.map((granted) => MODES.map((requested) => conflictTarget(granted, requested)));

  expect(table).toEqual([
    [undefined, undefined, undefined],
    [undefined, undefined, "null"],
    [undefined, "read", "null"],
  ]);
});

test("L2: a NULL request revokes nobody", () => {
  for (const granted of MODES) expect(conflictTarget(granted, "null")).toBeUndefined();
});

test("the weaker of two modes is the one that the other covers", () => {
  for (const one of MODES)
    for (const other of MODES) {
      const weaker = weakerMode(one, other);
      expect(covers(one, weaker) && covers(other, weaker)).toBe(true);
      expect([one, other]).toContain(weaker);
    }
});

test("the number of WRITE_ONLY is reserved: a message that carries it, or any greater one, is malformed", () => {
  for (const number of [WRITE_ONLY_NUMBER, 4, 255]) {
    const view = new DataView(Uint8Array.of(number).buffer);
    expect(() => lockMode.read(view, 0)).toThrow(RangeError);
  }
});
