/*
 * Rules of farewells and of fences are both called F: each of them has a test named by it, where its page says.
 */
import { expect, test } from "vitest";
import { readTree } from "../src/index.ts";

const SESSIONS = "docs/protocols/sessions.md";
const LEAVING = "docs/protocols/leaving.md";
const MEMBERS = "docs/protocols/members.md";

const texts = new Map(readTree().map(({ path, text }) => [path, text]));

interface Row {
  readonly rules: readonly string[];
  /** Test files by the ends of their paths. */
  readonly files: readonly string[];
}

/** Rows of a page's tables that name rules and test files; "the same" are the files of the row before. */
function rowsOf(page: string): readonly Row[] {
  const rows: Row[] = [];
  for (const [, left = "", right = ""] of (texts.get(page) ?? "").matchAll(
    /^\| (F\d[^|]*) \| ([^|]+) \|$/gm,
  )) {
    const named = [...right.matchAll(/[\w/-]+\.test\.ts/g)].map(([file]) => file);
    const before = right.includes("the same") ? (rows.at(-1)?.files ?? []) : [];
    rows.push({ rules: left.match(/\bF\d+\b/g) ?? [], files: [...before, ...named] });
  }
  return rows;
}

/** True if a test in one of the files has the rule at the head of its name. */
function isTested(rule: string, files: readonly string[]): boolean {
  const named = new RegExp(String.raw`["(](?:F\d+, )*${rule}(?:, F\d+)*: `);
  return [...texts].some(
    ([path, text]) => files.some((file) => path.endsWith(`/${file}`)) && named.test(text),
  );
}

function untestedOf(page: string): readonly string[] {
  return rowsOf(page).flatMap(({ rules, files }) => rules.filter((rule) => !isTested(rule, files)));
}

function wanted(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `F${index + 1}`);
}

test("each rule of greetings and farewells is tested, on the side of the sessions or of the server", () => {
  const rows = [...rowsOf(SESSIONS), ...rowsOf(LEAVING)];
  const named = new Set(rows.filter(({ files }) => files.length > 0).flatMap(({ rules }) => rules));

  expect(wanted(12).filter((rule) => !named.has(rule))).toEqual([]);
  expect([untestedOf(SESSIONS), untestedOf(LEAVING)]).toEqual([[], []]);
});

test("each rule of fences is tested where the page of members says", () => {
  const named = new Set(rowsOf(MEMBERS).flatMap(({ rules }) => rules));

  expect(wanted(8).filter((rule) => !named.has(rule))).toEqual([]);
  expect(untestedOf(MEMBERS)).toEqual([]);
});
