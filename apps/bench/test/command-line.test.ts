import { expect, test } from "vitest";
import {
  parseRequest,
  reportOf,
  type Row,
  runCommandLine,
  SUITE_NAMES,
  tableOf,
  USAGE,
} from "../src/index.ts";

const MACHINE = { node: "v20.19.0", cpu: "2 × a processor", date: "2026-01-02T03:04:05.000Z" };

const ROWS: readonly Row[] = [
  {
    row: "round trip",
    unit: "µs",
    ours: 12.34,
    peers: { bare: 10, slow: 2500 },
    ratio: 0.81,
    ratios: { bare: 0.81, slow: 202.6 },
    goals: { bare: 0.7 },
    runs: 3,
    spread: 1.25,
  },
  { row: "uses", unit: "uses/s", ours: 1_234_567, peers: {}, ratios: {}, goals: {}, runs: 5, spread: 2 },
];

test.each([
  { words: [], complaint: "no suite is named" },
  { words: ["nonsense"], complaint: 'there is no suite "nonsense"' },
  { words: ["items", "locks"], complaint: "one suite at a time, or all" },
  { words: ["items", "--quack"], complaint: "--quack" },
])("$words ends with exit code 2 and the list of suites", async ({ words, complaint }) => {
  const [said, complained]: [string[], string[]] = [[], []];

  const code = await runCommandLine(words, MACHINE, {
    say: (text) => said.push(text),
    complain: (text) => complained.push(text),
  });

  expect(code).toBe(2);
  expect(said).toEqual([]);
  expect(complained.join("")).toContain(complaint);
  expect(complained.join("")).toContain(USAGE);
});

test("a suite may be named, shortened and written to a file", () => {
  expect(parseRequest(["items", "--quick", "--json", "rows.json"])).toEqual({
    suites: ["items"],
    isQuick: true,
    jsonFile: "rows.json",
  });
  expect(parseRequest(["all"])).toEqual({ suites: SUITE_NAMES, isQuick: false, jsonFile: undefined });
});

test("the table is aligned and shows the ratio, and a dash where there is nothing to compare with", () => {
  expect(tableOf(ROWS).split("\n")).toEqual([
    "row         unit    ours    beside  theirs  ratio  goal   runs  spread",
    "round trip  µs      12.3    bare    10.0    0.81×  0.70×  3     1.3×",
    "                            slow    2.50 k  203×   –",
    "uses        uses/s  1.23 M  –       –       –      –      5     2.0×",
  ]);
});

test("the JSON has every row with the machine and the date it was measured on", () => {
  const report: unknown = JSON.parse(reportOf([{ suite: "locks", rows: ROWS }], MACHINE, true));

  expect(report).toEqual({ ...MACHINE, isQuick: true, suites: [{ suite: "locks", rows: ROWS }] });
});
