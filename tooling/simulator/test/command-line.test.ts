import { expect, test } from "vitest";
import { BREAKABLE_RULES, parseSimulateArguments, UsageError } from "../src/index.ts";

test("without arguments one seed is run on 2 to 5 members and no rule is broken", () => {
  expect(parseSimulateArguments([])).toMatchObject({
    seedCount: 1,
    firstSeed: 1n,
    membersMin: 2,
    membersMax: 5,
    brokenRules: new Set(),
    isJson: false,
  });
});

test("seeds, members, rules, faults and files are taken from the arguments", () => {
  const args = ["--seeds", "20", "--seed", "0xff", "--members", "3..4", "--break", "splitter,commit-check"];
  const more = [
    "--faults",
    "pause,crash",
    "--history",
    "h.jsonl",
    "--json",
    "--chaos",
    "5000",
    "--events",
    "9",
  ];

  expect(parseSimulateArguments([...args, ...more])).toMatchObject({
    seedCount: 20,
    firstSeed: 255n,
    membersMin: 3,
    membersMax: 4,
    brokenRules: new Set(["splitter", "commit-check"]),
    faults: ["pause", "crash"],
    historyPath: "h.jsonl",
    isJson: true,
    chaosMs: 5000,
    eventsMax: 9,
  });
});

test("one number of members means exactly so many", () => {
  expect(parseSimulateArguments(["--members", "3"])).toMatchObject({ membersMin: 3, membersMax: 3 });
});

test("the rules can be listed, and each has a name and an omission", () => {
  expect(parseSimulateArguments(["--break", "list"]).isListWanted).toBe(true);
  for (const { name, omission } of BREAKABLE_RULES) expect(name.length * omission.length).toBeGreaterThan(0);
});

test.each([
  ["an unknown option", ["--sed", "1"]],
  ["a stray word", ["5"]],
  ["an option without its value", ["--seeds"]],
  ["no seeds at all", ["--seeds", "0"]],
  ["a negative seed", ["--seed=-1"]],
  ["a seed of 65 bits", ["--seed", "18446744073709551616"]],
  ["a seed that is no number", ["--seed", "abc"]],
  ["members backwards", ["--members", "5..2"]],
  ["no members", ["--members", "0..2"]],
  ["too many members", ["--members", "2..17"]],
  ["an unknown rule", ["--break", "gravity"]],
  ["an unknown fault", ["--faults", "flood"]],
  ["a chaos that is no number", ["--chaos", "long"]],
])("%s is a usage error", (_, args) => {
  expect(() => parseSimulateArguments(args)).toThrow(UsageError);
});
