import { NO_BROKEN_RULES } from "@holdfast/environment";
import { array, assert, check, nat, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { play, type Story } from "./interleaving.ts";

const TAPE = array(nat(0xffff), { minLength: 300, maxLength: 900, size: "max" });

/** `SEED=42 npm test` repeats a run; fast-check prints the seed of one that failed. */
const SEED = process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) };

/** What the search says when a rule is left out; the tapes are always the same, and found within `numRuns` of them. */
function findingWithout(rule: string, numRuns: number): string {
  const search = property(TAPE, (tape) => {
    play(tape, new Set([rule]));
  });
  const result = check(search, { seed: 20, numRuns, endOnFailure: true });
  return String(result.errorInstance);
}

describe("whatever is paused, torn, late or crashed", () => {
  test("a term has one winner, acknowledged commits form one chain, and none is lost (Q1, Q19)", () => {
    const total: Story = {
      elections: 0,
      commits: 0,
      deposed: 0,
      lost: 0,
      crashes: 0,
      lateWrites: 0,
      tornWrites: 0,
    };

    assert(
      property(TAPE, (tape) => {
        const story = play(tape, NO_BROKEN_RULES);
        for (const key of Object.keys(total) as (keyof Story)[]) total[key] += story[key];
      }),
      { numRuns: 150, ...SEED },
    );

    // A search in which one of these never happens shows nothing.
    const rare = Object.entries(total).filter(([, count]) => count <= 20);
    expect(rare).toEqual([]);
  }, 30_000);
});

describe("the search notices each rule that is left out", () => {
  test("the check behind a record", () => {
    expect(findingWithout("commit-check", 400)).toContain("acknowledged logs fork");
  });

  test("the check looks past a term that was only claimed", () => {
    expect(findingWithout("check-next-term-only", 2000)).toContain("acknowledged logs fork");
  });

  test("the splitter looks at Y before it sets it", () => {
    expect(findingWithout("splitter", 400)).toMatch(/term \d was won by \d+ and by \d+/);
  });

  test("a record never overwrites the one before it", () => {
    expect(findingWithout("one-record-half", 1000)).toMatch(/fork|adopted/);
  });
});
